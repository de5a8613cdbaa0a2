//! GRU and LSTM over sentences of different lengths: one product for all inputs; per time step one for all prefixes with which a
//! sentence goes on, and one kernel for the gates of all that come next.

use std::sync::Arc;

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use crate::config::Pooling;
use crate::device::cuda::{
    Gpu, GpuPtr, Operand, Target, args, at, at_slice, gradient_at, matrix, record_on_gpu,
};
use crate::device::{Dev, Matrix};
use crate::ops::recurrent::prefixes::Prefixes;
use crate::ops::recurrent::{Reading, RecurrentWeights};
use crate::ops::rows::cuda::NONE;
use crate::ops::sequences::{Occurrences, Sequences};

/// Parts of a row of saved values, for both cells.
const SLOTS: usize = 4;

/// The tree of the prefixes and, on the GPU, what the kernels need of it.
struct Tree {
    here: Prefixes,
    sentences: CudaSlice<u32>,
    tokens: CudaSlice<u32>,
    parents: CudaSlice<u32>,
    inner: CudaSlice<u32>,
    wholes: CudaSlice<u32>,
    children: CudaSlice<u32>,
}

impl Tree {
    fn new(gpu: &Gpu, sentences: &Sequences) -> Self {
        let here = Prefixes::deal(sentences, 1).remove(0);
        let wholes: Vec<u32> = here.wholes.iter().flat_map(|&(first, end)| [first, end]).collect();
        Tree {
            sentences: gpu.numbers(&here.sentences),
            tokens: gpu.numbers(&here.tokens),
            parents: gpu.numbers(&here.parents),
            inner: gpu.numbers(&here.inner),
            wholes: gpu.numbers(&wholes),
            children: gpu.numbers(&here.children),
            here,
        }
    }
}

/// What backward needs of forward.
struct Saved {
    tree: Tree,
    /// A row for each prefix.
    slots: CudaSlice<f32>,
    /// A row for each inner prefix: its state and, behind it, what is pooled so far.
    states: CudaSlice<f32>,
    /// For max pooling: whether a prefix's own state is the largest so far (prefixes, hidden).
    own: CudaSlice<u32>,
}

/// One call of the operation.
#[derive(Clone, Copy)]
struct Call {
    gates: usize,
    hidden: usize,
    reading: Reading,
}

impl Call {
    /// The width of all gates.
    fn all(&self) -> usize {
        self.gates * self.hidden
    }

    /// The width of a row of states.
    fn row(&self) -> usize {
        let state = if self.gates == 4 { 2 } else { 1 };
        let sofar = usize::from(self.reading.pooling != Pooling::Last);
        (state + sofar) * self.hidden
    }
}

