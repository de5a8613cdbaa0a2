//! Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019), and LAMB (You et al. 2020).
//!
//! Rows of a [`Table`] are updated only in steps that read them. Before a row is read it makes up for the steps it missed:
//! with a zero gradient these are p −= c·m/(√v + ε), m ← β₁m, v ← β₂v, whose sum has a closed form up to the ε beside
//! √v. So the result is Adam's, not that of an optimiser that forgets the moments of rows at rest. Rows do not decay.
//! LAMB scales a tensor's step by the norm of the whole of it: with it tables are updated whole, in every step.

#[cfg(feature = "cuda")]
mod gpu;
mod lamb;

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Group, LearningRate, TensorMut, Visitor};
use crate::config::{Optimizer, TrainConfig};
use crate::device::{Buffer, Scalar};
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::on_gpu;
use crate::ops::rows::{RowGradients, Table};
use crate::ops::simd::{Loop, dot, vectorise};
use crate::ops::tape::{Grads, data_mut, data1_mut, on_host, scalar};
#[cfg(feature = "cuda")]
use crate::optim::adam::cuda::{Job, Jobs, TensorPtr};

/// The moments of one parameter.
#[derive(Clone, Default)]
pub struct AdamState {
    /// Running mean of the gradient, row by row.
    pub m: HostDeviceBuffer,
    /// Running mean of its square.
    pub v: HostDeviceBuffer,
    /// For tables: the last step each row has seen.
    pub last: Vec<u32>,
    /// Steps that the optimiser had taken when the parameter took its first, as one that was thawed later: its moments are corrected for the
    /// steps since.
    pub born: u32,
}

/// The optimiser and its state by parameter name.
#[derive(Clone)]
pub struct Adam {
    /// The learning rate of every step.
    pub rate: LearningRate,
    beta1: f32,
    beta2: f32,
    weight_decay: f32,
    clip: f32,
    epsilon: f32,
    /// No bias correction, no decay of biases, each tensor clipped by itself.
    bert: bool,
    /// Each tensor's step is scaled by its trust ratio; no decay of biases.
    lamb: bool,
    /// Steps taken.
    pub step: usize,
    /// By the parameter's name.
    pub state: BTreeMap<String, AdamState>,
    /// What [`Self::missed`] gave in a step: all tables ask for it.
    known: (usize, Vec<Missed>),
    /// [`Self::corrected_rate`] of the steps up to now, from 1: long trainings look far back in every step.
    rates: Vec<f64>,
}

const EPSILON: f32 = 1e-8;
/// BertAdam's, and LAMB's.
const BERT_EPSILON: f32 = 1e-6;
const BLOCK: usize = 1 << 14;

impl Adam {
    /// Without moments, before the first of `total_steps` steps.
    pub fn new(config: &TrainConfig, total_steps: usize) -> Self {
        Adam {
            rate: LearningRate::new(config, total_steps),
            beta1: config.beta1,
            beta2: config.beta2,
            weight_decay: config.weight_decay,
            clip: config.clip,
            epsilon: if config.optimizer == Optimizer::Adam { EPSILON } else { BERT_EPSILON },
            bert: config.optimizer == Optimizer::BertAdam,
            lamb: config.optimizer == Optimizer::Lamb,
            step: 0,
            state: BTreeMap::new(),
            known: (0, Vec::new()),
            rates: Vec::new(),
        }
    }

    /// Brings the given distinct rows of a table (rows, width) up to the present step. Call it before a step reads them.
    pub fn catch_up(&mut self, name: &str, table: &mut Table, rows: &[u32]) {
        self.catch_up_all(vec![(name.to_string(), table, rows)]);
    }

