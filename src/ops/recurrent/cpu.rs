//! The recurrent operation on the CPU.

use std::marker::PhantomData;
use std::sync::Arc;

use dfdx::prelude::{HasErr, HasShape};
use rayon::prelude::*;

use super::cell::{Backward, Cell, Forward};
use super::prefixes::{LEAF, Prefixes};
use super::{Reading, RecurrentWeights};
use crate::config::Pooling;
use crate::device::{Dev, Matrix};
use crate::ops::matmul::{Packed, View, add_products, matmul};
use crate::ops::rows::add_columns;
use crate::ops::scratch::Scratch;
use crate::ops::sequences::{Occurrences, Sequences};
use crate::ops::simd::{Loop, vectorise};
use crate::ops::tape::{Grads, data, data1, on_host};

/// At most so many trees, and at least so many sentences in each, as every time step of a tree reads all weights: numbers that
/// do not depend on the machine, so that sums are formed in the same order on any.
const TREES: usize = 8;
const SENTENCES: usize = 64;

/// What one tree keeps of its forward run.
struct Run {
    /// (prefixes, gates · hidden)
    gates: Scratch,
    /// The states of the inner prefixes, behind them what is pooled so far: (inner, width).
    states: Scratch,
    /// The recurrent products of the inner prefixes' states, after the run back their gradients: (inner, gates · hidden).
    products: Scratch,
    /// For max pooling: whether a prefix's own state is the largest so far (prefixes, hidden).
    own: Vec<bool>,
}

/// The widths of a run's rows.
#[derive(Clone, Copy)]
struct Widths {
    hidden: usize,
    gates: usize,
    /// Of a state without what is pooled.
    state: usize,
    /// Of a row of states.
    row: usize,
}

impl Widths {
    fn of<C: Cell>(hidden: usize, pooling: Pooling) -> Self {
        let state = C::PARTS * hidden;
        let row = if pooling == Pooling::Last { state } else { state + hidden };
        Widths { hidden, gates: C::GATES * hidden, state, row }
    }
}

/// What backward needs of forward.
pub struct Saved {
    trees: Vec<Prefixes>,
    runs: Vec<Run>,
    reading: Reading,
}

/// x (distinct, inputs) → (sentences, hidden), and with `save` what [`backward`] needs.
pub fn forward<C: Cell>(
    x: &[f32],
    distinct: usize,
    weights: &RecurrentWeights,
    sentences: &Arc<Sequences>,
    reading: Reading,
    save: bool,
) -> (Vec<f32>, Option<Saved>) {
    let hidden = weights.weight_hh.shape().1;
    let widths = Widths::of::<C>(hidden, reading.pooling);
    let gates = widths.gates;
    let (bias_ih, bias_hh) = (data1(&weights.bias_ih), data1(&weights.bias_hh));
    let mut inputs = Scratch::dirty(distinct * gates); // (distinct, gates · hidden)
    let shared = C::SHARED * hidden;
    inputs.par_chunks_mut(gates).for_each(|row| {
        row.copy_from_slice(&bias_ih);
        row[..shared].iter_mut().zip(&bias_hh[..]).for_each(|(x, b)| *x += b);
    });
    let width = weights.weight_ih.shape().1;
    let projection = weights.packs_ih.forward(&weights.weight_ih, weights.rate, reading.precision);
    projection.par_multiply(View::new(x, distinct, width), &mut inputs, gates, true);

    let recurrent = weights.packs_hh.forward(&weights.weight_hh, weights.rate, reading.precision);
    let trees = Prefixes::deal(sentences, sentences.len().div_ceil(SENTENCES).clamp(1, TREES));
    let (runs, pooled): (Vec<Run>, Vec<Scratch>) = trees
        .par_iter()
        .map(|tree| run::<C>(tree, &inputs, &recurrent, &bias_hh[shared..], widths, reading.pooling))
        .unzip();
    let mut out = vec![0.0; sentences.len() * hidden];
    for (tree, pooled) in trees.iter().zip(&pooled) {
        for (row, &s) in pooled.chunks(hidden).zip(&tree.sentences) {
            out[s as usize * hidden..][..hidden].copy_from_slice(row);
        }
    }
    let saved = save.then_some(Saved { trees, runs, reading });
    (out, saved)
}

