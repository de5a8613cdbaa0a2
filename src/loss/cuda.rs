//! Losses, their gradients computed with them, and sums of losses.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use cudarc::driver::CudaSlice;
use dfdx::prelude::*;

use crate::config::{Distance, TripletConfig};
use crate::device::cuda::pinned::Sent;
use crate::device::cuda::{Gpu, GpuPtr, args, at, at_slice, gradient_at, matrix, record_on_gpu, scalar};
use crate::device::{Dev, Matrix, Scalar, Vector};
use crate::loss::{Anchors, Contrast, InfoNce, Temperature};
use crate::ops::rows::cuda::NONE;

/// As many negatives as the kernel can remember.
const MOST_NEGATIVES: usize = 256;

/// As many numbers as go with a launch (`Scalars` in kernels/rows.cu).
const MOST_SCALARS: usize = 32;

/// Numbers of the GPU, each by itself, with factors: an argument by value, of `Scalars`' layout.
#[repr(C)]
#[derive(Clone, Copy)]
struct Scalars {
    part: [u64; MOST_SCALARS],
    factor: [f32; MOST_SCALARS],
    count: u32,
}

impl Scalars {
    /// Up to [`MOST_SCALARS`] of them.
    fn of(some: &[(GpuPtr, f32)]) -> Self {
        let mut all =
            Scalars { part: [0; MOST_SCALARS], factor: [0.0; MOST_SCALARS], count: some.len() as u32 };
        for (k, (at, factor)) in some.iter().enumerate() {
            (all.part[k], all.factor[k]) = (at.0, *factor);
        }
        all
    }
}

/// Who is compared: the rows, or the columns of a matrix of similarities.
struct Side<'a> {
    ids: [&'a Sent; 2],
    /// Of each group, as `Span` in kernels/loss.cu has it.
    spans: &'a Sent,
    /// How many groups there are, and the most anchors that one has.
    grid: [usize; 2],
    /// From one anchor's similarities to the next one's, and from one item's to the next one's.
    steps: [usize; 2],
}

impl Side<'_> {
    /// One block for each anchor of each group, at most.
    fn blocks(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}

/// Where a contrast is judged: its similarities, their gradient, and two numbers for every block (the second for a trained temperature).
struct Judged {
    s: GpuPtr,
    grad: GpuPtr,
    sums: CudaSlice<f32>,
    along: CudaSlice<f32>,
    blocks: usize,
}

impl Judged {
    /// Room for the numbers of so many further blocks, of eight bytes each.
    fn room(&mut self, blocks: usize) -> [GpuPtr; 2] {
        let first = 2 * self.blocks;
        self.blocks += blocks;
        [at_slice(&self.sums).plus(first), at_slice(&self.along).plus(first)]
    }
}

/// Of each group of columns that any row matches, its `Span` (kernels/loss.cu): with rows as anchors, and with columns.
pub(crate) fn spans(rows: &[u32], columns: &[u32], groups: &[Range<usize>]) -> [Vec<u32>; 2] {
    let mut count: HashMap<u32, u32> = HashMap::new();
    rows.iter().for_each(|r| *count.entry(*r).or_default() += 1);
    let [mut along, mut across] = [Vec::new(), Vec::new()];
    for group in groups {
        let of = |c: &u32| count.get(c).copied().unwrap_or(0);
        let matches: u32 = columns[group.clone()].iter().map(of).sum();
        let matched = columns[group.clone()].iter().filter(|c| of(c) > 0).count() as u32;
        if matches > 0 {
            let distinct: HashSet<u32> = columns[group.clone()].iter().copied().collect();
            let rows_matched: u32 = distinct.iter().map(of).sum();
            let (all, first, some) = (rows.len() as u32, group.start as u32, group.len() as u32);
            along.extend([0, all, first, some, matches, rows_matched]);
            across.extend([first, some, 0, all, matches, matched]);
        }
    }
    [along, across]
}

impl Gpu {
    /// Whether there is a kernel for it.
    pub fn contrasts(&self, contrast: &Contrast) -> bool {
        match contrast {
            Contrast::Triplet(config) | Contrast::Neighbourhood(config) => config.top_n <= MOST_NEGATIVES,
            Contrast::Summed { .. } | Contrast::InfoNce(_) => true,
        }
    }

