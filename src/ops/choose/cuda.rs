//! The hard choice of one latent vector per word.

use dfdx::prelude::*;

use crate::config::{Estimator, Precision};
use crate::device::cuda::{
    Gpu, Operand, Target, args, at, at_buffer, at_slice, gradient_at, matrix, record_on_gpu, zeroed,
};
use crate::device::{Dev, Matrix};
use crate::ops::choose::Choice;
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::Table;
use crate::ops::rows::cuda::NONE;
use crate::ops::sequences::Occurrences;

/// As many latent vectors as the kernels can remember for each word.
const MOST_NEAREST: usize = 256;
/// Scores that are there at once.
const SCORES: usize = 1 << 25;

impl Gpu {
    /// Whether there is a kernel for so many.
    pub fn chooses(&self, top: usize) -> bool {
        top <= MOST_NEAREST
    }

    /// [`crate::ops::choose::choose`]; `picks` says which of its nearest each word takes.
    pub fn choose<T: Tape<f32, Dev> + 'static>(
        &'static self,
        query: Matrix,
        tape: T,
        latents: &Table,
        picks: &[u32],
        choice: Choice,
    ) -> Matrix<T> {
        let ((words, width), rows, top) = (*query.shape(), latents.rows(), choice.top);
        let from = at_buffer(latents.values().device());
        let (keys, lengths) = (self.alloc(rows * width), self.alloc(rows));
        self.rows("unit_rows", rows, args![&keys, &lengths, from, width]);
        let (places, scores) = (self.alloc(words * top), self.alloc(words * top));
        let tile = (SCORES / rows).max(1);
        let all = self.alloc(tile.min(words) * rows);
        for first in (0..words).step_by(tile) {
            let some = tile.min(words - first);
            let some_queries = Operand::new(at(&query).plus(first * width), some, width);
            let to = Target { at: at_slice(&all), stride: rows };
            self.gemm(
                some_queries,
                Operand::new(at_slice(&keys), rows, width).t(),
                to,
                false,
                Precision::F32,
            );
            let (places, values) = (at_slice(&places).plus(first * top), at_slice(&scores).plus(first * top));
            self.rows("nearest", some, args![places, values, &all, rows, top]);
        }
        let (out, chosen, picks) = (matrix(words, width), self.alloc_numbers(words), self.numbers(picks));
        let args = args![at(&out), &chosen, from, &places, &picks, top, words, width];
        self.each("choose", words * width, args);
        let sink = latents.sink();
        record_on_gpu!(tape, out, |grads, g| {
            if choice.estimator != Estimator::None {
                let (to, gate) = (gradient_at!(grads, &query), choice.estimator == Estimator::Gate);
                let temperature = choice.temperature;
                let args =
                    args![to, g, &keys, &lengths, &places, &scores, &picks, temperature, gate, top, width];
                self.rows("choose_back", words, args);
            }
            let Some(sink) = &sink else { return Ok(()) };
            let chosen = &self.read::<u32>(at_slice(&chosen), words);
            let mut distinct = chosen.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            let place = |row: &u32| distinct.binary_search(row).expect("one of them") as u32;
            let occurrences = Occurrences::of(chosen.iter().map(place), distinct.len());
            let (starts, places) = (self.numbers(occurrences.starts()), self.numbers(occurrences.places()));
            let (n, sums) = (distinct.len(), zeroed(distinct.len() * width));
            let args = args![at_buffer(&sums), g, &starts, &places, NONE, n, width];
            self.each("accumulate_rows", n * width, args);
            let entry = (distinct, HostDeviceBuffer::on_device(sums));
            sink.lock().expect("gradients are taken without panicking").push(entry);
        })
    }
}
