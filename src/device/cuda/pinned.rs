//! Memory of the host that the GPU reads by itself while the host goes on.
//!
//! From memory that is not pinned the driver may read late, or make the host wait until the stream has come so far.

use std::ffi::c_void;

use cudarc::driver::{result, sys};

use super::{GpuPtr, must};

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
        must(unsafe { sys::cuEventSynchronize(self.read) }.result());
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
            let from = std::slice::from_raw_parts(self.place.add(first), bytes);
            must(result::memcpy_htod_async(to.0, from, stream));
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

/// Numbers of rows and the like on their way to the GPU. One half is filled while the GPU reads the other.
pub(crate) struct Uploads {
    halves: [Pinned; 2],
    now: usize,
    used: usize,
}

/// Bytes of a half. A large step sends about as much.
const HALF: usize = 4 << 20;
/// Bytes that each copy begins at a multiple of.
const ALIGNMENT: usize = 256;

impl Uploads {
    pub fn new() -> Self {
        Uploads { halves: [Pinned::new(), Pinned::new()], now: 0, used: 0 }
    }

    /// Sends bytes to where there is room for them.
    pub fn send(&mut self, bytes: &[u8], to: GpuPtr, stream: sys::CUstream) {
        for (i, part) in bytes.chunks(HALF).enumerate() {
            if self.used + part.len() > HALF {
                self.halves[self.now].sent(stream);
                (self.now, self.used) = (1 - self.now, 0);
                self.halves[self.now].wait();
            }
            let half = &mut self.halves[self.now];
            half.room(HALF)[self.used..][..part.len()].copy_from_slice(part);
            half.send(self.used, part.len(), GpuPtr(to.0 + (i * HALF) as u64), stream);
            self.used = (self.used + part.len()).next_multiple_of(ALIGNMENT);
        }
    }
}
