//! Products of matrices, unit length, gradient reversal.

use std::ops::Range;

use dfdx::prelude::*;

use crate::config::Precision;
use crate::device::cuda::{
    Gpu, GpuPtr, Operand, Target, args, at, at_slice, gradient_at, matrix, record_on_gpu,
};
use crate::device::{Dev, Matrix};
use crate::ops::linear::LinearWeights;

impl Gpu {
    /// [`crate::ops::linear::linear`]
    pub fn linear<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix,
        tape: T,
        layer: &LinearWeights,
        precision: Precision,
        through: bool,
    ) -> Matrix<T> {
        let ((rows, inputs), outputs) = (*x.shape(), layer.weight.shape().0);
        let out = matrix(rows, outputs);
        let to = Target { at: at(&out), stride: outputs };
        let weight = Operand::new(at(&layer.weight), outputs, inputs);
        self.each("fill_rows", rows * outputs, args![to.at, at(&layer.bias), rows, outputs]);
        self.gemm(Operand::new(at(&x), rows, inputs), weight.t(), to, true, precision);
        let layer = layer.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let g = Operand::new(g, rows, outputs);
            if through {
                let to = Target { at: gradient_at!(grads, &x), stride: inputs };
                self.gemm(g, Operand::new(at(&layer.weight), outputs, inputs), to, true, precision);
            }
            if layer.rate.trained() {
                let to = Target { at: gradient_at!(grads, &layer.weight), stride: inputs };
                self.gemm(g.t(), Operand::new(at(&x), rows, inputs), to, true, precision);
                self.sum_columns(gradient_at!(grads, &layer.bias), g.at, rows, outputs, outputs);
            }
        })
    }

    /// Adds the sums of columns that lie in rows `stride` floats apart. Many rows are summed in parts, and those again: a
    /// wide matrix alone does not fill a GPU.
    pub(crate) fn sum_columns(&self, to: GpuPtr, x: GpuPtr, rows: usize, width: usize, stride: usize) {
        const PART: usize = 512;
        let columns = width.div_ceil(32);
        let parts = rows.div_ceil(PART);
        if parts <= 1 {
            let args = args![to, x, rows, width, stride, PART, true];
            return self.launch("sum_columns", (columns, 1), (32, 8), args);
        }
        let sums = self.alloc(parts * width);
        let args = args![&sums, x, rows, width, stride, PART, false];
        self.launch("sum_columns", (columns, parts), (32, 8), args);
        self.sum_columns(to, at_slice(&sums), parts, width, width);
    }

    /// [`crate::ops::linear::similarity_with`]
    pub fn similarity<T: Tape<f32, Dev> + 'static>(
        &'static self,
        a: Matrix<T>,
        b: Matrix<T>,
        rows: Range<usize>,
    ) -> Matrix<T> {
        let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
        assert!(rows.end <= b.shape().0, "similarity: rows {rows:?} of {}", b.shape().0);
        let ((m, width), n) = (*a.shape(), rows.len());
        let first = rows.start * width;
        let out = matrix(m, n);
        let to = Target { at: at(&out), stride: n };
        let (left, right) = (Operand::new(at(&a), m, width), Operand::new(at(&b).plus(first), n, width));
        self.gemm(left, right.t(), to, false, Precision::F32);
        record_on_gpu!(ta.merge(tb), out, |grads, g| {
            let g = Operand::new(g, m, n);
            let to = Target { at: gradient_at!(grads, &a), stride: width };
            self.gemm(g, Operand::new(at(&b).plus(first), n, width), to, true, Precision::F32);
            let to = Target { at: gradient_at!(grads, &b).plus(first), stride: width };
            self.gemm(g.t(), Operand::new(at(&a), m, width), to, true, Precision::F32);
        })
    }

    /// [`crate::ops::linear::unit_rows`]
    pub fn unit_rows<T: Tape<f32, Dev> + 'static>(&'static self, x: Matrix<T>) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let (out, lengths) = (matrix(rows, width), self.alloc(rows));
        self.rows("unit_rows", rows, args![at(&out), &lengths, at(&x), width]);
        let unit = out.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let to = gradient_at!(grads, &x);
            self.rows("unit_rows_back", rows, args![to, g, at(&unit), at_slice(&lengths), width]);
        })
    }

    /// x (rows, width) as it is, with the gradient times `factor`.
    pub fn scale_gradient<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        factor: f32,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let out = matrix(rows, width);
        self.add_scaled(at(&out), at(&x), 1.0, rows * width);
        record_on_gpu!(tape, out, |grads, g| {
            self.add_scaled(gradient_at!(grads, &x), g, factor, rows * width);
        })
    }

    /// [`crate::ops::linear::blend`]
    pub fn blend<T: Tape<f32, Dev> + 'static>(
        &'static self,
        a: Matrix<T>,
        p: f32,
        b: Matrix<T>,
        q: f32,
    ) -> Matrix<T> {
        let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
        let (rows, width) = *a.shape();
        let out = matrix(rows, width);
        self.add_scaled(at(&out), at(&a), p, rows * width);
        self.add_scaled(at(&out), at(&b), q, rows * width);
        record_on_gpu!(ta.merge(tb), out, |grads, g| {
            self.add_scaled(gradient_at!(grads, &a), g, p, rows * width);
            self.add_scaled(gradient_at!(grads, &b), g, q, rows * width);
        })
    }

    /// to += factor · from
    pub(crate) fn add_scaled(&self, to: GpuPtr, from: GpuPtr, factor: f32, n: usize) {
        self.each("add_scaled", n, args![to, from, factor, n]);
    }
}
