//! Picture features on their way into a batch: they live on the GPU if they fit, else they come through pinned memory, which
//! the GPU reads while the host goes on.

use dfdx::prelude::HasShape;

use crate::device::Matrix;
use crate::device::cuda::pinned::Pinned;
use crate::device::cuda::{Gpu, args, at, matrix, the};

/// Where the features of a split come from.
pub enum Source {
    /// All of them (pictures, width).
    OnGpu(Matrix),
    Pinned(Box<[Staging; 2]>, usize),
}

/// Pictures on their way.
pub struct Staging(Pinned);

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
        Staging(Pinned::new())
    }

    /// Waits until the GPU has read what was here before, takes other pictures and sends them.
    fn send(&mut self, pictures: &[u32], width: usize, copy: impl Fn(usize, &mut [f32])) -> Matrix {
        let gpu = the();
        let out = matrix(pictures.len(), width);
        let bytes = 4 * pictures.len() * width;
        if bytes == 0 {
            return out;
        }
        gpu.bind();
        self.0.wait();
        let floats: &mut [f32] = bytemuck::cast_slice_mut(self.0.room(bytes));
        for (to, &picture) in floats.chunks_mut(width).zip(pictures) {
            copy(picture as usize, to);
        }
        let stream = *gpu.cuda.cu_stream();
        self.0.send(0, bytes, at(&out), stream);
        self.0.sent(stream);
        out
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        the().bind();
    }
}
