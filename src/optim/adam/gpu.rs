//! A step by kernels.

use std::collections::BTreeMap;

use super::{Adam, AdamState, Norm, Rule};
use crate::device::Buffer;
use crate::device::cuda::Gpu;
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::Table;
use crate::ops::tape::Grads;
use crate::optim::adam::cuda::{Constants, Moments, Norms, TensorPtr};
use crate::optim::{Parameter, Visitor};

impl Adam {
    /// As [`Self::update`], by kernels: the gradients and their norm stay on the GPU.
    pub(super) fn update_on(
        &mut self,
        gpu: &'static Gpu,
        grads: &mut Grads,
        visit: &mut dyn FnMut(Visitor),
    ) -> Norm {
        let mut room = 0;
        visit(&mut |_, _| room += 1);
        let mut norms = Norms::new(gpu, room);
        let mut of_tables: BTreeMap<String, (Vec<u32>, HostDeviceBuffer)> = BTreeMap::new();
        visit(&mut |name, parameter| {
            let n = parameter.count();
            let mut of = |buffer: &Buffer| norms.add(TensorPtr::of(buffer), n);
            match parameter {
                Parameter::Matrix(p) => of(grads.get_or_alloc_mut(p).expect("memory for a gradient")),
                Parameter::Vector(p) => of(grads.get_or_alloc_mut(p).expect("memory for a gradient")),
                Parameter::Table(t) => {
                    let (rows, values) = gpu.merged(t.take_grads(), t.width);
                    norms.add(TensorPtr::of(values.device()), rows.len() * t.width);
                    of_tables.insert(name.to_string(), (rows, values));
                }
            }
        });
        let clipped = norms.clip(self.clip, self.bert);
        self.step += 1;
        let rule = self.rule(1.0);
        let constants = rule.constants();
        let mut tensor = 0;
        visit(&mut |name, parameter| {
            let decay = if self.decays(&parameter) { rule.decay } else { 1.0 };
            let state = self.state.entry(name.to_string()).or_default();
            let n = parameter.count();
            if state.m.is_empty() {
                (state.m, state.v) = (gpu.no_moments(n), gpu.no_moments(n));
            }
            let p = parameter.place();
            let g = match parameter {
                Parameter::Matrix(p) => grads.get_or_alloc_mut(p),
                Parameter::Vector(p) => grads.get_or_alloc_mut(p),
                Parameter::Table(table) => {
                    state.last.resize(table.rows(), 0);
                    let (rows, values) = &of_tables[name];
                    let values = TensorPtr::of(values.device());
                    let to = moments_of(table, state);
                    gpu.adam_rows(to, (rows, values), table.width, constants, (&clipped, tensor));
                    rows.iter().for_each(|&row| state.last[row as usize] = self.step as u32);
                    tensor += 1;
                    return;
                }
            };
            let g = TensorPtr::of(g.expect("memory for a gradient"));
            let (m, v) = (TensorPtr::of(state.m.device_mut()), TensorPtr::of(state.v.device_mut()));
            gpu.adam_dense(Moments { p, m, v }, g, constants, decay, (&clipped, tensor), n);
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
}
