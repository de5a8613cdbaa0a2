//! The recurrent operation on the CPU.

use std::sync::Arc;

use dfdx::prelude::{HasErr, HasShape};
use rayon::prelude::*;

use super::RecurrentWeights;
use super::cell::{Backward, Cell, Forward};
use crate::config::{Pooling, Precision};
use crate::device::{Dev, Matrix};
use crate::ops::matmul::{Packed, View, add_products, matmul};
use crate::ops::rows::add_columns;
use crate::ops::scratch::Scratch;
use crate::ops::sequences::{Occurrences, Sequences};
use crate::ops::simd::{Loop, vectorise};
use crate::ops::tape::{Grads, data, data1, on_host};

/// At most so many chunks, and at least so many sentences in each, as every time step of a chunk reads all weights: numbers that
/// do not depend on the machine, so that sums are formed in the same order on any.
const CHUNKS: usize = 8;
const SENTENCES: usize = 64;

/// Sentences that one thread runs through time together, longest first.
struct Chunk {
    sentences: Vec<u32>,
    /// Sentences that are still running at each time step.
    active: Vec<usize>,
    /// Row at which each time step begins, counted from the chunk's first row; one more entry for the end.
    first: Vec<usize>,
}

fn deal(sentences: &Sequences) -> Vec<Chunk> {
    let mut order: Vec<u32> = (0..sentences.len() as u32).collect();
    order.sort_by_key(|&s| std::cmp::Reverse(sentences.length(s as usize)));
    let chunks = sentences.len().div_ceil(SENTENCES).clamp(1, CHUNKS);
    (0..chunks)
        .map(|c| {
            let mine: Vec<u32> = order.iter().skip(c).step_by(chunks).copied().collect();
            let longest = mine.first().map_or(0, |&s| sentences.length(s as usize));
            let active: Vec<usize> =
                (0..longest).map(|t| mine.partition_point(|&s| sentences.length(s as usize) > t)).collect();
            let mut first = vec![0];
            for a in &active {
                first.push(first[first.len() - 1] + a);
            }
            Chunk { sentences: mine, active, first }
        })
        .collect()
}

impl Chunk {
    fn rows(&self) -> usize {
        self.first[self.first.len() - 1]
    }

    /// The token row of each saved row.
    fn token_rows<'a>(&'a self, sentences: &'a Sequences) -> impl Iterator<Item = u32> + Clone + 'a {
        self.active
            .iter()
            .enumerate()
            .flat_map(move |(t, &a)| self.sentences[..a].iter().map(move |&s| sentences.get(s as usize)[t]))
    }
}

/// What one chunk keeps of its forward run: a row per (time step, running sentence).
struct ChunkState {
    slots: Scratch,
    /// The state before each row's step.
    states: Scratch,
    carries: Scratch,
    /// (sentences, hidden)
    pooled: Scratch,
    /// For max pooling: the time step of each maximum.
    maxima: Vec<u16>,
}

/// What backward needs of forward.
pub struct Saved {
    sentences: Arc<Sequences>,
    chunks: Vec<Chunk>,
    states: Vec<ChunkState>,
    pooling: Pooling,
    precision: Precision,
}

pub fn forward<C: Cell>(
    x: &[f32],
    distinct: usize,
    weights: &RecurrentWeights,
    sentences: &Arc<Sequences>,
    pooling: Pooling,
    precision: Precision,
    save: bool,
) -> (Vec<f32>, Option<Saved>) {
    let hidden = weights.weight_hh.shape().1;
    let gates = C::GATES * hidden;
    let (bias_ih, bias_hh) = (data1(&weights.bias_ih), data1(&weights.bias_hh));
    let mut inputs = Scratch::dirty(distinct * gates); // (distinct, gates · hidden)
    let shared = C::SHARED * hidden;
    inputs.par_chunks_mut(gates).for_each(|row| {
        row.copy_from_slice(&bias_ih);
        row[..shared].iter_mut().zip(&bias_hh[..]).for_each(|(x, b)| *x += b);
    });
    let width = weights.weight_ih.shape().1;
    let weight_ih = data(&weights.weight_ih);
    let weight_ih = View::new(&weight_ih, gates, width);
    matmul(View::new(x, distinct, width), weight_ih.t(), &mut inputs, true, precision);

    let recurrent = Packed::new(View::new(&data(&weights.weight_hh), gates, hidden).t(), precision);
    let chunks = deal(sentences);
    let states: Vec<ChunkState> = chunks
        .par_iter()
        .map(|chunk| {
            run_chunk::<C>(chunk, sentences, &inputs, &recurrent, &bias_hh[shared..], hidden, pooling)
        })
        .collect();
    let mut out = vec![0.0; sentences.len() * hidden];
    for (chunk, state) in chunks.iter().zip(&states) {
        for (row, &s) in state.pooled.chunks(hidden).zip(&chunk.sentences) {
            out[s as usize * hidden..][..hidden].copy_from_slice(row);
        }
    }
    let saved = save.then(|| Saved { sentences: sentences.clone(), chunks, states, pooling, precision });
    (out, saved)
}

