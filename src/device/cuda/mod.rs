//! The GPU: our kernels on the device and in the stream of dfdx.
//!
//! The files of `kernels/` hold the kernels; `cuda.rs` in the folder of an operation, a loss or the optimiser makes operations of
//! them. Nothing here sums floats in an order that may change: the same GPU gives the same bits.
//! An operation without kernels runs on the host ([`crate::ops::tape`]); so do all within [`on_the_host`], for comparison.

mod arg;
mod failure;
pub(crate) mod pinned;
pub(crate) mod status;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fmt::{self, Debug, Write};
use std::sync::{Arc, Mutex, OnceLock};

use cudarc::cublas::CudaBlas;
use cudarc::cublas::sys::cublasComputeType_t as Compute;
use cudarc::driver::{CudaDevice, CudaSlice, DevicePtr, DeviceRepr, DeviceSlice, result, sys};
use dfdx::prelude::*;

pub(crate) use arg::{Arg, GpuPtr, Operand, Target, args};
pub use failure::guarded;
pub(crate) use failure::must;
use failure::{Failure, NO_GPU};
use pinned::{Sent, Uploads};

use super::Buffer;
use crate::config::Precision;

/// Aligned as the driver may read the header of a fat binary: by words of eight bytes and more.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

/// Our kernels for all architectures, as the build script compiled them.
static KERNELS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin")));

/// Where the kernels' image is.
#[cfg(test)]
pub(crate) fn image() -> usize {
    KERNELS.0.as_ptr().addr()
}

/// The GPU of this process.
pub struct Gpu {
    pub(crate) dev: Cuda,
    pub(crate) cuda: Arc<CudaDevice>,
    blas: Mutex<CudaBlas>,
    module: sys::CUmodule,
    functions: Mutex<HashMap<&'static str, Function>>,
    uploads: Mutex<Option<Uploads>>,
    /// The version of cuBLAS, which decides the order of its sums.
    cublas: usize,
}

#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

// SAFETY: handles of the driver may be used by any thread that has made the context its own, which every use does first.
unsafe impl Send for Function {}
// SAFETY: as above; all work goes to one stream, in the order in which it is asked for.
unsafe impl Send for Gpu {}
// SAFETY: as above.
unsafe impl Sync for Gpu {}

static GPU: OnceLock<std::result::Result<Gpu, String>> = OnceLock::new();

thread_local! {
    static ON_THE_HOST: Cell<bool> = const { Cell::new(false) };
}

/// The GPU, for an operation with kernels; nothing within [`on_the_host`].
pub fn gpu() -> Option<&'static Gpu> {
    (!ON_THE_HOST.get()).then(the)
}

pub(crate) fn the() -> &'static Gpu {
    GPU.get_or_init(Gpu::open).as_ref().unwrap_or_else(|why| {
        std::panic::panic_any(Failure { what: format!("no GPU can be used: {why}"), hint: NO_GPU })
    })
}

/// Dfdx's handle of the GPU.
pub fn device() -> Cuda {
    the().dev.clone()
}

/// Runs `f` with every operation on the host: the reference for the kernels.
pub fn on_the_host<T>(f: impl FnOnce() -> T) -> T {
    let before = ON_THE_HOST.replace(true);
    let out = f();
    ON_THE_HOST.set(before);
    out
}

/// Waits until the GPU has done all it was asked for.
pub fn synchronise() {
    the().wait();
}

/// Bytes of the GPU's memory: free, all.
pub fn memory() -> (usize, usize) {
    the().bind();
    must(result::mem_get_info())
}

