//! What kernels and products are given: numbers, addresses, matrices.

use cudarc::cublas::sys::cublasOperation_t as Operation;
use cudarc::driver::{CudaSlice, DevicePtr};

use super::pinned::Sent;

/// An argument of a kernel: the low bytes are the value.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Arg(pub(super) u64);

/// An address in the GPU's memory.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct GpuPtr(pub(crate) u64);

impl GpuPtr {
    /// So many floats (or other numbers of four bytes) further.
    pub(crate) fn plus(self, floats: usize) -> GpuPtr {
        GpuPtr(self.0 + 4 * floats as u64)
    }
}

impl From<GpuPtr> for Arg {
    fn from(at: GpuPtr) -> Arg {
        Arg(at.0)
    }
}

impl From<usize> for Arg {
    fn from(n: usize) -> Arg {
        Arg(u64::from(u32::try_from(n).expect("a kernel counts to 2³²")))
    }
}

impl From<f32> for Arg {
    fn from(x: f32) -> Arg {
        Arg(u64::from(x.to_bits()))
    }
}

impl From<u64> for Arg {
    fn from(x: u64) -> Arg {
        Arg(x)
    }
}

impl From<bool> for Arg {
    fn from(x: bool) -> Arg {
        Arg(u64::from(x))
    }
}

impl From<&Sent> for Arg {
    fn from(x: &Sent) -> Arg {
        x.at().into()
    }
}

impl<T> From<&CudaSlice<T>> for Arg {
    fn from(x: &CudaSlice<T>) -> Arg {
        Arg(*x.device_ptr())
    }
}

/// The arguments of a kernel.
macro_rules! args {
    ($($x:expr),* $(,)?) => { &[$($crate::device::cuda::Arg::from($x)),*] };
}
pub(crate) use args;

/// A matrix in the GPU's memory, to be multiplied: rows (or columns, if `transposed`) lie `stride` floats apart.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub(crate) at: GpuPtr,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
    transposed: bool,
}

impl Operand {
    pub(crate) fn new(at: GpuPtr, rows: usize, cols: usize) -> Self {
        Operand { at, rows, cols, stride: cols.max(1), transposed: false }
    }

    pub(crate) fn strided(self, stride: usize) -> Self {
        Operand { stride, ..self }
    }

    pub(crate) fn t(self) -> Self {
        Operand { rows: self.cols, cols: self.rows, transposed: !self.transposed, ..self }
    }

    pub(super) fn operation(&self) -> Operation {
        if self.transposed { Operation::CUBLAS_OP_T } else { Operation::CUBLAS_OP_N }
    }
}

/// Where a product goes.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) at: GpuPtr,
    pub(crate) stride: usize,
}
