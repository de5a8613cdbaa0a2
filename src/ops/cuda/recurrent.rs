//! GRU and LSTM over sentences of different lengths: one product for all inputs; per time step one for all sentences that
//! still run, and one kernel for all their gates.

use std::sync::Arc;

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use super::rows::NONE;
use super::{At, Gpu, Operand, Target, args, at, at_slice, gradient_at, matrix, record_on_gpu};
use crate::config::{Pooling, Precision};
use crate::device::{Dev, Matrix};
use crate::ops::recurrent::RecurrentWeights;
use crate::ops::sequences::{Occurrences, Sequences};

/// Parts of a row of saved values, for both cells.
const SLOTS: usize = 4;

/// Sentences by length, the longest first, and what each time step needs of them.
struct Schedule {
    /// Sentences that run at each time step.
    running: Vec<usize>,
    /// Row at which each time step begins; one more entry for the end.
    first: Vec<usize>,
    /// The token of each row.
    tokens: Vec<u32>,
    order: CudaSlice<u32>,
    /// Of the sentences in this order.
    lengths: CudaSlice<u32>,
    tokens_there: CudaSlice<u32>,
}

impl Schedule {
    fn new(gpu: &Gpu, sentences: &Sequences) -> Self {
        let mut order: Vec<u32> = (0..sentences.len() as u32).collect();
        let length = |s: u32| sentences.length(s as usize);
        order.sort_by_key(|&s| std::cmp::Reverse(length(s)));
        let longest = order.first().map_or(0, |&s| length(s));
        let running: Vec<usize> = (0..longest).map(|t| order.partition_point(|&s| length(s) > t)).collect();
        let mut first = vec![0];
        for n in &running {
            first.push(first[first.len() - 1] + n);
        }
        let at_time = |t: usize, n: usize| order[..n].iter().map(move |&s| sentences.get(s as usize)[t]);
        let tokens: Vec<u32> = running.iter().enumerate().flat_map(|(t, &n)| at_time(t, n)).collect();
        let lengths: Vec<u32> = order.iter().map(|&s| length(s) as u32).collect();
        Schedule {
            order: gpu.numbers(&order),
            lengths: gpu.numbers(&lengths),
            tokens_there: gpu.numbers(&tokens),
            running,
            first,
            tokens,
        }
    }

    fn rows(&self) -> usize {
        self.tokens.len()
    }

    fn next(&self, t: usize) -> usize {
        self.running.get(t + 1).copied().unwrap_or(0)
    }
}

/// What backward needs of forward: a row for each running sentence of each time step.
struct Saved {
    schedule: Schedule,
    slots: CudaSlice<f32>,
    /// The state before each row's step.
    states: CudaSlice<f32>,
    carries: CudaSlice<f32>,
    /// For max pooling: the time step of each maximum (sentences, hidden).
    maxima: CudaSlice<u32>,
}