    /// [`crate::loss::grouped_contrast`]
    pub fn contrast<T: Tape<f32, Dev> + 'static>(
        &'static self,
        s: Matrix<T>,
        rows: &[u32],
        columns: &[u32],
        groups: &[Range<usize>],
        contrast: Contrast,
    ) -> Scalar<T> {
        let (s, tape) = s.split_tape();
        let (m, n) = *s.shape();
        let (value, grad) = (scalar(), matrix(m, n));
        let (row_ids, column_ids) = (self.numbers(rows), self.numbers(columns));
        let [along, across] = spans(rows, columns, groups);
        let count = along.len() / 6;
        let [along, across] = [self.numbers(&along), self.numbers(&across)];
        let longest = groups.iter().map(Range::len).max().unwrap_or(0);
        let along = Side { ids: [&row_ids, &column_ids], spans: &along, grid: [m, count], steps: [n, 1] };
        let across =
            Side { ids: [&column_ids, &row_ids], spans: &across, grid: [longest, count], steps: [1, n] };
        let room = 2 * (along.blocks() + across.blocks());
        let mut judged =
            Judged { s: at(&s), grad: at(&grad), sums: self.alloc(room), along: self.alloc(room), blocks: 0 };
        let share = 1.0 / groups.len().max(1) as f32;
        let mut trained = None;
        match contrast {
            Contrast::Triplet(config) => {
                let siblings = config.same_image_negatives;
                self.triplet(&along, config, (false, siblings), share, &mut judged);
                self.triplet(&across, config, (false, siblings), share * config.sentence_anchor, &mut judged);
            }
            Contrast::Neighbourhood(config) => {
                self.triplet(&along, config, (true, false), share, &mut judged);
            }
            Contrast::Summed { config, hardest, columns } => {
                self.summed(&along, config, hardest, share, &mut judged);
                self.summed(&across, config, hardest, share * columns, &mut judged);
            }
            Contrast::InfoNce(by) => {
                if let Temperature::Trained(log_scale) = by.temperature {
                    trained = log_scale.rate.trained().then(|| log_scale.value.clone());
                }
                let share = if by.anchors == Anchors::Both { 0.5 * share } else { share };
                for (side, other) in [(along, Anchors::Columns), (across, Anchors::Rows)] {
                    if by.anchors != other {
                        self.info_nce(&side, by, share, &mut judged);
                    }
                }
            }
        }
        self.add_sums(at(&value), at_slice(&judged.sums), judged.blocks, 1.0);
        let trained = trained.map(|log_scale| {
            let along = scalar();
            self.add_sums(at(&along), at_slice(&judged.along), judged.blocks, 1.0);
            (log_scale, along)
        });
        let elements = m * n;
        record_on_gpu!(tape, value, |grads, g| {
            self.each("add_scaled_by", elements, args![gradient_at!(grads, &s), at(&grad), g, elements]);
            if let Some((log_scale, along)) = &trained {
                self.each("add_scaled_by", 1, args![gradient_at!(grads, log_scale), at(along), g, 1usize]);
            }
        })
    }

    fn triplet(
        &self,
        side: &Side,
        config: &TripletConfig,
        (farthest, siblings): (bool, bool),
        weight: f32,
        judged: &mut Judged,
    ) {
        if weight == 0.0 {
            return;
        }
        let [sums, _] = judged.room(side.blocks());
        let euclidean = config.distance == Distance::Euclidean;
        let ([anchors, items], [stride, step]) = (side.ids, side.steps);
        let args = args![
            sums,
            judged.grad,
            judged.s,
            anchors,
            items,
            side.spans,
            stride,
            step,
            config.margin,
            config.top_n,
            euclidean,
            farthest,
            siblings,
            weight
        ];
        self.launch("triplet", (side.grid[0], side.grid[1]), (128, 1), args);
    }

    fn summed(&self, side: &Side, config: &TripletConfig, hardest: f32, scale: f32, judged: &mut Judged) {
        if scale == 0.0 {
            return;
        }
        let [sums, _] = judged.room(side.blocks());
        let (euclidean, siblings) = (config.distance == Distance::Euclidean, config.same_image_negatives);
        let ([anchors, items], [stride, step]) = (side.ids, side.steps);
        let args = args![
            sums,
            judged.grad,
            judged.s,
            anchors,
            items,
            side.spans,
            stride,
            step,
            config.margin,
            euclidean,
            siblings,
            hardest,
            scale
        ];
        self.launch("summed", (side.grid[0], side.grid[1]), (128, 1), args);
    }

    fn info_nce(&self, side: &Side, by: InfoNce, weight: f32, judged: &mut Judged) {
        let [sums, along] = judged.room(side.blocks());
        let ([anchors, items], [stride, step]) = (side.ids, side.steps);
        let (log_scale, temperature) = match by.temperature {
            Temperature::Fixed(temperature) => (NONE, temperature),
            Temperature::Trained(log_scale) => (at(&log_scale.value), 0.0),
        };
        let (smoothing, margin) = (by.smoothing, by.margin);
        let args = args![
            sums,
            along,
            judged.grad,
            judged.s,
            anchors,
            items,
            side.spans,
            stride,
            step,
            log_scale,
            temperature,
            smoothing,
            margin,
            weight
        ];
        self.launch("info_nce", (side.grid[0], side.grid[1]), (128, 1), args);
    }

    /// value += Σ sums · scale
    fn add_sums(&self, value: GpuPtr, sums: GpuPtr, n: usize, scale: f32) {
        self.launch("add_sums", (1, 1), (128, 1), args![value, sums, n, scale]);
    }

    /// A loss whose gradient is known.
    fn scaled<T: Tape<f32, Dev> + 'static>(
        &'static self,
        x: Matrix,
        tape: T,
        value: Scalar,
        grad: Matrix,
    ) -> Scalar<T> {
        let n = grad.shape().0 * grad.shape().1;
        record_on_gpu!(tape, value, |grads, g| {
            self.each("add_scaled_by", n, args![gradient_at!(grads, &x), at(&grad), g, n]);
        })
    }

    /// [`crate::loss::adversary::classification`]
    pub fn cross_entropy<T: Tape<f32, Dev> + 'static>(
        &'static self,
        logits: Matrix<T>,
        classes: &[u32],
    ) -> Scalar<T> {
        let (x, tape) = logits.split_tape();
        let (rows, width) = *x.shape();
        let (value, grad, sums) = (scalar(), matrix(rows, width), self.alloc(2 * rows));
        let classes = self.numbers(classes);
        self.rows("cross_entropy", rows, args![&sums, at(&grad), at(&x), &classes, width]);
        self.add_sums(at(&value), at_slice(&sums), rows, 1.0 / rows.max(1) as f32);
        self.scaled(x, tape, value, grad)
    }

    /// The mean distance between the rows of two matrices (rows, width).
    pub fn mean_distance<T: Tape<f32, Dev> + 'static>(
        &'static self,
        a: Matrix<T>,
        b: Matrix<T>,
    ) -> Scalar<T> {
        let ((a, ta), (b, tb)) = (a.split_tape(), b.split_tape());
        let (rows, width) = *a.shape();
        let (value, distances, sums) = (scalar(), self.alloc(rows), self.alloc(2 * rows));
        self.rows("row_distances", rows, args![&distances, &sums, at(&a), at(&b), width]);
        self.add_sums(at(&value), at_slice(&sums), rows, 1.0 / rows.max(1) as f32);
        record_on_gpu!(ta.merge(tb), value, |grads, g| {
            let (to_a, to_b) = (gradient_at!(grads, &a), gradient_at!(grads, &b));
            let args = args![to_a, to_b, at(&a), at(&b), &distances, g, rows, width];
            self.each("row_distances_back", rows * width, args);
        })
    }

    /// [`crate::loss::half_square`]
    pub fn half_square<T: Tape<f32, Dev> + 'static>(&'static self, a: Matrix<T>, b: Matrix) -> Scalar<T> {
        let (a, tape) = a.split_tape();
        let (rows, width) = *a.shape();
        let (value, sums) = (scalar(), self.alloc(2 * rows));
        self.rows("half_squares", rows, args![&sums, at(&a), at(&b), width]);
        self.add_sums(at(&value), at_slice(&sums), rows, 1.0);
        record_on_gpu!(tape, value, |grads, g| {
            let n = rows * width;
            self.each("half_squares_back", n, args![gradient_at!(grads, &a), at(&a), at(&b), g, n]);
        })
    }

    /// [`crate::loss::combined`]
    pub fn combined<T: Tape<f32, Dev> + 'static>(
        &'static self,
        inputs: Vec<(Scalar, f32)>,
        tape: T,
        divisor: f32,
    ) -> Scalar<T> {
        let value = scalar();
        let parts: Vec<(GpuPtr, f32)> =
            inputs.iter().map(|(part, factor)| (at(part), factor / divisor)).collect();
        for (n, some) in parts.chunks(MOST_SCALARS).enumerate() {
            let args = args![at(&value), n > 0];
            self.launch_with("weighted_sum", (1, 1), (32, 1), &Scalars::of(some), args);
        }
        record_on_gpu!(tape, value, |grads, g| {
            let mut to = Vec::new();
            for (part, factor) in &inputs {
                to.push((gradient_at!(grads, part), factor / divisor));
            }
            for some in to.chunks(MOST_SCALARS) {
                self.launch_with("spread", (1, 1), (32, 1), &Scalars::of(some), args![g]);
            }
        })
    }

    /// [`crate::loss::values`]
    pub fn values(&self, losses: &[&Scalar]) -> Vec<f32> {
        let out = self.alloc(losses.len());
        for (n, some) in losses.chunks(MOST_SCALARS).enumerate() {
            let some: Vec<(GpuPtr, f32)> = some.iter().map(|loss| (at(*loss), 1.0)).collect();
            let args = args![at_slice(&out).plus(n * MOST_SCALARS)];
            self.launch_with("gather_scalars", (1, 1), (MOST_SCALARS as u32, 1), &Scalars::of(&some), args);
        }
        self.read(at_slice(&out), losses.len())
    }

    /// A number whose gradient with respect to y (n, width) is `pull`, whose rows from `first` on are for y.
    pub fn pull_rows<T: Tape<f32, Dev> + 'static>(
        &'static self,
        y: Matrix<T>,
        pull: Matrix,
        first: usize,
    ) -> Scalar<T> {
        let (y, tape) = y.split_tape();
        let (rows, width) = *y.shape();
        record_on_gpu!(tape, scalar(), |grads, g| {
            let (from, n) = (at(&pull).plus(first * width), rows * width);
            self.each("add_scaled_by", n, args![gradient_at!(grads, &y), from, g, n]);
        })
    }

    /// Takes what is above `most` back to it.
    pub fn at_most(&self, x: &Vector, most: f32) {
        let n = x.shape().0;
        self.each("at_most", n, args![at(x), most, n]);
    }
}
