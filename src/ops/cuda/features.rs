//! Picture features on their way into a batch: they live on the GPU if they fit, else they come through pinned memory, which
//! the GPU reads while the host goes on.

use std::ffi::c_void;

use cudarc::driver::{result, sys};
use dfdx::prelude::HasShape;

use super::{Gpu, args, at, matrix, must, the};
use crate::device::Matrix;

/// Where the features of a split come from.
pub enum Source {
    /// All of them (pictures, width).
    OnGpu(Matrix),
    Pinned(Box<[Staging; 2]>, usize),
}

/// Memory of the host that the GPU can read by itself, and when it last did.
pub struct Staging {
    place: *mut f32,
    room: usize,
    read: sys::CUevent,
}

impl Source {
    /// `copy` writes the features of a picture; up to `limit` bytes of them move to the GPU for good.
    pub fn new(pictures: usize, width: usize, limit: usize, copy: impl Fn(usize, &mut [f32])) -> Self {
        if pictures * width * 4 > limit {
            return Source::Pinned(Box::new([Staging::new(), Staging::new()]), 0);
        }
        let mut all = vec![0.0; pictures * width];
        for (i, out) in all.chunks_mut(width.max(1)).enumerate() {
            copy(i, out);
        }
        Source::OnGpu(crate::ops::tape::matrix(all, pictures, width))
    }

    /// The features of some pictures: (pictures, width).
    pub fn take(&mut self, pictures: &[u32], width: usize, copy: impl Fn(usize, &mut [f32])) -> Matrix {
        match self {
            Source::OnGpu(all) => the().gathered(all, pictures),
            Source::Pinned(stages, next) => {
                *next = (*next + 1) % stages.len();
                stages[*next].send(pictures, width, copy)
            }
        }
    }
}

impl Gpu {
    fn gathered(&self, all: &Matrix, rows: &[u32]) -> Matrix {
        let (n, width) = (rows.len(), all.shape().1);
        let out = matrix(n, width);
        self.each("gather_rows", n * width, args![at(&out), at(all), &self.numbers(rows), n, width]);
        out
    }
}

impl Staging {
    fn new() -> Self {
        the().bind();
        let read = must(result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING));
        Staging { place: std::ptr::null_mut(), room: 0, read }
    }

    /// Waits until the GPU has read what was here before, takes other pictures and sends them.
    fn send(&mut self, pictures: &[u32], width: usize, copy: impl Fn(usize, &mut [f32])) -> Matrix {
        let gpu = the();
        let out = matrix(pictures.len(), width);
        let n = pictures.len() * width;
        if n == 0 {
            return out;
        }
        gpu.bind();
        // SAFETY: the event is this one's own.
        must(unsafe { sys::cuEventSynchronize(self.read) }.result());
        self.reserve(n);
        // SAFETY: there is room for n floats, and nobody reads them now.
        let floats = unsafe { std::slice::from_raw_parts_mut(self.place, n) };
        for (to, &picture) in floats.chunks_mut(width).zip(pictures) {
            copy(picture as usize, to);
        }
        let stream = *gpu.cuda.cu_stream();
        // SAFETY: the matrix has n floats; the host does not touch its own before the event.
        unsafe {
            must(result::memcpy_htod_async(at(&out).0, floats, stream));
            must(result::event::record(self.read, stream));
        }
        out
    }

    fn reserve(&mut self, floats: usize) {
        if floats > self.room {
            self.free();
            let mut place: *mut c_void = std::ptr::null_mut();
            // SAFETY: the call writes the address of memory of that size.
            must(unsafe { sys::cuMemAllocHost_v2(&mut place, floats * 4) }.result());
            (self.place, self.room) = (place.cast(), floats);
            // SAFETY: fresh memory of that many floats: zeros are floats.
            unsafe { self.place.write_bytes(0, floats) };
        }
    }

    fn free(&mut self) {
        if !self.place.is_null() {
            // SAFETY: it was allocated by `reserve`, and the GPU has read it.
            let _ = unsafe { sys::cuMemFreeHost(self.place.cast()) };
            (self.place, self.room) = (std::ptr::null_mut(), 0);
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        the().bind();
        // SAFETY: the event and the memory are this one's own; the GPU is waited for.
        let _ = unsafe { sys::cuEventSynchronize(self.read) };
        self.free();
        // SAFETY: as above.
        let _ = unsafe { result::event::destroy(self.read) };
    }
}
