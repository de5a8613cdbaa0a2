//! Losses, their gradients computed with them, and sums of losses.

use std::collections::BTreeMap;

use dfdx::prelude::*;

use crate::config::{Distance, TripletConfig};
use crate::device::cuda::{Gpu, GpuPtr, args, at, at_slice, gradient_at, matrix, record_on_gpu, scalar};
use crate::device::{Dev, Matrix, Scalar};
use crate::loss::{Anchors, Contrast, InfoNce};

/// As many negatives as the kernel can remember.
const MOST_NEGATIVES: usize = 256;

/// Who is compared: the rows, or the columns of a matrix of similarities.
struct Side<'a> {
    ids: [&'a cudarc::driver::CudaSlice<u32>; 2],
    anchors: usize,
    items: usize,
    /// From one anchor's similarities to the next one's, and from one item's to the next one's.
    steps: [usize; 2],
}

impl Gpu {
    /// Whether there is a kernel for it.
    pub fn contrasts(&self, contrast: &Contrast) -> bool {
        match contrast {
            Contrast::Triplet(config) | Contrast::Neighbourhood(config) => config.top_n <= MOST_NEGATIVES,
            Contrast::Summed { .. } | Contrast::InfoNce(_) => true,
        }
    }

    /// [`crate::loss::contrast`]
    pub fn contrast<T: Tape<f32, Dev> + 'static>(
        &'static self,
        s: Matrix<T>,
        rows: &[u32],
        columns: &[u32],
        contrast: Contrast,
    ) -> Scalar<T> {
        let (s, tape) = s.split_tape();
        let (m, n) = *s.shape();
        let (value, grad) = (scalar(), matrix(m, n));
        let (row_ids, column_ids) = (self.numbers(rows), self.numbers(columns));
        let along = Side { ids: [&row_ids, &column_ids], anchors: m, items: n, steps: [n, 1] };
        let across = Side { ids: [&column_ids, &row_ids], anchors: n, items: m, steps: [1, n] };
        let (matches, matched) = matches(rows, columns);
        let to = (at(&value), at(&grad));
        match contrast {
            Contrast::Triplet(config) => {
                let siblings = config.same_image_negatives;
                self.triplet(at(&s), &along, config, (false, siblings), 1.0, matches, to);
                let weight = config.sentence_anchor;
                self.triplet(at(&s), &across, config, (false, siblings), weight, matches, to);
            }
            Contrast::Neighbourhood(config) => {
                self.triplet(at(&s), &along, config, (true, false), 1.0, matched, to);
            }
            Contrast::Summed { config, hardest, columns } => {
                self.summed(at(&s), &along, config, hardest, 1.0, to);
                self.summed(at(&s), &across, config, hardest, columns, to);
            }
            Contrast::InfoNce(by) => {
                let share = if by.anchors == Anchors::Both { 0.5 } else { 1.0 };
                for (side, other) in [(along, Anchors::Columns), (across, Anchors::Rows)] {
                    if by.anchors != other {
                        self.info_nce(at(&s), &side, by, share, matches, to);
                    }
                }
            }
        }
        self.scaled(s, tape, value, grad)
    }

    #[allow(clippy::too_many_arguments)]
    fn triplet(
        &self,
        s: GpuPtr,
        side: &Side,
        config: &TripletConfig,
        (farthest, siblings): (bool, bool),
        weight: f32,
        count: usize,
        (value, grad): (GpuPtr, GpuPtr),
    ) {
        let top_n = config.top_n.min(side.items);
        if weight == 0.0 || count == 0 {
            return;
        }
        let scale = weight / (count * top_n) as f32;
        let sums = self.alloc(2 * side.anchors);
        let euclidean = config.distance == Distance::Euclidean;
        let ([anchors, items], [stride, step]) = (side.ids, side.steps);
        let args = args![
            &sums,
            grad,
            s,
            anchors,
            items,
            side.items,
            stride,
            step,
            config.margin,
            top_n,
            euclidean,
            farthest,
            siblings,
            scale
        ];
        self.rows("triplet", side.anchors, args);
        self.add_sums(value, at_slice(&sums), side.anchors, scale);
    }

    fn summed(
        &self,
        s: GpuPtr,
        side: &Side,
        config: &TripletConfig,
        hardest: f32,
        scale: f32,
        (value, grad): (GpuPtr, GpuPtr),
    ) {
        if scale == 0.0 {
            return;
        }
        let sums = self.alloc(2 * side.anchors);
        let (euclidean, siblings) = (config.distance == Distance::Euclidean, config.same_image_negatives);
        let ([anchors, items], [stride, step]) = (side.ids, side.steps);
        let args = args![
            &sums,
            grad,
            s,
            anchors,
            items,
            side.items,
            stride,
            step,
            config.margin,
            euclidean,
            siblings,
            hardest,
            scale
        ];
        self.rows("summed", side.anchors, args);
        self.add_sums(value, at_slice(&sums), side.anchors, scale);
    }

    fn info_nce(
        &self,
        s: GpuPtr,
        side: &Side,
        by: InfoNce,
        share: f32,
        count: usize,
        (value, grad): (GpuPtr, GpuPtr),
    ) {
        if count == 0 {
            return;
        }
        let share = share / count as f32;
        let sums = self.alloc(2 * side.anchors);
        let ([anchors, items], [stride, step]) = (side.ids, side.steps);
        let (temperature, smoothing, margin) = (by.temperature.value(), by.smoothing, by.margin);
        let scale = share / temperature;
        let args = args![
            &sums,
            grad,
            s,
            anchors,
            items,
            side.items,
            stride,
            step,
            temperature,
            smoothing,
            margin,
            scale
        ];
        self.rows("info_nce", side.anchors, args);
        self.add_sums(value, at_slice(&sums), side.anchors, share);
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
            // The difference was not kept: it is cheaper than its memory.
            let difference = matrix(rows, width);
            self.add_scaled(at(&difference), at(&a), 1.0, rows * width);
            self.add_scaled(at(&difference), at(&b), -1.0, rows * width);
            let n = rows * width;
            self.each("add_scaled_by", n, args![gradient_at!(grads, &a), at(&difference), g, n]);
        })
    }

    /// [`crate::loss::combined`]
    pub fn combined<T: Tape<f32, Dev> + 'static>(
        &'static self,
        inputs: Vec<(Scalar, f32)>,
        tape: T,
        divisor: f32,
    ) -> Scalar<T> {
        let (inputs, factors): (Vec<Scalar>, Vec<f32>) =
            inputs.into_iter().map(|(part, factor)| (part, factor / divisor)).unzip();
        let (value, n) = (scalar(), inputs.len());
        let there = self.floats(&factors);
        let addresses = self.addresses(inputs.iter().map(at));
        self.launch("weighted_sum", (1, 1), (128, 1), args![at(&value), &addresses, &there, n]);
        record_on_gpu!(tape, value, |grads, g| {
            // A part may stand here twice.
            let mut by_place: BTreeMap<u64, f32> = BTreeMap::new();
            for (part, factor) in inputs.iter().zip(&factors) {
                *by_place.entry(gradient_at!(grads, part).0).or_default() += factor;
            }
            let addresses = self.addresses(by_place.keys().map(|&place| GpuPtr(place)));
            let n = by_place.len();
            let factors = self.floats(&by_place.into_values().collect::<Vec<_>>());
            self.each("spread", n, args![&addresses, &factors, g, n]);
        })
    }

    /// [`crate::loss::values`]
    pub fn values(&self, losses: &[&Scalar]) -> Vec<f32> {
        if losses.is_empty() {
            return Vec::new();
        }
        let (n, out) = (losses.len(), self.alloc(losses.len()));
        let addresses = self.addresses(losses.iter().map(|loss| at(*loss)));
        self.each("gather_scalars", n, args![&out, &addresses, n]);
        crate::device::cuda::must(self.cuda.dtoh_sync_copy(&out))
    }

    fn addresses(&self, all: impl Iterator<Item = GpuPtr>) -> cudarc::driver::CudaSlice<u32> {
        // Two numbers of four bytes each, the low one first.
        let halves: Vec<u32> = all.flat_map(|GpuPtr(a)| [a as u32, (a >> 32) as u32]).collect();
        self.numbers(&halves)
    }
}

/// How many pairs of a row and a column belong to one picture, and how many rows have such a column.
fn matches(rows: &[u32], columns: &[u32]) -> (usize, usize) {
    let mut count: BTreeMap<u32, usize> = BTreeMap::new();
    columns.iter().for_each(|c| *count.entry(*c).or_default() += 1);
    let of = |r: &u32| count.get(r).copied().unwrap_or(0);
    (rows.iter().map(of).sum(), rows.iter().filter(|r| of(r) > 0).count())
}
