//! A step by kernels.

use std::collections::BTreeMap;

use super::{Adam, AdamState, Norm, Rule};
use crate::device::cuda::Gpu;
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::Table;
use crate::ops::tape::Grads;
use crate::optim::adam::cuda::{Constants, Moments, Norms, TensorPtr};
use crate::optim::{TensorMut, Visitor};

impl Adam {
    /// As [`Self::update`], by kernels: the gradients and their norm stay on the GPU.
    pub(super) fn update_on(
        &mut self,
        gpu: &'static Gpu,
        grads: &mut Grads,
        visit: &mut dyn FnMut(Visitor),
    ) -> Norm {
        let mut room = 0;
        visit(&mut |_, parameter| room += usize::from(parameter.trained()));
        let mut norms = Norms::new(gpu, room);
        let mut of_tables: BTreeMap<String, (Vec<u32>, HostDeviceBuffer)> = BTreeMap::new();
        visit(&mut |name, parameter| {
            if !parameter.trained() {
                return;
            }
            if let Some(gradient) = parameter.gradient(grads) {
                norms.add(TensorPtr::of(gradient), parameter.count());
            }
            if let Some(table) = parameter.as_table() {
                let (rows, values) = gpu.merged(table.take_grads(), table.width);
                norms.add(TensorPtr::of(values.device()), rows.len() * table.width);
                of_tables.insert(name.to_string(), (rows, values));
            }
        });
        let clipped = norms.clip(self.clip, self.bert);
        self.step += 1;
        let mut tensor = 0;
        visit(&mut |name, mut parameter| {
            if !parameter.trained() {
                return;
            }
            let born = self.born(name);
            let rule = self.rule(1.0, parameter.rate().factor(), born);
            let constants = rule.constants();
            let decays = self.decays(parameter.group());
            let decay = if decays { rule.decay } else { 1.0 };
            let lamb = self.lamb;
            let state = self.state.entry(name.to_string()).or_default();
            state.born = born;
            let n = parameter.count();
            if state.m.is_empty() {
                (state.m, state.v) = (gpu.no_moments(n), gpu.no_moments(n));
            }
            let p = parameter.place();
            if let Some(g) = parameter.gradient(grads) {
                let (m, v) = (TensorPtr::of(state.m.device_mut()), TensorPtr::of(state.v.device_mut()));
                let (moments, g) = (Moments { p, m, v }, TensorPtr::of(g));
                match lamb {
                    true => gpu.lamb(moments, g, constants, rule.own_rate(decays), (&clipped, tensor), n),
                    false => gpu.adam_dense(moments, g, constants, decay, (&clipped, tensor), n),
                }
            }
            if let TensorMut::Table(table) = parameter.tensor() {
                state.last.resize(table.rows(), 0);
                let (rows, values) = &of_tables[name];
                let values = TensorPtr::of(values.device());
                let to = moments_of(table, state);
                if lamb {
                    let g = gpu.scattered(rows, values, (table.rows(), table.width));
                    let g = TensorPtr::of(&g);
                    gpu.lamb(to, g, constants, rule.own_rate(decays), (&clipped, tensor), n);
                    state.last.fill(self.step as u32);
                } else {
                    gpu.adam_rows(to, (rows, values), table.width, constants, (&clipped, tensor));
                    rows.iter().for_each(|&row| state.last[row as usize] = self.step as u32);
                }
            }
            tensor += 1;
        });
        Norm::OnGpu(clipped)
    }
}

/// Where a table and its moments are on the GPU, to be changed there.
pub(super) fn moments_of(table: &mut Table, state: &mut AdamState) -> Moments {
    Moments {
        p: TensorPtr::of(table.values_mut().device_mut()),
        m: TensorPtr::of(state.m.device_mut()),
        v: TensorPtr::of(state.v.device_mut()),
    }
}

impl Rule {
    fn constants(&self) -> Constants {
        let Rule { b1, b2, rate, root, epsilon, .. } = *self;
        Constants { b1, b2, rate, root, epsilon }
    }

    /// LAMB's rate before the trust ratio, what its m is divided by, and the decay in its step.
    fn own_rate(&self, decays: bool) -> [f32; 3] {
        [self.rate * self.one, self.one, if decays { self.weight_decay } else { 0.0 }]
    }
}