    /// As [`Self::catch_up`], of several tables by name.
    pub fn catch_up_all(&mut self, tables: Vec<(String, &mut Table, &[u32])>) {
        let step = self.step;
        let mut waiting = Vec::new();
        for (name, table, rows) in tables {
            if let Some((state, rows, missed)) = self.behind(&name, table, rows) {
                waiting.push((name, table, state, rows, missed));
            }
        }
        // On a GPU all numbers go up before the first kernel asks for them.
        #[cfg(feature = "cuda")]
        let sent: Vec<_> = crate::device::cuda::gpu()
            .map(|gpu| waiting.iter().map(|(_, _, _, rows, missed)| gpu::missed_rows(gpu, rows, missed)))
            .into_iter()
            .flatten()
            .collect();
        #[cfg(feature = "cuda")]
        let mut sent = sent.iter();
        for (name, table, mut state, rows, missed) in waiting {
            rows.iter().for_each(|&row| state.last[row as usize] = step as u32);
            let width = table.width;
            #[cfg(feature = "cuda")]
            if let (Some(gpu), Some([there, by])) = (crate::device::cuda::gpu(), sent.next()) {
                let to = gpu::moments_of(table, &mut state);
                gpu.adam_catch_up(to, (rows.len(), width), there, by, self.epsilon);
                self.state.insert(name, state);
                continue;
            }
            let parts = rows_mut(table.data_mut(), width, &rows).into_par_iter();
            let moments = rows_mut(state.m.host_mut(), width, &rows).into_par_iter();
            let moments = moments.zip(rows_mut(state.v.host_mut(), width, &rows));
            parts.zip(moments).zip(&missed).for_each(|((p, (m, v)), missed)| {
                vectorise(CatchUp { missed, p, m, v });
            });
            self.state.insert(name, state);
        }
    }

    /// Takes the state of a table, with those of the given rows that are behind, ascending, and what each has missed.
    fn behind(
        &mut self,
        name: &str,
        table: &Table,
        rows: &[u32],
    ) -> Option<(AdamState, Vec<u32>, Vec<Missed>)> {
        let step = self.step;
        let state = self.state.remove(name)?;
        let behind = |row: &u32| ![0, step as u32].contains(&state.last[*row as usize]);
        let mut rows: Vec<u32> = rows.iter().copied().filter(behind).collect();
        rows.sort_unstable();
        let steps = |row: u32| step - state.last[row as usize] as usize;
        let most = rows.iter().map(|&row| steps(row)).max().unwrap_or(0);
        if state.born == 0 && (self.known.0 != step || self.known.1.len() <= most) {
            let new: Vec<f64> = (self.rates.len() + 1..=step).map(|s| self.corrected_rate(s, 0)).collect();
            self.rates.extend(new);
            self.known = (step, self.missed(most, 0));
        }
        let later = (state.born > 0).then(|| self.missed(most, state.born));
        let missed = later.as_ref().unwrap_or(&self.known.1);
        let missed: Vec<Missed> =
            rows.iter().map(|&row| missed[steps(row)].at_rate(table.rate.factor())).collect();
        Some((state, rows, missed))
    }

    /// The table (rows, width) as it would be if every row were brought up to the present step; the state stays as it is.
    pub fn settled(&self, name: &str, table: &Table) -> HostDeviceBuffer {
        let Some(state) = self.state.get(name) else { return table.values().clone() };
        let steps = |last: u32| if last == 0 { 0 } else { self.step - last as usize };
        let most = state.last.iter().map(|&last| steps(last)).max().unwrap_or(0);
        let mut missed = self.missed(most, state.born);
        missed.iter_mut().for_each(|missed| *missed = missed.at_rate(table.rate.factor()));
        let width = table.width;
        #[cfg(feature = "cuda")]
        if let Some(gpu) = crate::device::cuda::gpu() {
            let coefficients: Vec<f32> =
                state.last.iter().map(|&last| missed[steps(last)].coefficient).collect();
            let (m, v) = (TensorPtr::of(state.m.device()), TensorPtr::of(state.v.device()));
            let settled = gpu.adam_settled(table, [m, v], &coefficients, self.epsilon);
            return HostDeviceBuffer::on_device(settled);
        }
        let mut data = table.data().to_vec();
        let (m, v) = (state.m.host(), state.v.host());
        data.par_chunks_mut(width).enumerate().for_each(|(row, p)| {
            let steps = steps(state.last[row]);
            if steps > 0 {
                let range = row * width..(row + 1) * width;
                for ((p, m), v) in p.iter_mut().zip(&m[range.clone()]).zip(&v[range]) {
                    *p -= missed[steps].coefficient * m / (v.sqrt() + self.epsilon);
                }
            }
        });
        data.into()
    }