fn run_chunk<C: Cell>(
    chunk: &Chunk,
    sentences: &Sequences,
    inputs: &[f32],
    recurrent: &Packed,
    bias: &[f32],
    hidden: usize,
    pooling: Pooling,
) -> ChunkState {
    let (rows, count) = (chunk.rows(), chunk.sentences.len());
    let carry = if C::CARRY { hidden } else { 0 };
    let mut state = ChunkState {
        slots: Scratch::dirty(rows * C::SLOTS * hidden),
        states: Scratch::dirty(rows * hidden),
        carries: Scratch::dirty(rows * carry),
        pooled: Scratch::zeroed(count * hidden),
        maxima: if pooling == Pooling::Max { vec![0; count * hidden] } else { Vec::new() },
    };
    let mut new_states = Scratch::dirty(count * hidden);
    let mut new_carries = Scratch::dirty(count * carry);
    let width = C::SLOTS * hidden;
    for (t, &active) in chunk.active.iter().enumerate() {
        let first = chunk.first[t];
        let slots = &mut state.slots[first * width..(first + active) * width];
        let (before, rest) = state.states.split_at_mut((first + active) * hidden);
        let old = &mut before[first * hidden..];
        let (carry_before, carry_rest) = state.carries.split_at_mut((first + active) * carry);
        let old_carries = &mut carry_before[first * carry..];
        if t == 0 {
            old.fill(0.0);
            old_carries.fill(0.0);
            slots.chunks_mut(width).for_each(|row| row[..C::GATES * hidden].fill(0.0));
        } else {
            recurrent.multiply(View::new(old, active, hidden), slots, width, false);
        }
        vectorise(ForwardStep::<C> {
            tokens: chunk.sentences[..active].iter().map(|&s| sentences.get(s as usize)[t]).collect(),
            inputs,
            slots,
            old,
            old_carries,
            new: &mut new_states,
            new_carries: &mut new_carries,
            bias,
            hidden,
            cell: std::marker::PhantomData,
        });
        // The new states go straight into the next step's rows.
        let next = chunk.active.get(t + 1).copied().unwrap_or(0);
        rest[..next * hidden].copy_from_slice(&new_states[..next * hidden]);
        carry_rest[..next * carry].copy_from_slice(&new_carries[..next * carry]);
        pool(&mut state.pooled, &mut state.maxima, &new_states, pooling, t, next, active, hidden);
    }
    if pooling == Pooling::Mean {
        for (row, &s) in state.pooled.chunks_mut(hidden).zip(&chunk.sentences) {
            let scale = 1.0 / sentences.length(s as usize).max(1) as f32;
            row.iter_mut().for_each(|x| *x *= scale);
        }
    }
    state
}

#[allow(clippy::too_many_arguments)]
fn pool(
    pooled: &mut [f32],
    maxima: &mut [u16],
    states: &[f32],
    pooling: Pooling,
    t: usize,
    next: usize,
    active: usize,
    hidden: usize,
) {
    let all = 0..active * hidden;
    match pooling {
        Pooling::Last => {
            let ended = next * hidden..active * hidden;
            pooled[ended.clone()].copy_from_slice(&states[ended]);
        }
        Pooling::Mean => pooled[all.clone()].iter_mut().zip(&states[all]).for_each(|(p, s)| *p += s),
        Pooling::Max => {
            for ((p, m), &s) in pooled.iter_mut().zip(maxima).zip(&states[all]) {
                if t == 0 || s > *p {
                    (*p, *m) = (s, t as u16);
                }
            }
        }
    }
}

