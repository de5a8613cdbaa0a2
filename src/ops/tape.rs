//! How our operations touch dfdx: reach a tensor's floats, add a step to the tape, reach gradients.
//!
//! Operations are written for floats in the host's memory. On the CPU these are the tensor's own. On a GPU they are a copy,
//! which goes back when it is dropped: slow, but right, and what the kernels of the GPU are compared with.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use dfdx::prelude::*;

use crate::device::{Buffer, Dev, Matrix, Scalar, Vector, device};

/// The floats of a dense matrix (rows, columns), row by row: rows · columns of them.
pub fn data<T>(m: &Matrix<T>) -> Cow<'_, [f32]> {
    #[cfg(feature = "cuda")]
    return Cow::Owned(if m.shape().0 * m.shape().1 == 0 { Vec::new() } else { m.as_vec() });
    #[cfg(not(feature = "cuda"))]
    {
        let n = m.shape().0 * m.shape().1;
        if n == 0 {
            return Cow::Borrowed(&[]);
        }
        // SAFETY: `dense` has checked that the tensor holds n floats from its first element on.
        let all = unsafe { dense(&m[[0, 0]], &m[[m.shape().0 - 1, m.shape().1 - 1]], n) };
        Cow::Borrowed(all)
    }
}

/// The floats of a vector.
pub fn data1<T>(v: &Vector<T>) -> Cow<'_, [f32]> {
    #[cfg(feature = "cuda")]
    return Cow::Owned(if v.shape().0 == 0 { Vec::new() } else { v.as_vec() });
    #[cfg(not(feature = "cuda"))]
    {
        let n = v.shape().0;
        if n == 0 {
            return Cow::Borrowed(&[]);
        }
        // SAFETY: as in `data`.
        Cow::Borrowed(unsafe { dense(&v[[0]], &v[[n - 1]], n) })
    }
}

/// The `n` floats from the first to the last one. Panics where there is another number of places between them.
///
/// # Safety
/// `first` and `last` are the ends of one allocation's floats, all of them initialised and borrowed for `'a`; `n` is not 0.
#[cfg(not(feature = "cuda"))]
unsafe fn dense<'a>(first: &'a f32, last: &f32, n: usize) -> &'a [f32] {
    let distance = last as *const f32 as usize - first as *const f32 as usize;
    assert_eq!(distance, (n - 1) * 4, "a permuted or broadcast tensor");
    // SAFETY: the strides are those of a dense tensor, so its n floats follow one another.
    unsafe { std::slice::from_raw_parts(first, n) }
}

/// The floats of a dense matrix, to be changed in place.
pub fn data_mut(m: &mut Matrix) -> Changing<'_> {
    #[cfg(feature = "cuda")]
    return Changing::copied(data(m).into_owned(), move |new| m.copy_from(new));
    #[cfg(not(feature = "cuda"))]
    {
        let n = data(m).len();
        if n == 0 {
            return Changing(&mut []);
        }
        let first: *mut f32 = &mut m[[0, 0]];
        // SAFETY: `data` has checked that the matrix is dense; indexing mutably has made the buffer our own.
        Changing(unsafe { std::slice::from_raw_parts_mut(first, n) })
    }
}

/// The floats of a vector, to be changed in place.
pub fn data1_mut(v: &mut Vector) -> Changing<'_> {
    #[cfg(feature = "cuda")]
    return Changing::copied(data1(v).into_owned(), move |new| v.copy_from(new));
    #[cfg(not(feature = "cuda"))]
    {
        let n = data1(v).len();
        if n == 0 {
            return Changing(&mut []);
        }
        let first: *mut f32 = &mut v[[0]];
        // SAFETY: as in `data_mut`.
        Changing(unsafe { std::slice::from_raw_parts_mut(first, n) })
    }
}

/// The floats of a gradient, to be added to.
pub fn on_host(buffer: &mut Buffer) -> Changing<'_> {
    #[cfg(feature = "cuda")]
    return Changing::copied(crate::device::cuda::download(buffer), move |new| {
        crate::device::cuda::upload(new, buffer)
    });
    #[cfg(not(feature = "cuda"))]
    Changing(buffer)
}

/// Floats of the device that the host changes. On a GPU the change takes effect when this is dropped.
#[cfg(not(feature = "cuda"))]
pub struct Changing<'a>(&'a mut [f32]);

/// Takes what the host has made of a copy.
#[cfg(feature = "cuda")]
type Upload<'a> = Box<dyn FnMut(&[f32]) + 'a>;

/// Floats of the device that the host changes. On a GPU the change takes effect when this is dropped.
#[cfg(feature = "cuda")]
pub struct Changing<'a> {
    now: Vec<f32>,
    before: Vec<f32>,
    upload: Upload<'a>,
}

#[cfg(feature = "cuda")]
impl<'a> Changing<'a> {
    fn copied(now: Vec<f32>, upload: impl FnMut(&[f32]) + 'a) -> Self {
        Changing { before: now.clone(), now, upload: Box::new(upload) }
    }
}

/// On both devices, so that what the compiler accepts for one it accepts for the other.
impl Drop for Changing<'_> {
    #[cfg(not(feature = "cuda"))]
    fn drop(&mut self) {}

    #[cfg(feature = "cuda")]
    fn drop(&mut self) {
        let bits = |x: &[f32]| bytemuck::cast_slice::<f32, u32>(x).to_vec();
        if bits(&self.now) != bits(&self.before) {
            (self.upload)(&self.now);
        }
    }
}

impl Deref for Changing<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        #[cfg(not(feature = "cuda"))]
        return self.0;
        #[cfg(feature = "cuda")]
        &self.now
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        #[cfg(not(feature = "cuda"))]
        return self.0;
        #[cfg(feature = "cuda")]
        &mut self.now
    }
}

/// A matrix (rows, cols) that takes over `data`, which must hold rows · cols floats, row by row.
pub fn matrix(data: Vec<f32>, rows: usize, cols: usize) -> Matrix {
    assert_eq!(data.len(), rows * cols, "matrix of {rows} × {cols}");
    if data.is_empty() {
        return device().zeros_like(&(rows, cols)); // nothing to copy: a driver may refuse it
    }
    device().tensor_from_vec(data, (rows, cols))
}

/// A vector (n) that takes over the n floats of `data`.
pub fn vector(data: Vec<f32>) -> Vector {
    let n = data.len();
    device().tensor_from_vec(data, (n,))
}

/// A number on the device.
pub fn scalar(x: f32) -> Scalar {
    device().tensor(x)
}

/// Gradients by tensor, as handed to backward steps.
pub type Grads = Gradients<f32, Dev>;

/// Takes the finished gradient of an operation's result to the host. It is needed once, by the operation itself.
pub fn taken(gradient: &mut Buffer) -> Vec<f32> {
    #[cfg(feature = "cuda")]
    return crate::device::cuda::download(gradient);
    #[cfg(not(feature = "cuda"))]
    std::mem::take(&mut **gradient)
}

/// Gives `out` the tape of `$input` with a backward step: `|grads, gradient of out| …`.
macro_rules! record {
    ($tape:expr, $out:expr, |$grads:ident, $g:ident| $body:block) => {{
        let (mut tape, out) = ($tape, $out);
        let ghost = out.ghost();
        tape.add_backward_op(move |$grads| {
            let $g = $crate::ops::tape::taken($grads.get_or_alloc_mut(&ghost)?);
            $body
            Ok(())
        });
        out.put_tape(tape)
    }};
}
pub(crate) use record;