/// The name of the GPU and the version of cuBLAS: with another one of either, the same training has other bits.
pub fn name() -> String {
    let mut name = [0u8; 256];
    // SAFETY: the buffer has as many bytes as are said.
    let status = unsafe { sys::cuDeviceGetName(name.as_mut_ptr().cast(), 256, *the().cuda.cu_device()) };
    must(status.result());
    let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_string();
    // As cublas_api.h makes the number of the version.
    let version = the().cublas;
    format!("{name}, cuBLAS {}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

impl Gpu {
    fn open() -> std::result::Result<Gpu, String> {
        let say = |e: &dyn Debug| format!("{e:?}");
        result::init().map_err(|e| say(&e))?;
        if result::device::get_count().map_err(|e| say(&e))? == 0 {
            return Err("the driver sees none".into());
        }
        // Dfdx begins with memory of no bytes, which only a pool gives.
        if !pools().map_err(|e| say(&e))? {
            return Err(
                "it has no memory pools; GPUs since Turing (2018) have them, but not all virtual ones".into(),
            );
        }
        let dev = Cuda::try_build(0, 0).map_err(|e| say(&e))?;
        // The only way to dfdx's own device is through something that lives on it.
        let one = <Cuda as Storage<f32>>::try_alloc_len(&dev, 1).map_err(|e| say(&e))?;
        let cuda = one.device();
        keep_memory(&cuda).map_err(|e| say(&e))?;
        let blas = CudaBlas::new(cuda.clone()).map_err(|e| say(&e))?;
        // SAFETY: the image is the fat binary that nvcc wrote.
        let module = unsafe { result::module::load_data(KERNELS.0.as_ptr().cast()) }.map_err(|e| say(&e))?;
        let cublas = status::cublas_version(&blas)?;
        Ok(Gpu {
            cublas,
            dev,
            cuda,
            blas: Mutex::new(blas),
            module,
            functions: Mutex::default(),
            uploads: Mutex::default(),
        })
    }

    /// Makes the GPU this thread's.
    pub(crate) fn bind(&self) {
        must(self.cuda.bind_to_thread());
    }

    fn function(&self, name: &'static str) -> sys::CUfunction {
        let mut functions = self.functions.lock().expect("no thread panics with it");
        let load = || {
            let symbol = CString::new(name).expect("a kernel's name");
            // SAFETY: the module stays loaded as long as the process runs.
            match unsafe { result::module::get_function(self.module, symbol) } {
                Ok(function) => Function(function),
                Err(why) => panic!("kernel `{name}`: {why:?}"),
            }
        };
        functions.entry(name).or_insert_with(load).0
    }

    /// Runs a kernel. Nothing happens where the grid is empty.
    ///
    /// `args` must be what the kernel takes, one by one.
    pub(crate) fn launch(&self, kernel: &'static str, grid: (usize, usize), block: (u32, u32), args: &[Arg]) {
        self.launch_by(kernel, grid, block, args.iter().map(|a| a as *const Arg as *mut c_void).collect());
    }

    /// As [`Self::launch`], of a kernel whose first argument is a structure, which goes by value.
    pub(crate) fn launch_with<T: Copy>(
        &self,
        kernel: &'static str,
        grid: (usize, usize),
        block: (u32, u32),
        first: &T,
        args: &[Arg],
    ) {
        let rest = args.iter().map(|a| a as *const Arg as *mut c_void);
        self.launch_by(
            kernel,
            grid,
            block,
            std::iter::once((&raw const *first) as *mut c_void).chain(rest).collect(),
        );
    }

    fn launch_by(
        &self,
        kernel: &'static str,
        grid: (usize, usize),
        block: (u32, u32),
        mut pointers: Vec<*mut c_void>,
    ) {
        if grid.0 == 0 || grid.1 == 0 {
            return;
        }
        self.bind();
        if let Some(uploads) = self.uploads.lock().expect("no thread panics with it").as_mut() {
            uploads.flush(self);
        }
        let function = self.function(kernel);
        let fits =
            grid.0 <= i32::MAX as usize && grid.1 <= u16::MAX.into() && block.0 * block.1 <= MOST_THREADS;
        assert!(fits, "`{kernel}`: a grid of {grid:?} blocks of {block:?} threads");
        let grid = (grid.0 as u32, grid.1 as u32, 1);
        let stream = self.stream();
        // SAFETY: the pointers lead to arguments that outlive the call, which copies them.
        let done = unsafe {
            status::cuLaunchKernel(
                function,
                grid.0,
                grid.1,
                grid.2,
                block.0,
                block.1,
                1,
                0,
                stream,
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        must(status::driver(done));
    }

    /// One thread for each of `n` elements.
    pub(crate) fn each(&self, kernel: &'static str, n: usize, args: &[Arg]) {
        assert!(n <= MOST_ELEMENTS, "`{kernel}` for {n} elements: a kernel counts to 2³²");
        self.launch(kernel, (n.div_ceil(256), 1), (256, 1), args);
    }

    /// One block of 128 threads for each of `n` rows.
    pub(crate) fn rows(&self, kernel: &'static str, n: usize, args: &[Arg]) {
        self.launch(kernel, (n, 1), (128, 1), args);
    }

    fn stream(&self) -> sys::CUstream {
        *self.cuda.cu_stream()
    }

    /// Memory that nothing has been written to.
    pub(crate) fn alloc(&self, floats: usize) -> CudaSlice<f32> {
        self.alloc_of(floats)
    }

    /// As [`Self::alloc`], for numbers.
    pub(crate) fn alloc_numbers(&self, numbers: usize) -> CudaSlice<u32> {
        self.alloc_of(numbers)
    }

    fn alloc_bytes(&self, bytes: usize) -> CudaSlice<u8> {
        self.alloc_of(bytes)
    }

    fn alloc_of<T: DeviceRepr>(&self, count: usize) -> CudaSlice<T> {
        // SAFETY: whoever asks for it writes before reading.
        must(unsafe { self.cuda.alloc(count.max(1)) })
    }

    /// Numbers of rows, and the like: on the GPU before the next kernel runs; neither the host waits nor does the GPU. No kernel may
    /// write to them: who asks for the same numbers soon again gets the same place.
    pub(crate) fn numbers(&self, x: &[u32]) -> Sent {
        self.uploading(|uploads| uploads.put(bytemuck::cast_slice(x), self))
    }

    pub(crate) fn floats(&self, x: &[f32]) -> Sent {
        self.uploading(|uploads| uploads.put(bytemuck::cast_slice(x), self))
    }

    fn uploading<T>(&self, f: impl FnOnce(&mut Uploads) -> T) -> T {
        self.bind();
        f(self.uploads.lock().expect("no thread panics with it").get_or_insert_with(Uploads::new))
    }

    /// Copies floats on the GPU.
    pub(crate) fn copy(&self, to: GpuPtr, from: GpuPtr, floats: usize) {
        if floats == 0 {
            return;
        }
        self.bind();
        // SAFETY: both places have so many floats, as the callers make them from tensors.
        must(status::driver(unsafe {
            status::cuMemcpyDtoDAsync_v2(to.0, from.0, 4 * floats, self.stream())
        }));
    }

    /// Numbers from the GPU; waits for them.
    pub(crate) fn read<T: bytemuck::Pod>(&self, from: GpuPtr, count: usize) -> Vec<T> {
        let mut all = vec![T::zeroed(); count];
        if count > 0 {
            self.uploading(|uploads| uploads.flush(self));
            let (to, bytes) = (all.as_mut_ptr().cast(), count * size_of::<T>());
            // SAFETY: both places have so many numbers, and are there until the stream has been waited for.
            must(status::driver(unsafe { status::cuMemcpyDtoHAsync_v2(to, from.0, bytes, self.stream()) }));
            self.wait();
        }
        all
    }

    /// Waits until the GPU has done all it was asked for.
    fn wait(&self) {
        self.bind();
        // SAFETY: the stream is the device's own.
        must(status::driver(unsafe { status::cuStreamSynchronize(self.stream()) }));
    }

    /// c (m, n) = a · b, added to what c holds if `accumulate`. Where inputs are rounded, sums are f32 all the same.
    pub(crate) fn gemm(&self, a: Operand, b: Operand, c: Target, accumulate: bool, precision: Precision) {
        let (m, k, n) = (a.rows, a.cols, b.cols);
        assert_eq!(k, b.rows, "gemm: inner dimensions");
        if m == 0 || n == 0 || (k == 0 && accumulate) {
            return;
        }
        self.bind();
        let (one, beta) = (1f32, if accumulate { 1f32 } else { 0f32 });
        let compute = match precision {
            Precision::F32 => Compute::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => Compute::CUBLAS_COMPUTE_32F_FAST_16BF,
        };
        let float = cudarc::cublas::sys::cudaDataType_t::CUDA_R_32F;
        let handle = self.blas.lock().expect("no thread panics with it");
        // cuBLAS counts columns first: it is asked for cᵀ = bᵀ · aᵀ.
        // SAFETY: the operands' memory holds what their shapes say, as the callers make them from tensors.
        let done = unsafe {
            status::cublasGemmEx(
                *handle.handle(),
                b.operation() as u32,
                a.operation() as u32,
                n as i32,
                m as i32,
                k as i32,
                (&raw const one).cast(),
                b.at.0 as *const c_void,
                float as u32,
                b.stride as i32,
                a.at.0 as *const c_void,
                float as u32,
                a.stride as i32,
                (&raw const beta).cast(),
                c.at.0 as *mut c_void,
                float as u32,
                c.stride as i32,
                compute as u32,
                cudarc::cublas::sys::cublasGemmAlgo_t::CUBLAS_GEMM_DFALT as i32,
            )
        };
        must(status::cublas(done));
    }
}

/// Threads of a block: tests/cuda/limits.sh makes sure of registers for so many.
const MOST_THREADS: u32 = 256;
/// As many elements as a kernel can count: the last block must not pass 2³².
pub(crate) const MOST_ELEMENTS: usize = (1 << 32) - 256;

/// Whether the first GPU hands out memory in the order of a stream.
fn pools() -> std::result::Result<bool, result::DriverError> {
    let device = result::device::get(0)?;
    let pools = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    // SAFETY: the device is the driver's.
    Ok(unsafe { result::device::get_attribute(device, pools) }? != 0)
}

/// Freed memory stays with the process: every step asks for the same again.
fn keep_memory(cuda: &Arc<CudaDevice>) -> std::result::Result<(), result::DriverError> {
    let mut pool = std::ptr::null_mut();
    let mut all = u64::MAX;
    // SAFETY: both calls write or read the one value that is given.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, *cuda.cu_device()).result()?;
        let threshold = sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut all).cast()).result()
    }
}

/// The address of a tensor's floats. Dfdx keeps its buffers to itself, but shows them to `Debug`, whose first words name the
/// address; the writer stops there. The version of dfdx is pinned, and a test sees to it that this holds.
pub(crate) fn at<S: Shape, T>(t: &Tensor<S, f32, Cuda, T>) -> GpuPtr
where
    Tensor<S, f32, Cuda, T>: Debug,
{
    struct Head(String);
    impl fmt::Write for Head {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0.push_str(s);
            match self.0.contains(", len: ") {
                true => Err(fmt::Error),
                false => Ok(()),
            }
        }
    }
    const BEFORE: &str = "cu_device_ptr: ";
    let mut head = Head(String::with_capacity(160));
    let _ = write!(head, "{t:?}");
    let from = head.0.find(BEFORE).unwrap_or_else(|| panic!("no address in {}", head.0)) + BEFORE.len();
    let digits: String = head.0[from..].chars().take_while(char::is_ascii_digit).collect();
    GpuPtr(digits.parse().unwrap_or_else(|_| panic!("no address in {}", head.0)))
}

