//! Rows of tables and of matrices.

use std::sync::Arc;

use dfdx::prelude::*;

use crate::device::cuda::{
    Gpu, GpuPtr, MOST_ELEMENTS, args, at, at_buffer, gradient_at, matrix, record_on_gpu, taken,
};
use crate::device::{Dev, Matrix};
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::Table;
use crate::ops::sequences::{Occurrences, Sequences};

/// As many matrices as go with a launch (`Parts` in kernels/rows.cu).
const MOST_PARTS: usize = 32;

/// Matrices below each other: an argument by value, of `Parts`' layout.
#[repr(C)]
#[derive(Clone, Copy)]
struct Parts {
    part: [u64; MOST_PARTS],
    end: [u32; MOST_PARTS],
}

/// No address: a kernel takes it for "none".
pub(crate) const NONE: GpuPtr = GpuPtr(0);

impl Gpu {
    /// [`crate::ops::rows::lookup`]
    pub fn lookup<T: Tape<f32, Dev> + 'static>(&'static self, table: &Table, rows: &[u32]) -> Matrix<T> {
        let (n, width) = (rows.len(), table.width);
        let out = matrix(n, width);
        let from = at_buffer(table.values().device());
        self.each("gather_rows", n * width, args![at(&out), from, &self.numbers(rows), n, width]);
        let (sink, kept) = (table.grads.clone(), if T::OWNS_TAPE { rows.to_vec() } else { Vec::new() });
        let (mut tape, ghost) = (T::default(), out.ghost());
        tape.add_backward_op(move |grads| {
            // The tape's gradient would go with the tape; the optimiser wants it later.
            let own = taken(grads.get_or_alloc_mut(&ghost)?);
            let entry = (kept, HostDeviceBuffer::on_device(own));
            sink.lock().expect("gradients are taken without panicking").push(entry);
            Ok(())
        });
        out.put_tape(tape)
    }

    /// [`crate::ops::rows::stack`]
    pub fn stack<T: Tape<f32, Dev> + 'static>(&'static self, inputs: Vec<Matrix>, tape: T) -> Matrix<T> {
        let width = inputs[0].shape().1;
        let out = matrix(inputs.iter().map(|part| part.shape().0).sum(), width);
        let sizes: Vec<usize> = inputs.iter().map(|part| part.shape().0 * width).collect();
        self.stack_parts(inputs.iter().map(at).zip(sizes.iter().copied()), at(&out), false);
        record_on_gpu!(tape, out, |grads, g| {
            let mut parts = Vec::new();
            for (part, &size) in inputs.iter().zip(&sizes) {
                parts.push((gradient_at!(grads, part), size));
            }
            self.stack_parts(parts.into_iter(), g, true);
        })
    }

    /// Writes parts of so many floats behind each other to `whole`; or adds to each part its own of them.
    fn stack_parts(&self, parts: impl Iterator<Item = (GpuPtr, usize)>, mut whole: GpuPtr, back: bool) {
        let parts: Vec<(GpuPtr, usize)> = parts.collect();
        for some in parts.chunks(MOST_PARTS) {
            let (mut of, mut n) = (Parts { part: [0; MOST_PARTS], end: [0; MOST_PARTS] }, 0);
            for (k, (at, size)) in some.iter().enumerate() {
                n += size;
                (of.part[k], of.end[k]) = (at.0, n as u32);
            }
            assert!(n <= MOST_ELEMENTS, "`stack_parts` for {n} elements: a kernel counts to 2³²");
            self.launch_with("stack_parts", (n.div_ceil(256), 1), (256, 1), &of, args![whole, n, back]);
            whole = whole.plus(n);
        }
    }

    /// [`crate::ops::rows::hconcat`]
    pub fn hconcat<T: Tape<f32, Dev> + 'static>(&'static self, a: Matrix<T>, b: Matrix<T>) -> Matrix<T> {
        let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
        let ((rows, m), n) = (*a.shape(), b.shape().1);
        let out = matrix(rows, m + n);
        self.copy_columns((at(&out), m + n, 0), (at(&a), m, 0), rows, m, false);
        self.copy_columns((at(&out), m + n, m), (at(&b), n, 0), rows, n, false);
        record_on_gpu!(ta.merge(tb), out, |grads, g| {
            self.copy_columns((gradient_at!(grads, &a), m, 0), (g, m + n, 0), rows, m, true);
            self.copy_columns((gradient_at!(grads, &b), n, 0), (g, m + n, m), rows, n, true);
        })
    }

    /// [`crate::ops::rows::columns`]
    pub fn columns<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        first: usize,
        count: usize,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (rows, width) = *x.shape();
        let out = matrix(rows, count);
        self.copy_columns((at(&out), count, 0), (at(&x), width, first), rows, count, false);
        record_on_gpu!(tape, out, |grads, g| {
            self.copy_columns((gradient_at!(grads, &x), width, first), (g, count, 0), rows, count, true);
        })
    }

    /// Copies or adds `width` columns; both matrices as address, stride and first column.
    fn copy_columns(
        &self,
        to: (GpuPtr, usize, usize),
        from: (GpuPtr, usize, usize),
        rows: usize,
        width: usize,
        add: bool,
    ) {
        let args = args![to.0, to.1, to.2, from.0, from.1, from.2, rows, width, add];
        self.each("copy_columns", rows * width, args);
    }

    /// [`crate::ops::rows::gather_concat`]
    pub fn gather_concat<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix<T>,
        rows: &[u32],
        length: usize,
    ) -> Matrix<T> {
        let (x, tape) = x.split_tape();
        let (all, width) = *x.shape();
        let out = matrix(rows.len() / length, length * width);
        let n = rows.len();
        self.each("gather_rows", n * width, args![at(&out), at(&x), &self.numbers(rows), n, width]);
        let kept = if T::OWNS_TAPE { rows.to_vec() } else { Vec::new() };
        record_on_gpu!(tape, out, |grads, g| {
            let occurrences = Occurrences::of(kept.iter().copied(), all);
            let places = self.numbers(occurrences.places());
            let starts = self.numbers(occurrences.starts());
            let to = gradient_at!(grads, &x);
            self.each("accumulate_rows", all * width, args![to, g, &starts, &places, NONE, all, width]);
        })
    }

    /// [`crate::ops::rows::mean`]
    pub fn mean<T: Tape<f32, Dev> + 'static>(
        &'static self,
        tokens: Matrix<T>,
        sentences: &Arc<Sequences>,
    ) -> Matrix<T> {
        let (x, tape) = tokens.split_tape();
        let (distinct, width) = *x.shape();
        let (count, out) = (sentences.len(), matrix(sentences.len(), width));
        let share = |s: usize| 1.0 / sentences.length(s) as f32;
        let shares: Vec<f32> =
            (0..count).flat_map(|s| std::iter::repeat_n(share(s), sentences.length(s))).collect();
        let (starts, rows) = (self.numbers(&sentences.starts), self.numbers(&sentences.rows));
        let weights = self.floats(&shares);
        let args = args![at(&out), at(&x), &starts, &rows, &weights, count, width];
        self.each("accumulate_rows", count * width, args);
        let sentences = sentences.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let of: Vec<u32> =
                (0..count).flat_map(|s| std::iter::repeat_n(s as u32, sentences.length(s))).collect();
            let occurrences = Occurrences::of(sentences.rows.iter().copied(), distinct);
            let places = occurrences.places().iter();
            let (sources, weights): (Vec<u32>, Vec<f32>) =
                places.map(|&p| (of[p as usize], shares[p as usize])).unzip();
            let (starts, sources) = (self.numbers(occurrences.starts()), self.numbers(&sources));
            let (to, weights) = (gradient_at!(grads, &x), self.floats(&weights));
            let args = args![to, g, &starts, &sources, &weights, distinct, width];
            self.each("accumulate_rows", distinct * width, args);
        })
    }
}