impl Gpu {
    /// [`crate::ops::recurrent::gru`] with `gates` = 3, [`crate::ops::recurrent::lstm`] with 4
    #[allow(clippy::too_many_arguments)]
    pub fn recurrent<T: Tape<f32, Dev> + 'static>(
        &'static self,
        gates: usize,
        tokens: Matrix<T>,
        weights: &RecurrentWeights,
        sentences: &Arc<Sequences>,
        pooling: Pooling,
        precision: Precision,
        weights_learn: bool,
    ) -> Matrix<T> {
        let (x, tape) = tokens.split_tape();
        let hidden = weights.weight_hh.shape().1;
        let out = matrix(sentences.len(), hidden);
        let saved = self.run(gates, &x, weights, sentences, pooling, precision, at(&out));
        let weights = weights.clone();
        record_on_gpu!(tape, out, |grads, g| {
            self.unroll(gates, &weights, &saved, pooling, precision, g);
            let (distinct, width) = *x.shape();
            let all = gates * hidden;
            let inputs = self.alloc(distinct * all); // the gates' gradients by token
            let occurrences = Occurrences::of(saved.schedule.tokens.iter().copied(), distinct);
            let (starts, places) = (self.numbers(occurrences.starts()), self.numbers(occurrences.places()));
            let args = args![&inputs, &saved.slots, &starts, &places, distinct, hidden, gates];
            self.each("sum_gates", distinct * all, args);
            let d = Operand::new(at_slice(&inputs), distinct, all);
            let to = Target { at: gradient_at!(grads, &x), stride: width };
            self.gemm(d, Operand::new(at(&weights.weight_ih), all, width), to, true, precision);
            if weights_learn {
                let to = Target { at: gradient_at!(grads, &weights.weight_ih), stride: width };
                self.gemm(d.t(), Operand::new(at(&x), distinct, width), to, true, precision);
                let (rows, slots) = (saved.schedule.rows(), at_slice(&saved.slots));
                // The first step has no state before it.
                let from = saved.schedule.first.get(1).copied().unwrap_or(rows);
                let states = Operand::new(at_slice(&saved.states).plus(from * hidden), rows - from, hidden);
                let after = slots.plus(from * SLOTS * hidden);
                let d_gates = Operand::new(after, rows - from, all).strided(SLOTS * hidden);
                let to = Target { at: gradient_at!(grads, &weights.weight_hh), stride: hidden };
                self.gemm(d_gates.t(), states, to, true, precision);
                self.sum_columns(gradient_at!(grads, &weights.bias_ih), d.at, distinct, all, all);
                let to = gradient_at!(grads, &weights.bias_hh);
                self.sum_columns(to, slots, rows, all, SLOTS * hidden);
            }
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn run(
        &self,
        gates: usize,
        x: &Matrix,
        weights: &RecurrentWeights,
        sentences: &Sequences,
        pooling: Pooling,
        precision: Precision,
        pooled: At,
    ) -> Saved {
        let ((distinct, width), hidden) = (*x.shape(), weights.weight_hh.shape().1);
        let all = gates * hidden;
        let schedule = Schedule::new(self, sentences);
        let rows = schedule.rows();
        let carry = if gates == 4 { hidden } else { 0 };
        let max = if pooling == Pooling::Max { sentences.len() * hidden } else { 0 };
        let saved = Saved {
            slots: self.alloc(rows * SLOTS * hidden),
            states: self.alloc(rows * hidden),
            carries: self.alloc(rows * carry),
            maxima: super::must(self.cuda.alloc_zeros(max.max(1))),
            schedule,
        };
        let inputs = self.alloc(distinct * all); // (distinct, gates · hidden)
        let to = at_slice(&inputs);
        self.each("fill_rows", distinct * all, args![to, at(&weights.bias_ih), distinct, all]);
        // Both biases of a gate add up, but for the GRU's last one, whose recurrent bias the reset gate multiplies.
        let shared = if gates == 4 { all } else { 2 * hidden };
        let args = args![to, all, 0usize, at(&weights.bias_hh), 0usize, 0usize, distinct, shared, true];
        self.each("copy_columns", distinct * shared, args);
        let weight = Operand::new(at(&weights.weight_ih), all, width);
        let to = Target { at: to, stride: all };
        self.gemm(Operand::new(at(x), distinct, width), weight.t(), to, true, precision);

        let recurrent = Operand::new(at(&weights.weight_hh), all, hidden).t();
        let schedule = &saved.schedule;
        for (t, &running) in schedule.running.iter().enumerate() {
            let (first, next) = (schedule.first[t], schedule.next(t));
            let slots = at_slice(&saved.slots).plus(first * SLOTS * hidden);
            let states = at_slice(&saved.states).plus(first * hidden);
            if t > 0 {
                let to = Target { at: slots, stride: SLOTS * hidden };
                self.gemm(Operand::new(states, running, hidden), recurrent, to, false, precision);
            }
            let tokens = at_slice(&schedule.tokens_there).plus(first);
            // The new states go straight into the next step's rows.
            let new = states.plus(running * hidden);
            let maxima = at_slice(&saved.maxima);
            let (order, lengths) = (at_slice(&schedule.order), at_slice(&schedule.lengths));
            let pool = pooling as usize;
            match gates {
                3 => {
                    let bias = at(&weights.bias_hh);
                    let args = args![
                        slots, &inputs, tokens, bias, states, new, pooled, maxima, order, lengths, running,
                        next, hidden, t, pool
                    ];
                    self.each("gru_step", running * hidden, args);
                }
                _ => {
                    let carries = at_slice(&saved.carries).plus(first * hidden);
                    let new_carries = carries.plus(running * hidden);
                    let args = args![
                        slots,
                        &inputs,
                        tokens,
                        states,
                        new,
                        carries,
                        new_carries,
                        pooled,
                        maxima,
                        order,
                        lengths,
                        running,
                        next,
                        hidden,
                        t,
                        pool
                    ];
                    self.each("lstm_step", running * hidden, args);
                }
            }
        }
        saved
    }

    /// Runs back through time; the slots then hold the gradients of the gates.
    fn unroll(
        &self,
        gates: usize,
        weights: &RecurrentWeights,
        saved: &Saved,
        pooling: Pooling,
        precision: Precision,
        g: At,
    ) {
        let hidden = weights.weight_hh.shape().1;
        let all = gates * hidden;
        let schedule = &saved.schedule;
        let most = schedule.running.first().copied().unwrap_or(0);
        let grad = self.alloc(most * hidden);
        let grad_carries = self.alloc(if gates == 4 { most * hidden } else { 0 });
        let recurrent = Operand::new(at(&weights.weight_hh), all, hidden);
        for (t, &running) in schedule.running.iter().enumerate().rev() {
            let (first, next) = (schedule.first[t], schedule.next(t));
            let slots = at_slice(&saved.slots).plus(first * SLOTS * hidden);
            let maxima = if pooling == Pooling::Max { at_slice(&saved.maxima) } else { NONE };
            let (order, lengths) = (at_slice(&schedule.order), at_slice(&schedule.lengths));
            let pool = pooling as usize;
            match gates {
                3 => {
                    let states = at_slice(&saved.states).plus(first * hidden);
                    let args = args![
                        slots, states, &grad, g, maxima, order, lengths, running, next, hidden, t, pool
                    ];
                    self.each("gru_back", running * hidden, args);
                }
                _ => {
                    let carries = at_slice(&saved.carries).plus(first * hidden);
                    let args = args![
                        slots,
                        carries,
                        &grad,
                        &grad_carries,
                        g,
                        maxima,
                        order,
                        lengths,
                        running,
                        next,
                        hidden,
                        t,
                        pool
                    ];
                    self.each("lstm_back", running * hidden, args);
                }
            }
            if t > 0 {
                let d = Operand::new(slots, running, all).strided(SLOTS * hidden);
                let to = Target { at: at_slice(&grad), stride: hidden };
                self.gemm(d, recurrent, to, true, precision);
            }
        }
    }
}