/// Runs a tree; also returns the pooled states of its sentences, (sentences, hidden).
fn run<C: Cell>(
    tree: &Prefixes,
    inputs: &[f32],
    recurrent: &Packed,
    bias: &[f32],
    widths: Widths,
    pooling: Pooling,
) -> (Run, Scratch) {
    let Widths { hidden, gates, state, row } = widths;
    let own = if pooling == Pooling::Max { tree.count() * hidden } else { 0 };
    let mut run = Run {
        gates: Scratch::dirty(tree.count() * gates),
        states: Scratch::dirty(tree.inner_count() * row),
        products: Scratch::dirty(tree.inner_count() * gates),
        own: vec![false; own],
    };
    let mut pooled = Scratch::zeroed(tree.sentences.len() * hidden);
    // Before the first token the state is zero, and so is its product.
    run.states[..state].fill(0.0);
    run.states[state..row].fill(if pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 });
    run.products[..gates].fill(0.0);
    for t in 0..tree.longest() {
        let inner = tree.inner_at(t);
        if t > 0 {
            let states = View::strided(&run.states[inner.start * row..], inner.len(), hidden, row);
            recurrent.multiply(states, &mut run.products[inner.start * gates..], gates, false);
        }
        vectorise(StepForward::<C> {
            tree,
            t,
            inputs,
            run: &mut run,
            pooled: &mut pooled,
            bias,
            widths,
            pooling,
            cell: PhantomData,
        });
    }
    (run, pooled)
}

/// All prefixes of `t + 1` tokens.
struct StepForward<'a, C> {
    tree: &'a Prefixes,
    t: usize,
    inputs: &'a [f32],
    run: &'a mut Run,
    pooled: &'a mut [f32],
    bias: &'a [f32],
    widths: Widths,
    pooling: Pooling,
    cell: PhantomData<C>,
}

impl<C: Cell> Loop for StepForward<'_, C> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (tree, Widths { hidden, gates, state, row }) = (self.tree, self.widths);
        let parents = tree.inner_at(self.t);
        let (states, new_states) = self.run.states.split_at_mut(parents.end * row);
        let mut new_states = new_states.chunks_exact_mut(row);
        let mut leaf = vec![0.0; row];
        let scale = if self.pooling == Pooling::Mean { 1.0 / (self.t + 1) as f32 } else { 1.0 };
        for p in parents {
            let old = &states[p * row..(p + 1) * row];
            let product = &self.run.products[p * gates..(p + 1) * gates];
            for x in tree.children(p) {
                let new = match tree.inner[x] {
                    LEAF => &mut leaf[..],
                    _ => new_states.next().expect("a row for each inner prefix"),
                };
                let input = &self.inputs[tree.tokens[x] as usize * gates..][..gates];
                let (new, sofar) = new.split_at_mut(state);
                let gates = &mut self.run.gates[x * gates..(x + 1) * gates];
                C::forward::<FMA>(
                    Forward { input, product, state: &old[..state], gates, new_state: new },
                    self.bias,
                );
                let result = match self.pooling {
                    Pooling::Last => &new[..hidden],
                    Pooling::Mean => {
                        for ((sum, old), new) in sofar.iter_mut().zip(&old[state..]).zip(&new[..hidden]) {
                            *sum = old + new;
                        }
                        sofar
                    }
                    Pooling::Max => {
                        let own = &mut self.run.own[x * hidden..(x + 1) * hidden];
                        for (j, own) in own.iter_mut().enumerate() {
                            let (old, new) = (old[state + j], new[j]);
                            *own = new > old || new.is_nan();
                            sofar[j] = if *own { new } else { old };
                        }
                        sofar
                    }
                };
                for s in tree.wholes(x) {
                    let to = &mut self.pooled[s * hidden..(s + 1) * hidden];
                    to.iter_mut().zip(result).for_each(|(to, x)| *to = x * scale);
                }
            }
        }
    }
}