struct ForwardStep<'a, C> {
    tokens: Vec<u32>,
    inputs: &'a [f32],
    slots: &'a mut [f32],
    old: &'a [f32],
    old_carries: &'a [f32],
    new: &'a mut [f32],
    new_carries: &'a mut [f32],
    bias: &'a [f32],
    hidden: usize,
    cell: std::marker::PhantomData<C>,
}

impl<C: Cell> Loop for ForwardStep<'_, C> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (h, carry) = (self.hidden, if C::CARRY { self.hidden } else { 0 });
        for (i, slots) in self.slots.chunks_exact_mut(C::SLOTS * h).enumerate() {
            C::forward::<FMA>(
                Forward {
                    input: &self.inputs[self.tokens[i] as usize * C::GATES * h..][..C::GATES * h],
                    slots,
                    state: &self.old[i * h..(i + 1) * h],
                    carry: &self.old_carries[i * carry..(i + 1) * carry],
                    new_state: &mut self.new[i * h..(i + 1) * h],
                    new_carry: &mut self.new_carries[i * carry..(i + 1) * carry],
                },
                self.bias,
            );
        }
    }
}

struct BackwardStep<'a, C> {
    slots: &'a mut [f32],
    old: &'a [f32],
    old_carries: &'a [f32],
    grad: &'a mut [f32],
    grad_carries: &'a mut [f32],
    hidden: usize,
    cell: std::marker::PhantomData<C>,
}

impl<C: Cell> Loop for BackwardStep<'_, C> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (h, carry) = (self.hidden, if C::CARRY { self.hidden } else { 0 });
        for (i, slots) in self.slots.chunks_exact_mut(C::SLOTS * h).enumerate() {
            C::backward::<FMA>(Backward {
                slots,
                state: &self.old[i * h..(i + 1) * h],
                carry: &self.old_carries[i * carry..(i + 1) * carry],
                grad: &mut self.grad[i * h..(i + 1) * h],
                grad_carry: &mut self.grad_carries[i * carry..(i + 1) * carry],
            });
        }
    }
}

/// Adds the gradients of the tokens `x` (distinct, width) and, if these learn, of the weights, given that of the result.
pub fn backward<C: Cell>(
    g: &[f32],
    x: &Matrix,
    weights: &RecurrentWeights,
    mut saved: Saved,
    weights_learn: bool,
    grads: &mut Grads,
) -> Result<(), <Dev as HasErr>::Err> {
    let distinct = x.shape().0;
    let (hidden, width) = (weights.weight_hh.shape().1, weights.weight_ih.shape().1);
    let (gates, precision) = (C::GATES * hidden, saved.precision);
    let recurrent = Packed::new(View::new(&data(&weights.weight_hh), gates, hidden), precision);
    let (sentences, pooling) = (saved.sentences.clone(), saved.pooling);
    saved.chunks.par_iter().zip(&mut saved.states).for_each(|(chunk, state)| {
        unroll_chunk::<C>(chunk, state, &sentences, &recurrent, g, hidden, pooling)
    });

    let inputs = input_gradient::<C>(&saved, distinct, hidden); // (distinct, gates · hidden)
    let d = View::new(&inputs, distinct, gates);
    let weight_ih = data(&weights.weight_ih);
    let weight_ih = View::new(&weight_ih, gates, width);
    matmul(d, weight_ih, &mut on_host(grads.get_or_alloc_mut(x)?), true, precision);
    if !weights_learn {
        return Ok(());
    }
    let products: Vec<(View, View)> = saved
        .chunks
        .iter()
        .zip(&saved.states)
        .filter_map(|(chunk, state)| {
            // The first step has no state before it.
            let from = *chunk.first.get(1)?;
            let rows = chunk.rows() - from;
            let slots = &state.slots[from * C::SLOTS * hidden..];
            let states = &state.states[from * hidden..chunk.rows() * hidden];
            let gates = View::strided(slots, rows, gates, C::SLOTS * hidden);
            Some((gates.t(), View::new(states, rows, hidden)))
        })
        .collect();
    add_products(&products, &mut on_host(grads.get_or_alloc_mut(&weights.weight_hh)?), precision);
    let x = data(x);
    let x = View::new(&x, distinct, width);
    matmul(d.t(), x, &mut on_host(grads.get_or_alloc_mut(&weights.weight_ih)?), true, precision);
    let rows: Vec<&[f32]> = inputs.chunks(gates).collect();
    add_columns(&mut on_host(grads.get_or_alloc_mut(&weights.bias_ih)?), &rows);
    let mut bias_hh = on_host(grads.get_or_alloc_mut(&weights.bias_hh)?);
    let shared = C::SHARED * hidden;
    let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..shared]).collect();
    add_columns(&mut bias_hh[..shared], &rows);
    let rows = saved.states.iter().flat_map(|s| s.slots.chunks(C::SLOTS * hidden));
    let rows: Vec<&[f32]> = rows.map(|row| &row[shared..gates]).collect();
    add_columns(&mut bias_hh[shared..], &rows);
    Ok(())
}