    /// What a row has missed by how many steps it has, up to `most`, of a table that was `born` after so many steps.
    ///
    /// The coefficient of k steps is cₖ = Σ a(s) rᵏ⁻ⁿ⁺ˢ over the steps s from n − k + 1 to the present one, n, where a is the rate
    /// by its corrections and r = β₁/√β₂; so cₖ = r (a(n − k + 1) + cₖ₋₁).
    fn missed(&self, most: usize, born: u32) -> Vec<Missed> {
        let (b1, b2) = (self.beta1 as f64, self.beta2 as f64);
        let ratio = b1 / b2.sqrt();
        let (mut coefficient, mut m, mut v) = (0.0, 1.0, 1.0);
        let of = |k: usize| {
            if k > 0 {
                let step = self.step + 1 - k;
                let known = self.rates.get(step - 1).copied().filter(|_| born == 0);
                let rate = known.unwrap_or_else(|| self.corrected_rate(step, born));
                (coefficient, m, v) = (ratio * (rate + coefficient), m * b1, v * b2);
            }
            Missed { coefficient: coefficient as f32, m: m as f32, v: v as f32, epsilon: self.epsilon }
        };
        (0..=most).map(of).collect()
    }

    /// The learning rate of a step by its corrections.
    fn corrected_rate(&self, step: usize, born: u32) -> f64 {
        let (one, two) = self.corrections(step - born as usize);
        self.rate.at(step) as f64 / one * two.sqrt()
    }

    /// What the moments are divided by after so many steps of a parameter: they start at 0 and are too small at first.
    fn corrections(&self, step: usize) -> (f64, f64) {
        let of = |beta: f32| if self.bert { 1.0 } else { 1.0 - (beta as f64).powi(step as i32) };
        (of(self.beta1), of(self.beta2))
    }

    /// One step over all parameters that are trained now, which `visit` hands over by name in a fixed order, each at the rate of its leaf.
    /// Returns the norm of the whole gradient before clipping; on a GPU it has to be waited for.
    pub fn update(&mut self, grads: &mut Grads, visit: &mut dyn FnMut(Visitor)) -> Scalar {
        on_gpu!(|gpu| self.update_on(gpu, grads, visit));
        let mut rows: BTreeMap<String, (Vec<u32>, Vec<f32>)> = BTreeMap::new();
        let mut each = Vec::new();
        visit(&mut |name, parameter| {
            if !parameter.trained() {
                return;
            }
            if let Some(gradient) = parameter.gradient(grads) {
                each.push(squares(&on_host(gradient)));
            }
            if let Some(table) = parameter.as_table() {
                let merged = merge(table.take_grads(), table.width);
                each.push(squares(&merged.1));
                rows.insert(name.to_string(), merged);
            }
        });
        let norm = each.iter().sum::<f64>().sqrt() as f32;
        self.step += 1;
        let mut each = each.into_iter();
        visit(&mut |name, mut parameter| {
            if !parameter.trained() {
                return;
            }
            let own = each.next().expect("both visits see the same parameters").sqrt() as f32;
            let clipped = if self.bert { own } else { norm };
            let scale = if self.clip > 0.0 && clipped > self.clip { self.clip / clipped } else { 1.0 };
            let born = self.born(name);
            let mut rule = self.rule(scale, parameter.rate().factor(), born);
            if !self.decays(parameter.group()) {
                (rule.decay, rule.weight_decay) = (1.0, 0.0);
            }
            let lamb = self.lamb;
            let state = self.state.entry(name.to_string()).or_default();
            state.born = born;
            let mut dense = |p: &mut [f32], g: Option<&mut Buffer>| {
                let g = on_host(g.expect("a matrix or a vector"));
                if lamb { rule.lamb(p, &g, state) } else { rule.dense(p, &g, state) }
            };
            let g = parameter.gradient(grads);
            match parameter.tensor() {
                TensorMut::Matrix(p) => dense(&mut data_mut(p), g),
                TensorMut::Vector(p) => dense(&mut data1_mut(p), g),
                TensorMut::Table(t) => {
                    let (rows, values) = &rows[name];
                    match lamb {
                        true => rule.lamb_table(t, rows, values, state, self.step),
                        false => rule.rows(t, rows, values, state, self.step),
                    }
                }
            }
        });
        scalar(norm)
    }