impl Gpu {
    /// [`crate::ops::recurrent::gru`] with `gates` = 3, [`crate::ops::recurrent::lstm`] with 4
    pub fn recurrent<T: Tape<f32, Dev> + 'static>(
        &'static self,
        gates: usize,
        tokens: Matrix<T>,
        weights: &RecurrentWeights,
        sentences: &Arc<Sequences>,
        reading: Reading,
    ) -> Matrix<T> {
        let (x, tape) = tokens.split_tape();
        let hidden = weights.weight_hh.shape().1;
        let call = Call { gates, hidden, reading };
        let out = matrix(sentences.len(), hidden);
        let saved = self.run(call, &x, weights, sentences, at(&out));
        let weights = weights.clone();
        record_on_gpu!(tape, out, |grads, g| {
            let products = self.unroll(call, &weights, &saved, g);
            let ((distinct, width), precision) = (*x.shape(), reading.precision);
            let (all, row) = (call.all(), call.row());
            let inputs = self.alloc(distinct * all); // the gates' gradients by token
            let tree = &saved.tree.here;
            let occurrences = Occurrences::of(tree.tokens.iter().copied(), distinct);
            let (starts, places) = (self.numbers(occurrences.starts()), self.numbers(occurrences.places()));
            let args = args![&inputs, &saved.slots, &starts, &places, distinct, hidden, gates];
            self.each("sum_gates", distinct * all, args);
            let d = Operand::new(at_slice(&inputs), distinct, all);
            let to = Target { at: gradient_at!(grads, &x), stride: width };
            self.gemm(d, Operand::new(at(&weights.weight_ih), all, width), to, true, precision);
            if weights.rate.trained() {
                let to = Target { at: gradient_at!(grads, &weights.weight_ih), stride: width };
                self.gemm(d.t(), Operand::new(at(&x), distinct, width), to, true, precision);
                // The state before the first token is zero.
                let rows = tree.inner_count() - 1;
                let states = Operand::new(at_slice(&saved.states).plus(row), rows, hidden).strided(row);
                let products = Operand::new(at_slice(&products).plus(all), rows, all);
                let to = Target { at: gradient_at!(grads, &weights.weight_hh), stride: hidden };
                self.gemm(products.t(), states, to, true, precision);
                self.sum_columns(gradient_at!(grads, &weights.bias_ih), d.at, distinct, all, all);
                let (to, slots) = (gradient_at!(grads, &weights.bias_hh), at_slice(&saved.slots));
                self.sum_columns(to, slots, tree.count(), all, SLOTS * hidden);
            }
        })
    }

    fn run(
        &self,
        call: Call,
        x: &Matrix,
        weights: &RecurrentWeights,
        sentences: &Sequences,
        pooled: GpuPtr,
    ) -> Saved {
        let Call { gates, hidden, reading } = call;
        let ((distinct, width), all, row) = (*x.shape(), call.all(), call.row());
        let tree = Tree::new(self, sentences);
        let prefixes = &tree.here;
        let own = if reading.pooling == Pooling::Max { prefixes.count() * hidden } else { 0 };
        let inputs = self.alloc(distinct * all); // (distinct, gates · hidden)
        let to = at_slice(&inputs);
        self.each("fill_rows", distinct * all, args![to, at(&weights.bias_ih), distinct, all]);
        // Both biases of a gate add up, but for the GRU's last one, whose recurrent bias the reset gate multiplies.
        let shared = if gates == 4 { all } else { 2 * hidden };
        let args = args![to, all, 0usize, at(&weights.bias_hh), 0usize, 0usize, distinct, shared, true];
        self.each("copy_columns", distinct * shared, args);
        let weight = Operand::new(at(&weights.weight_ih), all, width);
        let to = Target { at: to, stride: all };
        self.gemm(Operand::new(at(x), distinct, width), weight.t(), to, true, reading.precision);

        let saved = Saved {
            slots: self.alloc(prefixes.count() * SLOTS * hidden),
            states: self.alloc(prefixes.inner_count() * row),
            own: self.numbers(&vec![0; own]),
            tree,
        };
        let tree = &saved.tree;
        let longest = tree.here.longest();
        let most = (1..longest).map(|t| tree.here.inner_at(t).len()).max().unwrap_or(0);
        let products = self.alloc(most * all);
        let recurrent = Operand::new(at(&weights.weight_hh), all, hidden).t();
        let step = if gates == 4 { "lstm_step" } else { "gru_step" };
        for t in 0..longest {
            let (inner, now) = (tree.here.inner_at(t), tree.here.at(t));
            if t > 0 {
                let states = at_slice(&saved.states).plus(inner.start * row);
                let to = Target { at: at_slice(&products), stride: all };
                let states = Operand::new(states, inner.len(), hidden).strided(row);
                self.gemm(states, recurrent, to, false, reading.precision);
            }
            let args = args![
                &saved.slots,
                &inputs,
                &products,
                at(&weights.bias_hh),
                &saved.states,
                pooled,
                self.own(&saved, reading),
                &tree.tokens,
                &tree.parents,
                &tree.inner,
                &tree.wholes,
                &tree.sentences,
                now.start,
                now.end,
                inner.start,
                hidden,
                t,
                reading.pooling as usize
            ];
            self.each(step, now.len() * hidden, args);
        }
        saved
    }

    fn own(&self, saved: &Saved, reading: Reading) -> GpuPtr {
        if reading.pooling == Pooling::Max { at_slice(&saved.own) } else { NONE }
    }

    /// Runs back through time; the slots then hold the gradients of the gates. Returns those of the recurrent products, a row for
    /// each inner prefix; of these the first is not written.
    fn unroll(&self, call: Call, weights: &RecurrentWeights, saved: &Saved, g: GpuPtr) -> CudaSlice<f32> {
        let Call { gates, hidden, reading } = call;
        let (all, row, tree) = (call.all(), call.row(), &saved.tree);
        let longest = tree.here.longest();
        let products = self.alloc(tree.here.inner_count() * all);
        let grads = self.alloc(tree.here.inner_count() * row); // of the inner prefixes' states
        // What each prefix hands on to its parent's state, but through the product.
        let most = (0..longest).map(|t| tree.here.at(t).len()).max().unwrap_or(0);
        let direct = self.alloc(most * row);
        let recurrent = Operand::new(at(&weights.weight_hh), all, hidden);
        let back = if gates == 4 { "lstm_back" } else { "gru_back" };
        for t in (0..longest).rev() {
            let (inner, now) = (tree.here.inner_at(t), tree.here.at(t));
            let args = args![
                &saved.slots,
                &saved.states,
                &grads,
                &direct,
                g,
                self.own(saved, reading),
                &tree.parents,
                &tree.inner,
                &tree.wholes,
                &tree.sentences,
                now.start,
                now.end,
                hidden,
                t,
                reading.pooling as usize
            ];
            self.each(back, now.len() * hidden, args);
            if t > 0 {
                let args = args![
                    &products,
                    &grads,
                    &saved.slots,
                    &direct,
                    &tree.children,
                    inner.start,
                    inner.len(),
                    now.start,
                    all,
                    SLOTS * hidden,
                    row
                ];
                self.each("sum_children", inner.len() * (all + row), args);
                let d = Operand::new(at_slice(&products).plus(inner.start * all), inner.len(), all);
                let to = Target { at: at_slice(&grads).plus(inner.start * row), stride: row };
                self.gemm(d, recurrent, to, true, reading.precision);
            }
        }
        products
    }
}
