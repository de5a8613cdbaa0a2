//! A step by kernels.

use super::{Adam, AdamState, Missed, Rule};
use crate::device::cuda::pinned::Sent;
use crate::device::cuda::{Gpu, scalar};
use crate::device::{Buffer, Scalar};
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::Table;
use crate::ops::tape::Grads;
use crate::optim::adam::cuda::{Constants, Job, Jobs, TensorPtr};
use crate::optim::{TensorMut, Visitor};

impl Adam {
    /// As [`Self::update`], by kernels that take all tensors at once: the gradients and their norm stay on the GPU.
    pub(super) fn update_on(
        &mut self,
        gpu: &'static Gpu,
        grads: &mut Grads,
        visit: &mut dyn FnMut(Visitor),
    ) -> Scalar {
        self.step += 1;
        let mut jobs = Jobs::new(gpu);
        // Lives until the kernels have been asked for.
        let mut kept: Vec<(HostDeviceBuffer, Option<Sent>)> = Vec::new();
        visit(&mut |name, mut parameter| {
            if !parameter.trained() {
                return;
            }
            let born = self.born(name);
            let rule = self.rule(1.0, parameter.rate().factor(), born);
            let decays = self.decays(parameter.group());
            let (lamb, step) = (self.lamb, self.step as u32);
            let state = self.state.entry(name.to_string()).or_default();
            state.born = born;
            let n = parameter.count();
            if state.m.is_empty() {
                (state.m, state.v) = (gpu.no_moments(n), gpu.no_moments(n));
            }
            // The parameter changes: what is packed of it goes, and the host's copy of a table.
            if let TensorMut::Table(table) = parameter.tensor() {
                table.values_mut().device_mut();
            }
            let mut job = Job::new(parameter.place(), n, 1);
            if let Some(g) = parameter.gradient(grads) {
                job.of_gradient(TensorPtr::of(g));
            }
            if let Some(table) = parameter.as_table() {
                state.last.resize(table.rows(), 0);
                let (rows, values) = gpu.merged(table.take_grads(), table.width);
                if lamb {
                    let whole = gpu.scattered(&rows, TensorPtr::of(values.device()), table);
                    job.of_gradient(TensorPtr::of(&whole));
                    kept.push((HostDeviceBuffer::on_device(whole), None));
                    state.last.fill(step);
                } else {
                    let there = gpu.numbers(&rows);
                    job = Job::new(parameter.place(), rows.len() * table.width, table.width);
                    job.of_rows(TensorPtr::of(values.device()), &there);
                    kept.push((values, Some(there)));
                    rows.iter().for_each(|&row| state.last[row as usize] = step);
                }
            }
            job.of_moments(TensorPtr::of(state.m.device_mut()), TensorPtr::of(state.v.device_mut()));
            job.by(if lamb { rule.of_lamb(decays) } else { rule.of_adam(decays) });
            jobs.push(job);
        });
        let norm = scalar();
        let scales = jobs.clip(self.clip, self.bert, &norm);
        let constants = Constants { b1: self.beta1, b2: self.beta2, epsilon: self.epsilon };
        match self.lamb {
            true => jobs.lamb(&scales, constants),
            false => jobs.adam(&scales, constants),
        }
        norm
    }
}

/// Rows that are behind, and what they have missed (rows, 3), on their way to the GPU.
pub(super) fn missed_rows(gpu: &Gpu, rows: &[u32], missed: &[Missed]) -> [Sent; 2] {
    let missed: Vec<f32> = missed.iter().flat_map(|k| [k.coefficient, k.m, k.v]).collect();
    [gpu.numbers(rows), gpu.floats(&missed)]
}

/// Where a table and its moments are on the GPU, to be changed there.
pub(super) fn moments_of(table: &mut Table, state: &mut AdamState) -> [TensorPtr; 3] {
    let of = |buffer: &mut Buffer| TensorPtr::of(buffer);
    [of(table.values_mut().device_mut()), of(state.m.device_mut()), of(state.v.device_mut())]
}

impl Rule {
    /// Rate, root, decay of the parameter, and what LAMB alone divides by.
    fn of_adam(&self, decays: bool) -> [f32; 4] {
        [self.rate, self.root, if decays { self.decay } else { 1.0 }, 1.0]
    }

    /// LAMB's rate before the trust ratio, root, decay in its step, and what its m is divided by.
    fn of_lamb(&self, decays: bool) -> [f32; 4] {
        [self.rate * self.one, self.root, if decays { self.weight_decay } else { 0.0 }, self.one]
    }
}