    fn decays(&self, group: Group) -> bool {
        match group {
            Group::Weights => true,
            Group::Biases => !self.bert && !self.lamb,
            Group::Scale => false,
            Group::Rows => self.lamb,
        }
    }

    /// [`AdamState::born`] of a parameter in the present step.
    fn born(&self, name: &str) -> u32 {
        self.state.get(name).filter(|s| !s.m.is_empty()).map_or(self.step as u32 - 1, |s| s.born)
    }

    /// For gradients times `scale`, at `factor` times the learning rate.
    fn rule(&self, scale: f32, factor: f32, born: u32) -> Rule {
        let (one, two) = self.corrections(self.step - born as usize);
        let (one, two) = (one as f32, two as f32);
        let rate = self.rate.at(self.step) * factor;
        Rule {
            b1: self.beta1,
            b2: self.beta2,
            scale,
            rate: rate / one,
            root: 1.0 / two.sqrt(),
            decay: 1.0 - rate * self.weight_decay,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            one,
        }
    }
}

/// The Euclidean norm of all parameters that are trained now.
pub fn parameter_norm(visit: &mut dyn FnMut(Visitor)) -> f32 {
    on_gpu!(|gpu| {
        use dfdx::prelude::AsArray;
        let (mut jobs, norm) = (Jobs::new(gpu), scalar(0.0));
        visit(&mut |_, parameter| {
            if parameter.trained() {
                jobs.push(Job::of_numbers(parameter.place(), parameter.count()));
            }
        });
        jobs.clip(0.0, false, &norm);
        norm.array()
    });
    let mut square = 0f64;
    visit(&mut |_, parameter| {
        if parameter.trained() {
            square += squares(&parameter.floats());
        }
    });
    square.sqrt() as f32
}

/// Steps without a gradient.
#[derive(Clone, Copy)]
struct Missed {
    /// Of m / (√v + ε)
    coefficient: f32,
    m: f32,
    v: f32,
    epsilon: f32,
}

impl Missed {
    /// At `factor` times the learning rate.
    fn at_rate(&self, factor: f32) -> Missed {
        Missed { coefficient: self.coefficient * factor, ..*self }
    }
}

/// Steps without a gradient, for one row.
struct CatchUp<'a> {
    missed: &'a Missed,
    p: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Loop for CatchUp<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((p, m), v) in self.p.iter_mut().zip(self.m).zip(self.v) {
            *p -= self.missed.coefficient * *m / (v.sqrt() + self.missed.epsilon);
            *m *= self.missed.m;
            *v *= self.missed.v;
        }
    }
}

/// The given rows, ascending, each to be changed by itself.
fn rows_mut<'a>(mut data: &'a mut [f32], width: usize, rows: &[u32]) -> Vec<&'a mut [f32]> {
    let mut passed = 0;
    let mut next = |&row: &u32| {
        let (_, rest) = std::mem::take(&mut data).split_at_mut((row as usize - passed) * width);
        let (mine, rest) = rest.split_at_mut(width);
        (data, passed) = (rest, row as usize + 1);
        mine
    };
    rows.iter().map(&mut next).collect()
}