/// Adds the gradients of the tokens `x` (distinct, width) and, if they are trained, of the weights, given that of the result.
pub fn backward<C: Cell>(
    g: &[f32],
    x: &Matrix,
    weights: &RecurrentWeights,
    mut saved: Saved,
    grads: &mut Grads,
) -> Result<(), <Dev as HasErr>::Err> {
    let distinct = x.shape().0;
    let (hidden, width) = (weights.weight_hh.shape().1, weights.weight_ih.shape().1);
    let Reading { pooling, precision } = saved.reading;
    let widths = Widths::of::<C>(hidden, pooling);
    let (gates, shared) = (widths.gates, C::SHARED * hidden);
    let recurrent = weights.packs_hh.backward(&weights.weight_hh, weights.rate, precision);
    let bias = data1(&weights.bias_hh);
    saved.trees.par_iter().zip(&mut saved.runs).for_each(|(tree, run)| {
        unroll::<C>(tree, run, &recurrent, &bias[shared..], g, widths, pooling);
    });

    let inputs = input_gradient(&saved, distinct, gates); // (distinct, gates · hidden)
    let d = View::new(&inputs, distinct, gates);
    let weight_ih = data(&weights.weight_ih);
    let weight_ih = View::new(&weight_ih, gates, width);
    matmul(d, weight_ih, &mut on_host(grads.get_or_alloc_mut(x)?), true, precision);
    if !weights.rate.trained() {
        return Ok(());
    }
    let products: Vec<(View, View)> = saved
        .trees
        .iter()
        .zip(&saved.runs)
        .filter(|(tree, _)| tree.inner_count() > 1)
        .map(|(tree, run)| {
            // The state before the first token is zero.
            let rows = tree.inner_count() - 1;
            let states = View::strided(&run.states[widths.row..], rows, hidden, widths.row);
            (View::new(&run.products[gates..], rows, gates).t(), states)
        })
        .collect();
    add_products(&products, &mut on_host(grads.get_or_alloc_mut(&weights.weight_hh)?), precision);
    let x = data(x);
    let x = View::new(&x, distinct, width);
    matmul(d.t(), x, &mut on_host(grads.get_or_alloc_mut(&weights.weight_ih)?), true, precision);
    let rows: Vec<&[f32]> = inputs.chunks(gates).collect();
    add_columns(&mut on_host(grads.get_or_alloc_mut(&weights.bias_ih)?), &rows);
    let mut bias_hh = on_host(grads.get_or_alloc_mut(&weights.bias_hh)?);
    let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..shared]).collect();
    add_columns(&mut bias_hh[..shared], &rows);
    let rows = saved.runs.iter().flat_map(|run| run.products.chunks(gates));
    let rows: Vec<&[f32]> = rows.map(|row| &row[shared..]).collect();
    add_columns(&mut bias_hh[shared..], &rows);
    Ok(())
}

/// Runs a tree back; its gates and products are their gradients then.
fn unroll<C: Cell>(
    tree: &Prefixes,
    run: &mut Run,
    recurrent: &Packed,
    bias: &[f32],
    g: &[f32],
    widths: Widths,
    pooling: Pooling,
) {
    let Widths { gates, row, .. } = widths;
    let mut grads = Scratch::dirty(tree.inner_count() * row); // of the inner prefixes' states
    for t in (0..tree.longest()).rev() {
        vectorise(StepBackward::<C> {
            tree,
            t,
            g,
            run,
            grads: &mut grads,
            bias,
            widths,
            pooling,
            cell: PhantomData,
        });
        if t > 0 {
            let inner = tree.inner_at(t);
            let products = View::new(&run.products[inner.start * gates..], inner.len(), gates);
            let to = &mut grads[inner.start * row..inner.end * row];
            recurrent.multiply(products, to, row, true);
        }
    }
}

