//! How our operations touch dfdx: read a tensor's floats in place, add a step to the tape, reach gradients.

use dfdx::prelude::*;

use crate::device::{Dev, Matrix, Scalar, Vector};

/// The floats of a dense matrix, row by row.
pub fn data<T>(m: &Matrix<T>) -> &[f32] {
    let n = m.shape().0 * m.shape().1;
    if n == 0 {
        return &[];
    }
    let first = &m[[0, 0]];
    let last = &m[[m.shape().0 - 1, m.shape().1 - 1]];
    assert_eq!(
        last as *const f32 as usize - first as *const f32 as usize,
        (n - 1) * 4,
        "a permuted or broadcast matrix"
    );
    // SAFETY: the tensor holds n floats from `first` on: its strides are those of a dense matrix.
    unsafe { std::slice::from_raw_parts(first, n) }
}

/// The floats of a vector.
pub fn data1<T>(v: &Vector<T>) -> &[f32] {
    let n = v.shape().0;
    if n == 0 {
        return &[];
    }
    let first = &v[[0]];
    assert_eq!(
        &v[[n - 1]] as *const f32 as usize - first as *const f32 as usize,
        (n - 1) * 4,
        "a broadcast vector"
    );
    // SAFETY: as in `data`.
    unsafe { std::slice::from_raw_parts(first, n) }
}

/// The floats of a dense matrix, to be changed in place.
pub fn data_mut(m: &mut Matrix) -> &mut [f32] {
    let n = data(m).len();
    if n == 0 {
        return &mut [];
    }
    let first: *mut f32 = &mut m[[0, 0]];
    // SAFETY: `data` has checked that the matrix is dense; indexing mutably has made the buffer our own.
    unsafe { std::slice::from_raw_parts_mut(first, n) }
}

/// The floats of a vector, to be changed in place.
pub fn data1_mut(v: &mut Vector) -> &mut [f32] {
    let n = data1(v).len();
    if n == 0 {
        return &mut [];
    }
    let first: *mut f32 = &mut v[[0]];
    // SAFETY: as in `data_mut`.
    unsafe { std::slice::from_raw_parts_mut(first, n) }
}

/// A matrix that takes over `data`, which must hold rows × cols floats.
pub fn matrix(data: Vec<f32>, rows: usize, cols: usize) -> Matrix {
    assert_eq!(data.len(), rows * cols, "matrix of {rows} × {cols}");
    Dev::default().tensor_from_vec(data, (rows, cols))
}

pub fn vector(data: Vec<f32>) -> Vector {
    let n = data.len();
    Dev::default().tensor_from_vec(data, (n,))
}

pub fn scalar(x: f32) -> Scalar {
    Dev::default().tensor(x)
}

/// Gradients by tensor, as handed to backward steps.
pub type Grads = Gradients<f32, Dev>;

/// Takes the finished gradient of an operation's result. It is needed once, by the operation itself.
macro_rules! take_grad {
    ($grads:expr, $ghost:expr) => {
        std::mem::take(&mut **$grads.get_or_alloc_mut(&$ghost)?)
    };
}
pub(crate) use take_grad;

/// Gives `out` the tape of `$input` with a backward step: `|grads, gradient of out| …`.
macro_rules! record {
    ($tape:expr, $out:expr, |$grads:ident, $g:ident| $body:block) => {{
        let (mut tape, out) = ($tape, $out);
        let ghost = out.ghost();
        tape.add_backward_op(move |$grads| {
            let $g = $crate::ops::tape::take_grad!($grads, ghost);
            $body
            Ok(())
        });
        out.put_tape(tape)
    }};
}
pub(crate) use record;
