//! GRU and LSTM over sentences of different lengths: one product for all inputs; per time step one for all prefixes with which a
//! sentence goes on, and one kernel for the gates of all that come next.

use std::sync::{Arc, OnceLock};

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use crate::config::Pooling;
use crate::device::cuda::pinned::Sent;
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
pub(crate) struct Tree {
    here: Prefixes,
    sentences: Sent,
    tokens: Sent,
    parents: Sent,
    inner: Sent,
    wholes: Sent,
    children: Sent,
    /// Distinct tokens, and where each occurs among the prefixes, for backward.
    distinct: usize,
    places: OnceLock<[Sent; 2]>,
}

impl Tree {
    fn new(gpu: &Gpu, sentences: &Sequences, distinct: usize) -> Self {
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
            distinct,
            places: OnceLock::new(),
        }
    }

    /// Where the places of each token begin, and the places.
    fn places(&self, gpu: &Gpu) -> &[Sent; 2] {
        self.places.get_or_init(|| {
            let occurrences = Occurrences::of(self.here.tokens.iter().copied(), self.distinct);
            [gpu.numbers(occurrences.starts()), gpu.numbers(occurrences.places())]
        })
    }
}

impl Sequences {
    /// Their tree, over so many distinct tokens.
    fn tree(&self, gpu: &Gpu, distinct: usize) -> Arc<Tree> {
        let new = || Tree::new(gpu, self, distinct);
        let kept = self.kept.get_or(new).filter(|tree| tree.distinct == distinct);
        kept.unwrap_or_else(|| Arc::new(new()))
    }

    /// Builds their tree and sends it before a step asks for it.
    pub(crate) fn send_tree(&self, gpu: &Gpu, distinct: usize) {
        self.tree(gpu, distinct).places(gpu);
    }
}

/// What backward needs of forward.
struct Saved {
    tree: Arc<Tree>,
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
            self.unroll(call, &weights, &saved, g);
            let ((distinct, width), precision) = (*x.shape(), reading.precision);
            let (all, row) = (call.all(), call.row());
            let inputs = self.alloc(distinct * all); // the gates' gradients by token
            let (tree, [starts, places]) = (&saved.tree.here, saved.tree.places(self));
            let args = args![&inputs, &saved.slots, starts, places, distinct, hidden, gates];
            self.each("sum_gates", distinct * all, args);
            let d = Operand::new(at_slice(&inputs), distinct, all);
            let to = Target { at: gradient_at!(grads, &x), stride: width };
            self.gemm(d, Operand::new(at(&weights.weight_ih), all, width), to, true, precision);
            if weights.rate.trained() {
                let to = Target { at: gradient_at!(grads, &weights.weight_ih), stride: width };
                self.gemm(d.t(), Operand::new(at(&x), distinct, width), to, true, precision);
                let inner = tree.inner_count();
                let products = self.alloc(inner * all);
                let args = args![&products, &saved.slots, &saved.tree.children, inner, all, SLOTS * hidden];
                self.each("sum_children", inner * all, args);
                // The state before the first token is zero.
                let rows = inner - 1;
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
        let tree = sentences.tree(self, distinct);
        let prefixes = &tree.here;
        let own = if reading.pooling == Pooling::Max { prefixes.count() * hidden } else { 0 };
        let inputs = self.alloc(distinct * all); // (distinct, gates · hidden)
        let to = at_slice(&inputs);
        let bias = at(&weights.bias_hh);
        // Both biases of a gate add up, but for the GRU's last one, whose recurrent bias the reset gate multiplies.
        let shared = if gates == 4 { all } else { 2 * hidden };
        let args = args![to, at(&weights.bias_ih), bias, distinct, all, shared];
        self.each("fill_gates", distinct * all, args);
        let weight = Operand::new(at(&weights.weight_ih), all, width);
        let to = Target { at: to, stride: all };
        self.gemm(Operand::new(at(x), distinct, width), weight.t(), to, true, reading.precision);

        let saved = Saved {
            slots: self.alloc(prefixes.count() * SLOTS * hidden),
            states: self.alloc(prefixes.inner_count() * row),
            own: self.alloc_numbers(own),
            tree,
        };
        let tree = &saved.tree;
        let longest = tree.here.longest();
        let most = (1..longest).map(|t| tree.here.inner_at(t).len()).max().unwrap_or(0);
        let products = self.alloc(most * all);
        let recurrent = Operand::new(at(&weights.weight_hh), all, hidden).t();
        let step = if gates == 4 { "lstm_step" } else { "gru_step" };
        let own = self.own(&saved, reading);
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
                bias,
                &saved.states,
                pooled,
                own,
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

    /// Runs back through time; the slots then hold the gradients of the gates.
    fn unroll(&self, call: Call, weights: &RecurrentWeights, saved: &Saved, g: GpuPtr) {
        let Call { gates, hidden, reading } = call;
        let (all, row, tree) = (call.all(), call.row(), &saved.tree);
        let longest = tree.here.longest();
        // What each prefix hands on to its parent's state: of the prefixes at hand, and of those with one token more.
        let most = (0..longest).map(|t| tree.here.at(t).len()).max().unwrap_or(0);
        let mut handed = [self.alloc(most * row), self.alloc(most * row)];
        let recurrent = Operand::new(at(&weights.weight_hh), all, hidden);
        let back = if gates == 4 { "lstm_back" } else { "gru_back" };
        let own = self.own(saved, reading);
        for t in (0..longest).rev() {
            let now = tree.here.at(t);
            let [direct, later] = &handed;
            let args = args![
                &saved.slots,
                &saved.states,
                later,
                direct,
                g,
                own,
                &tree.parents,
                &tree.inner,
                &tree.children,
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
                let slots = at_slice(&saved.slots).plus(now.start * SLOTS * hidden);
                let d = Operand::new(slots, now.len(), all).strided(SLOTS * hidden);
                let to = Target { at: at_slice(direct), stride: row };
                self.gemm(d, recurrent, to, true, reading.precision);
            }
            handed.swap(0, 1);
        }
    }
}