/// The constants of one step.
struct Rule {
    b1: f32,
    b2: f32,
    scale: f32,
    rate: f32,
    root: f32,
    decay: f32,
    epsilon: f32,
    /// LAMB's, which is in the step.
    weight_decay: f32,
    /// What m is divided by; `rate` has it in it.
    one: f32,
}

/// One step of a stretch of parameters.
struct Update<'a> {
    rule: &'a Rule,
    decay: f32,
    p: &'a mut [f32],
    g: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Loop for Update<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Update { rule, decay, p, g, m, v } = self;
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * rule.scale;
            *m = rule.b1 * *m + (1.0 - rule.b1) * g;
            *v = rule.b2 * *v + (1.0 - rule.b2) * g * g;
            *p = *p * decay - rule.rate * *m / (v.sqrt() * rule.root + rule.epsilon);
        }
    }
}

impl Rule {
    fn dense(&self, p: &mut [f32], g: &[f32], state: &mut AdamState) {
        let (m, v) = (state.m.host_mut(), state.v.host_mut());
        m.resize(p.len(), 0.0);
        v.resize(p.len(), 0.0);
        let blocks = p.par_chunks_mut(BLOCK).zip(g.par_chunks(BLOCK));
        let blocks = blocks.zip(m.par_chunks_mut(BLOCK)).zip(v.par_chunks_mut(BLOCK));
        blocks.for_each(|(((p, g), m), v)| vectorise(Update { rule: self, decay: self.decay, p, g, m, v }));
    }

    fn rows(&self, table: &mut Table, rows: &[u32], values: &[f32], state: &mut AdamState, step: usize) {
        if state.m.is_empty() {
            state.m = vec![0.0; table.data().len()].into();
            state.v = vec![0.0; table.data().len()].into();
            state.last = vec![0; table.rows()];
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|&i| rows[i]);
        let ascending: Vec<u32> = order.iter().map(|&i| rows[i]).collect();
        let width = table.width;
        let parts = rows_mut(table.data_mut(), width, &ascending).into_par_iter();
        let moments = rows_mut(state.m.host_mut(), width, &ascending).into_par_iter();
        let moments = moments.zip(rows_mut(state.v.host_mut(), width, &ascending));
        parts.zip(moments).zip(order).for_each(|((p, (m, v)), i)| {
            let g = &values[i * width..(i + 1) * width];
            vectorise(Update { rule: self, decay: 1.0, p, g, m, v });
        });
        rows.iter().for_each(|&row| state.last[row as usize] = step as u32);
    }
}

fn squares(x: &[f32]) -> f64 {
    let sums: Vec<f64> = x.par_chunks(BLOCK).map(squares_of).collect();
    sums.iter().sum()
}

fn squares_of(x: &[f32]) -> f64 {
    let mut sum = 0.0;
    vectorise(SumSquares { x, sum: &mut sum });
    sum as f64
}

struct SumSquares<'a> {
    x: &'a [f32],
    sum: &'a mut f32,
}

impl Loop for SumSquares<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        *self.sum = dot::<FMA>(self.x, self.x);
    }
}

/// One gradient per row, in the order in which the rows first came.
fn merge(mut entries: Vec<RowGradients>, width: usize) -> (Vec<u32>, Vec<f32>) {
    if entries.len() <= 1 {
        let (rows, mut values) = entries.pop().unwrap_or_default();
        return (rows, std::mem::take(values.host_mut()));
    }
    let (mut rows, mut values, mut place) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (some, grads) in &entries {
        for (&row, g) in some.iter().zip(grads.host().chunks(width)) {
            let at = *place.entry(row).or_insert_with(|| {
                rows.push(row);
                values.resize(values.len() + width, 0f32);
                rows.len() - 1
            });
            values[at * width..(at + 1) * width].iter_mut().zip(g).for_each(|(v, g)| *v += g);
        }
    }
    (rows, values)
}

#[cfg(test)]
mod tests;
