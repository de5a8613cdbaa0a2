//! Memory of the host that the GPU reads by itself while the host goes on.
//!
//! From memory that is not pinned the driver may read late, or make the host wait until the stream has come so far.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, result, sys};

use super::{Gpu, GpuPtr, at_slice, must, status};

/// Pinned memory, and when the GPU last read it. The context must be current in each call.
pub(crate) struct Pinned {
    place: *mut u8,
    room: usize,
    read: sys::CUevent,
}

impl Pinned {
    pub fn new() -> Self {
        let read = must(result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING));
        Pinned { place: std::ptr::null_mut(), room: 0, read }
    }

    /// Waits until the GPU has read what was sent before the last [`Self::sent`].
    pub fn wait(&self) {
        // SAFETY: the event is this one's own.
        must(status::driver(unsafe { status::cuEventSynchronize(self.read) }));
    }

    /// Room for so many bytes; whoever writes there has waited.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        if bytes > self.room {
            self.wait();
            self.free();
            let mut place: *mut c_void = std::ptr::null_mut();
            // SAFETY: the call writes the address of memory of that size.
            must(unsafe { sys::cuMemAllocHost_v2(&mut place, bytes) }.result());
            (self.place, self.room) = (place.cast(), bytes);
            // SAFETY: fresh memory of that many bytes.
            unsafe { self.place.write_bytes(0, bytes) };
        }
        if bytes == 0 {
            return &mut [];
        }
        // SAFETY: there is room, all of it has been written to, and it is borrowed from this one.
        unsafe { std::slice::from_raw_parts_mut(self.place, bytes) }
    }

    /// Copies `bytes` from place `first` on to the GPU, in the order of the stream.
    pub fn send(&self, first: usize, bytes: usize, to: GpuPtr, stream: sys::CUstream) {
        assert!(first + bytes <= self.room, "pinned memory of {} bytes", self.room);
        // SAFETY: the memory is this one's own, stays until the event, and the GPU's is as large, as the callers see to.
        unsafe {
            let from = self.place.add(first).cast();
            must(status::driver(status::cuMemcpyHtoDAsync_v2(to.0, from, bytes, stream)));
        }
    }

    /// From now on [`Self::wait`] waits for what has been sent until now.
    pub fn sent(&self, stream: sys::CUstream) {
        // SAFETY: the event is this one's own.
        must(unsafe { result::event::record(self.read, stream) });
    }

    fn free(&mut self) {
        if !self.place.is_null() {
            // SAFETY: it was allocated by `room`, and the GPU has read it.
            let _ = unsafe { sys::cuMemFreeHost(self.place.cast()) };
            (self.place, self.room) = (std::ptr::null_mut(), 0);
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the event and the memory are this one's own; the GPU is waited for.
        let _ = unsafe { sys::cuEventSynchronize(self.read) };
        self.free();
        // SAFETY: as above.
        let _ = unsafe { result::event::destroy(self.read) };
    }
}

/// Numbers on the GPU; they went up in one copy with others.
#[derive(Clone)]
pub(crate) struct Sent {
    at: GpuPtr,
    /// What they are a part of.
    _block: Arc<CudaSlice<u8>>,
}

impl Sent {
    /// Where they are.
    pub fn at(&self) -> GpuPtr {
        self.at
    }
}

/// Numbers of rows and the like on their way to the GPU. They wait until a kernel is launched, and go up in one copy with all that came
/// since the last one. One half is filled while the GPU reads the other.
pub(crate) struct Uploads {
    halves: [Pinned; 2],
    now: usize,
    /// Where the present half goes on the GPU; memory of its own for each filling, so that earlier ones stay as they are.
    block: Option<Arc<CudaSlice<u8>>>,
    /// Bytes of the present half that are filled, and that are on their way.
    filled: usize,
    gone: usize,
    /// What was put last, at most [`HALF`] bytes: found again by its bytes, whether a step asks twice or it was sent before the step.
    known: VecDeque<(Box<[u8]>, Sent)>,
    known_bytes: usize,
}

/// Bytes of a half. A large step sends about as much.
const HALF: usize = 4 << 20;
/// Bytes that numbers begin at a multiple of.
const ALIGNMENT: usize = 256;

impl Uploads {
    pub fn new() -> Self {
        let halves = [Pinned::new(), Pinned::new()];
        Uploads { halves, now: 0, block: None, filled: 0, gone: 0, known: VecDeque::new(), known_bytes: 0 }
    }

    /// Takes bytes that are to be on the GPU before the next kernel runs; the same bytes may be there already.
    pub fn put(&mut self, bytes: &[u8], gpu: &Gpu) -> Sent {
        if let Some((_, sent)) = self.known.iter().rev().find(|(known, _)| **known == *bytes) {
            return sent.clone();
        }
        if bytes.len() > HALF {
            return self.put_large(bytes, gpu);
        }
        // What is empty has an address, too.
        let room = bytes.len().max(1);
        if self.filled + room > HALF {
            self.turn(gpu);
        }
        let block = self.block.get_or_insert_with(|| Arc::new(gpu.alloc_bytes(HALF)));
        self.halves[self.now].room(HALF)[self.filled..][..bytes.len()].copy_from_slice(bytes);
        let sent = Sent { at: GpuPtr(at_slice(block).0 + self.filled as u64), _block: block.clone() };
        self.filled = (self.filled + room).next_multiple_of(ALIGNMENT);
        self.known.push_back((bytes.into(), sent.clone()));
        self.known_bytes += bytes.len();
        while self.known_bytes > HALF {
            let (oldest, _) = self.known.pop_front().expect("the bytes of some");
            self.known_bytes -= oldest.len();
        }
        sent
    }

    /// As [`Self::put`], part by part to memory of their own.
    fn put_large(&mut self, bytes: &[u8], gpu: &Gpu) -> Sent {
        let block = Arc::new(gpu.alloc_bytes(bytes.len()));
        let at = at_slice(&block);
        for (i, part) in bytes.chunks(HALF).enumerate() {
            self.turn(gpu);
            self.halves[self.now].room(HALF)[..part.len()].copy_from_slice(part);
            let to = GpuPtr(at.0 + (i * HALF) as u64);
            self.halves[self.now].send(0, part.len(), to, gpu.stream());
            // Full: nothing else goes in.
            (self.filled, self.gone) = (HALF, HALF);
        }
        Sent { at, _block: block }
    }

    /// Sends what waits.
    pub fn flush(&mut self, gpu: &Gpu) {
        if let Some(block) = self.block.as_ref().filter(|_| self.filled > self.gone) {
            let to = GpuPtr(at_slice(block).0 + self.gone as u64);
            self.halves[self.now].send(self.gone, self.filled - self.gone, to, gpu.stream());
            self.gone = self.filled;
        }
    }

    /// Goes on to the other half, when the GPU has read what was in it.
    fn turn(&mut self, gpu: &Gpu) {
        self.flush(gpu);
        self.halves[self.now].sent(gpu.stream());
        (self.now, self.block, self.filled, self.gone) = (1 - self.now, None, 0, 0);
        self.halves[self.now].wait();
    }
}