/// Runs a chunk back through time; its slots then hold the gradients of the gates.
fn unroll_chunk<C: Cell>(
    chunk: &Chunk,
    state: &mut ChunkState,
    sentences: &Sequences,
    recurrent: &Packed,
    g: &[f32],
    hidden: usize,
    pooling: Pooling,
) {
    let (count, width) = (chunk.sentences.len(), C::SLOTS * hidden);
    let carry = if C::CARRY { hidden } else { 0 };
    let mut grad = Scratch::zeroed(count * hidden);
    let mut grad_carries = Scratch::zeroed(count * carry);
    for (t, &active) in chunk.active.iter().enumerate().rev() {
        let next = chunk.active.get(t + 1).copied().unwrap_or(0);
        for i in 0..active {
            let s = chunk.sentences[i] as usize;
            let (row, from) = (&mut grad[i * hidden..(i + 1) * hidden], &g[s * hidden..(s + 1) * hidden]);
            match pooling {
                Pooling::Last if i >= next => row.copy_from_slice(from),
                Pooling::Last => {}
                Pooling::Mean => {
                    let scale = 1.0 / sentences.length(s) as f32;
                    row.iter_mut().zip(from).for_each(|(r, f)| *r += f * scale);
                }
                Pooling::Max => {
                    let maxima = &state.maxima[i * hidden..(i + 1) * hidden];
                    for ((r, f), &m) in row.iter_mut().zip(from).zip(maxima) {
                        if m as usize == t {
                            *r += f;
                        }
                    }
                }
            }
        }
        let rows = chunk.first[t]..chunk.first[t] + active;
        let slots = &mut state.slots[rows.start * width..rows.end * width];
        vectorise(BackwardStep::<C> {
            slots,
            old: &state.states[rows.start * hidden..rows.end * hidden],
            old_carries: &state.carries[rows.start * carry..rows.end * carry],
            grad: &mut grad,
            grad_carries: &mut grad_carries,
            hidden,
            cell: std::marker::PhantomData,
        });
        if t > 0 {
            let gates = View::strided(slots, active, C::GATES * hidden, width);
            recurrent.multiply(gates, &mut grad, hidden, true);
        }
    }
}

/// Sums the gate gradients of every distinct token over its occurrences.
fn input_gradient<C: Cell>(saved: &Saved, distinct: usize, hidden: usize) -> Scratch {
    let rows = || saved.chunks.iter().flat_map(|c| c.token_rows(&saved.sentences));
    let occurrences = Occurrences::of(rows(), distinct);
    let width = C::SLOTS * hidden;
    let places: Vec<&[f32]> = saved.states.iter().flat_map(|s| s.slots.chunks(width)).collect();
    let mut out = Scratch::dirty(distinct * C::GATES * hidden);
    out.par_chunks_mut(C::GATES * hidden).enumerate().for_each(|(token, out)| {
        vectorise(SumSlots {
            places: &places,
            occurrences: occurrences.get(token),
            slots: C::INPUT_SLOTS,
            hidden,
            out,
        })
    });
    out
}

struct SumSlots<'a> {
    places: &'a [&'a [f32]],
    occurrences: &'a [u32],
    slots: &'static [usize],
    hidden: usize,
    out: &'a mut [f32],
}

impl Loop for SumSlots<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.out.fill(0.0);
        for &place in self.occurrences {
            let row = self.places[place as usize];
            for (part, &slot) in self.out.chunks_exact_mut(self.hidden).zip(self.slots) {
                let from = &row[slot * self.hidden..(slot + 1) * self.hidden];
                part.iter_mut().zip(from).for_each(|(o, x)| *o += x);
            }
        }
    }
}