/// The address of a gradient's floats.
pub(crate) fn at_buffer(buffer: &Buffer) -> GpuPtr {
    GpuPtr(*buffer.device_ptr())
}

pub(crate) fn at_slice<T>(slice: &CudaSlice<T>) -> GpuPtr {
    GpuPtr(*slice.device_ptr())
}

/// A matrix of zeros.
pub(crate) fn matrix(rows: usize, cols: usize) -> crate::device::Matrix {
    must(the().dev.try_zeros_like(&(rows, cols)))
}

/// A zero.
pub(crate) fn scalar() -> crate::device::Scalar {
    must(the().dev.try_zeros_like(&()))
}

/// Floats from the GPU.
pub fn download(buffer: &Buffer) -> Vec<f32> {
    the().read(at_buffer(buffer), buffer.len())
}

/// Floats into a buffer of their number.
pub fn upload(floats: &[f32], buffer: &mut Buffer) {
    if !floats.is_empty() {
        must(the().cuda.htod_sync_copy_into(floats, &mut **buffer));
    }
}

/// A buffer of these floats.
pub fn uploaded(floats: &[f32]) -> Buffer {
    let mut buffer = zeroed(floats.len());
    upload(floats, &mut buffer);
    buffer
}

/// A buffer of zeros.
pub(crate) fn zeroed(floats: usize) -> Buffer {
    must(<Cuda as Storage<f32>>::try_alloc_len(&the().dev, floats))
}

