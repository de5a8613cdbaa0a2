//! The average of the weights, and tables whose rows wait for their steps.

use std::collections::BTreeMap;

use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::on_gpu;
#[cfg(feature = "cuda")]
use crate::optim::adam::cuda::TensorPtr;
use crate::optim::{Adam, Parameter, ParameterTree};

/// How the average of the weights follows them in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Averaging {
    /// Not at all.
    Off,
    /// After every tenth step, if `train.average` is on, from the first of these on: all that is stored, with all rows of tables brought up
    /// to date.
    Tenth,
    /// After every step, from the weights at the start of the stage on: what is trained, with rows of tables as they are, since to bring
    /// them all up to date would take longer than the step. Without `train.average` it is the weights after the last step.
    Each,
}

impl Averaging {
    /// Steps between its updates.
    pub(super) fn every(self) -> usize {
        if self == Averaging::Each { 1 } else { 10 }
    }
}

/// Weights by name.
pub(super) type Weights = BTreeMap<String, HostDeviceBuffer>;

/// What is trained, as it is.
pub(super) fn trained(model: &mut dyn ParameterTree) -> Weights {
    let mut weights = BTreeMap::new();
    model.visit(&mut |name, now| {
        if now.trained() {
            weights.insert(name.to_string(), now.copied());
        }
    });
    weights
}

/// average ← decay · average + (1 − decay) · now, of all that `averaging` speaks of.
pub(super) fn follow(
    average: &mut Weights,
    model: &mut dyn ParameterTree,
    adam: &Adam,
    averaging: Averaging,
    decay: f32,
) {
    if averaging == Averaging::Each {
        model.visit(&mut |name, now| {
            if now.trained() {
                let average = average.get_mut(name).expect("an average of all that is trained");
                move_towards(average, None, &now, averaging, decay);
            }
        });
        return;
    }
    let tables = tables(model, adam);
    model.visit(&mut |name, now| match average.get_mut(name) {
        Some(average) => move_towards(average, tables.get(name), &now, averaging, decay),
        None => {
            let first = tables.get(name).cloned();
            average.insert(name.to_string(), first.unwrap_or_else(|| now.copied()));
        }
    });
}

/// As [`follow`], of one parameter; `settled` stands for `now` where it is given.
fn move_towards(
    average: &mut HostDeviceBuffer,
    settled: Option<&HostDeviceBuffer>,
    now: &Parameter,
    averaging: Averaging,
    decay: f32,
) {
    let rate = 1.0 - decay;
    on_gpu!(|gpu| {
        let now_at = settled.map_or_else(|| now.place(), |settled| TensorPtr::of(settled.device()));
        gpu.average(TensorPtr::of(average.device_mut()), now_at, rate, now.count())
    });
    let floats;
    let now = match settled {
        Some(settled) => settled.host(),
        None => {
            floats = now.floats();
            &floats
        }
    };
    // The same but for the last bit, which each has had from the beginning.
    average.host_mut().iter_mut().zip(now).for_each(|(a, x)| match averaging {
        Averaging::Each => *a = decay * *a + rate * x,
        Averaging::Tenth | Averaging::Off => *a += rate * (x - *a),
    });
}

/// The tables of a model with all rows brought up to date.
pub(super) fn tables(model: &mut dyn ParameterTree, adam: &Adam) -> Weights {
    let mut tables = BTreeMap::new();
    model.visit(&mut |name, parameter| {
        if let Some(table) = parameter.as_table().filter(|_| parameter.trained()) {
            tables.insert(name.to_string(), adam.settled(name, table));
        }
    });
    tables
}

/// Brings all rows of a model's tables up to date.
pub(super) fn settle(model: &mut dyn ParameterTree, adam: &Adam) {
    let mut settled = tables(model, adam);
    swap(model, &mut settled);
}

/// Puts values into a model and takes those it had.
pub(super) fn swap(model: &mut dyn ParameterTree, values: &mut Weights) {
    model.visit(&mut |name, mut x| {
        if let Some(other) = values.get_mut(name) {
            x.swap(other);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use crate::gradcheck::noise;
    use crate::ops::rows::Table;

    struct Words(Table);

    impl ParameterTree for Words {
        fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
            f("words", Parameter::table(&mut self.0));
        }
    }

    #[test]
    fn the_average_of_each_step_forgets_its_start_and_without_averaging_follows() {
        let (mut start, mut now) = (Words(Table::new(2, noise(6, 1))), Words(Table::new(2, noise(6, 2))));
        let adam = Adam::new(&TrainConfig::default(), 1);
        let mut average = trained(&mut start);
        let mut follow = |decay| {
            follow(&mut average, &mut now, &adam, Averaging::Each, decay);
            average["words"].host().to_vec()
        };
        let one = follow(0.1);
        for ((one, start), now) in one.iter().zip(&noise(6, 1)).zip(&noise(6, 2)) {
            assert!((one - (0.1 * start + 0.9 * now)).abs() < 1e-6, "a tenth of the start is left");
        }
        (0..2000).for_each(|_| drop(follow(0.99)));
        let off = follow(0.99).iter().zip(&noise(6, 2)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{off}");
        assert_eq!(follow(0.0), noise(6, 2));
    }
}
