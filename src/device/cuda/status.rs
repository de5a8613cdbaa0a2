//! Calls of the driver and of cuBLAS whose status is a plain number.
//!
//! cudarc's enums of statuses are closed, so one that only a later driver has would be undefined behaviour as soon as it is returned. What a
//! training asks for all the time (launches, products, copies, waits, where what went wrong earlier comes to light) is declared here
//! anew and looked at before anything is made of it. Allocations and fills go through dfdx and are cudarc's.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;

use cudarc::cublas::{CudaBlas, sys as blas};
use cudarc::driver::sys;

#[allow(non_snake_case)]
mod raw {
    use super::*;

    unsafe extern "C" {
        pub fn cuGetErrorName(status: c_int, name: *mut *const c_char) -> c_int;
        pub fn cuLaunchKernel(
            function: sys::CUfunction,
            grid_x: c_uint,
            grid_y: c_uint,
            grid_z: c_uint,
            block_x: c_uint,
            block_y: c_uint,
            block_z: c_uint,
            shared: c_uint,
            stream: sys::CUstream,
            parameters: *mut *mut c_void,
            extra: *mut *mut c_void,
        ) -> c_int;
        pub fn cuMemcpyHtoDAsync_v2(
            to: u64,
            from: *const c_void,
            bytes: usize,
            stream: sys::CUstream,
        ) -> c_int;
        pub fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: sys::CUstream)
        -> c_int;
        pub fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: sys::CUstream) -> c_int;
        pub fn cuStreamSynchronize(stream: sys::CUstream) -> c_int;
        pub fn cuEventSynchronize(event: sys::CUevent) -> c_int;
        pub fn cublasGetVersion_v2(handle: blas::cublasHandle_t, version: *mut c_int) -> c_int;
        pub fn cublasGemmEx(
            handle: blas::cublasHandle_t,
            left: c_uint,
            right: c_uint,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: *const c_void,
            a: *const c_void,
            type_a: c_uint,
            stride_a: c_int,
            b: *const c_void,
            type_b: c_uint,
            stride_b: c_int,
            beta: *const c_void,
            c: *mut c_void,
            type_c: c_uint,
            stride_c: c_int,
            compute: c_uint,
            algorithm: c_int,
        ) -> c_int;
    }
}
pub(super) use raw::{
    cuEventSynchronize, cuLaunchKernel, cuMemcpyDtoDAsync_v2, cuMemcpyDtoHAsync_v2, cuMemcpyHtoDAsync_v2,
    cuStreamSynchronize, cublasGemmEx,
};

/// What a call has said that was not success.
pub(crate) enum Status {
    Driver(c_int),
    Blas(c_int),
}

/// By what `cuda.h` says: 0 is success.
pub(crate) fn driver(status: c_int) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status::Driver(status)) }
}

/// By what `cublas_api.h` says: 0 is success.
pub(super) fn cublas(status: c_int) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status::Blas(status)) }
}

/// The version of cuBLAS, as one number.
pub(super) fn cublas_version(handle: &CudaBlas) -> Result<usize, String> {
    let mut version = 0;
    // SAFETY: the handle is alive, and one number is written.
    let status = unsafe { raw::cublasGetVersion_v2(*handle.handle(), &mut version) };
    cublas(status).map_err(|why| format!("{why:?}"))?;
    Ok(version as usize)
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match *self {
            Status::Driver(status) => {
                let mut name = std::ptr::null();
                // SAFETY: the call writes the address of a text that stays, or none for a status it does not know.
                let known = unsafe { raw::cuGetErrorName(status, &mut name) } == 0 && !name.is_null();
                match known {
                    // SAFETY: as above.
                    true => f.write_str(&unsafe { CStr::from_ptr(name) }.to_string_lossy()),
                    false => write!(f, "CUDA_ERROR_{status}, which this driver does not name"),
                }
            }
            Status::Blas(status) => match status {
                1 => f.write_str("CUBLAS_STATUS_NOT_INITIALIZED"),
                3 => f.write_str("CUBLAS_STATUS_ALLOC_FAILED"),
                7 => f.write_str("CUBLAS_STATUS_INVALID_VALUE"),
                8 => f.write_str("CUBLAS_STATUS_ARCH_MISMATCH"),
                13 => f.write_str("CUBLAS_STATUS_EXECUTION_FAILED"),
                14 => f.write_str("CUBLAS_STATUS_INTERNAL_ERROR"),
                15 => f.write_str("CUBLAS_STATUS_NOT_SUPPORTED"),
                other => write!(f, "CUBLAS_STATUS_{other}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_its_name_and_an_unknown_one_its_number() {
        crate::device::cuda::synchronise();
        assert!(driver(0).is_ok() && cublas(0).is_ok());
        assert_eq!(format!("{:?}", driver(2).unwrap_err()), "CUDA_ERROR_OUT_OF_MEMORY");
        assert_eq!(
            format!("{:?}", driver(4242).unwrap_err()),
            "CUDA_ERROR_4242, which this driver does not name"
        );
        assert_eq!(format!("{:?}", cublas(13).unwrap_err()), "CUBLAS_STATUS_EXECUTION_FAILED");
        assert_eq!(format!("{:?}", cublas(77).unwrap_err()), "CUBLAS_STATUS_77");
    }
}