/// All prefixes of `t + 1` tokens, back.
struct StepBackward<'a, C> {
    tree: &'a Prefixes,
    t: usize,
    g: &'a [f32],
    run: &'a mut Run,
    grads: &'a mut [f32],
    bias: &'a [f32],
    widths: Widths,
    pooling: Pooling,
    cell: PhantomData<C>,
}

impl<C: Cell> Loop for StepBackward<'_, C> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (tree, Widths { hidden, gates, state, row }) = (self.tree, self.widths);
        let shared = C::SHARED * hidden;
        let parents = tree.inner_at(self.t);
        let (grads, later) = self.grads.split_at_mut(parents.end * row);
        let mut later = later.chunks_exact(row);
        let scale = if self.pooling == Pooling::Mean { 1.0 / (self.t + 1) as f32 } else { 1.0 };
        let mut product = vec![0.0; gates - shared];
        let mut grad = vec![0.0; row];
        for p in parents {
            let product_grad = &mut self.run.products[p * gates..(p + 1) * gates];
            for ((to, u), b) in product.iter_mut().zip(&product_grad[shared..]).zip(self.bias) {
                *to = u + b;
            }
            let old = &self.run.states[p * row..p * row + state];
            let (state_grad, sofar_grad) = grads[p * row..(p + 1) * row].split_at_mut(state);
            sofar_grad.fill(0.0);
            let first = tree.children(p).start;
            for x in tree.children(p) {
                match tree.inner[x] {
                    LEAF => grad.fill(0.0),
                    _ => grad.copy_from_slice(later.next().expect("a row for each inner prefix")),
                }
                // What is pooled stands behind the state, or is its first part.
                let pooled = if self.pooling == Pooling::Last { 0 } else { state };
                for s in tree.wholes(x) {
                    let from = &self.g[tree.sentences[s] as usize * hidden..][..hidden];
                    grad[pooled..pooled + hidden].iter_mut().zip(from).for_each(|(to, g)| *to += g * scale);
                }
                let (grad, sofar) = grad.split_at_mut(state);
                for j in 0..sofar.len() {
                    if self.pooling == Pooling::Mean || self.run.own[x * hidden + j] {
                        grad[j] += sofar[j];
                    }
                    if self.pooling == Pooling::Mean || !self.run.own[x * hidden + j] {
                        sofar_grad[j] += sofar[j];
                    }
                }
                let gates = &mut self.run.gates[x * gates..(x + 1) * gates];
                let step = Backward { gates, product: &product, state: old, grad, product_grad, state_grad };
                if x == first { C::backward::<FMA, false>(step) } else { C::backward::<FMA, true>(step) }
            }
        }
    }
}

/// Sums the gate gradients of every distinct token over its occurrences.
fn input_gradient(saved: &Saved, distinct: usize, gates: usize) -> Scratch {
    let tokens = || saved.trees.iter().flat_map(|tree| tree.tokens.iter().copied());
    let occurrences = Occurrences::of(tokens(), distinct);
    let places: Vec<&[f32]> = saved.runs.iter().flat_map(|run| run.gates.chunks(gates)).collect();
    let mut out = Scratch::dirty(distinct * gates);
    out.par_chunks_mut(gates).enumerate().for_each(|(token, out)| {
        vectorise(Sum { places: &places, occurrences: occurrences.get(token), out })
    });
    out
}

struct Sum<'a> {
    places: &'a [&'a [f32]],
    occurrences: &'a [u32],
    out: &'a mut [f32],
}

impl Loop for Sum<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.out.fill(0.0);
        for &place in self.occurrences {
            self.out.iter_mut().zip(self.places[place as usize]).for_each(|(o, x)| *o += x);
        }
    }
}