/// A buffer that nothing has been written to. Dfdx has none that are not zeroed: one without floats takes over the memory.
pub(crate) fn unwritten(floats: usize) -> Buffer {
    let mut buffer = zeroed(0);
    *buffer = the().alloc(floats);
    buffer
}

/// Takes the floats of a finished gradient, which an operation needs once.
pub(crate) fn taken(gradient: &mut Buffer) -> Buffer {
    std::mem::replace(gradient, zeroed(0))
}

/// As `record!`, for a backward step whose gradient stays on the GPU: `|grads, address of the gradient of out| …`.
macro_rules! record_on_gpu {
    ($tape:expr, $out:expr, |$grads:ident, $g:ident| $body:block) => {{
        let (mut tape, out) = ($tape, $out);
        let ghost = out.ghost();
        tape.add_backward_op(move |$grads| {
            let $g = $crate::device::cuda::at_buffer($grads.get_or_alloc_mut(&ghost)?);
            $body
            Ok(())
        });
        out.put_tape(tape)
    }};
}
pub(crate) use record_on_gpu;

/// The address of a tensor's gradient, zeros at first.
macro_rules! gradient_at {
    ($grads:ident, $x:expr) => {
        $crate::device::cuda::at_buffer($grads.get_or_alloc_mut($x)?)
    };
}
pub(crate) use gradient_at;
