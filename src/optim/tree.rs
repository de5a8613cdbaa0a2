//! The tree of a model's parameters, by name: what optimisers update, checkpoints hold and users freeze.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Parameter;
use crate::ops::leaf::Rate;

/// A model, or a part of one, as the parameters that it holds.
pub trait ParameterTree {
    /// Everything that a checkpoint holds, by name, always in the same order: what is trained now, what is frozen, and buffers.
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter));
}

/// Languages and the like, each with names of its own, as one tree.
impl<T: ParameterTree> ParameterTree for Vec<T> {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        self.iter_mut().for_each(|part| part.visit(f));
    }
}

/// Freezes the leaves of which `which` names a tensor: from now on nothing of them is differentiated, updated or counted as trained.
/// Rows of tables that wait for their steps stay where they are ([`Adam::catch_up`](super::Adam::catch_up) before, if they should not).
pub fn freeze(tree: &mut dyn ParameterTree, which: impl Fn(&str) -> bool) {
    set_rates(tree, |name| which(name).then_some(Rate::FROZEN));
}

/// Trains the leaves of which `which` names a tensor, at the learning rate.
pub fn thaw(tree: &mut dyn ParameterTree, which: impl Fn(&str) -> bool) {
    set_rates(tree, |name| which(name).then_some(Rate::TRAINED));
}

/// Gives leaves the rate that `rate` has for one of their tensors; the others keep theirs.
pub fn set_rates(tree: &mut dyn ParameterTree, rate: impl Fn(&str) -> Option<Rate>) {
    tree.visit(&mut |name, mut parameter| {
        if let Some(rate) = rate(name) {
            parameter.set_rate(rate);
        }
    });
}

/// The rate of every parameter, to be given back by [`set_rates`].
pub fn rates(tree: &mut dyn ParameterTree) -> BTreeMap<String, Rate> {
    let mut rates = BTreeMap::new();
    tree.visit(&mut |name, parameter| {
        rates.insert(name.to_string(), parameter.rate());
    });
    rates
}

/// How many numbers are trained now.
pub fn trained_count(tree: &mut dyn ParameterTree) -> usize {
    let mut count = 0;
    tree.visit(&mut |_, parameter| count += if parameter.trained() { parameter.count() } else { 0 });
    count
}

/// Numbers that are trained now, by part, in the order of [`ParameterTree::visit`]: the first part of the name, languages apart.
pub fn parameters_by_part(tree: &mut dyn ParameterTree) -> Vec<(String, usize)> {
    let mut parts: Vec<(String, usize)> = Vec::new();
    tree.visit(&mut |name, parameter| {
        if !parameter.trained() {
            return;
        }
        let part = name.split('.').take(2).collect::<Vec<_>>().join(".");
        let count = parameter.count();
        match parts.last_mut().filter(|p| p.0 == part) {
            Some(last) => last.1 += count,
            None => parts.push((part, count)),
        }
    });
    parts
}

/// Feeds names, shapes and numbers of the parameters that `which` names to a hash: what is trained first, then all else.
pub fn digest(tree: &mut dyn ParameterTree, hash: &mut Sha256, which: impl Fn(&str) -> bool) {
    for trained in [true, false] {
        tree.visit(&mut |name, x| {
            if x.trained() == trained && which(name) {
                hash.update(format!("{name} {:?}\n", x.shape()));
                hash.update(bytemuck::cast_slice::<f32, u8>(&x.floats()));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Vector;
    use crate::init::Init;
    use crate::ops::linear::LinearWeights;
    use crate::ops::rows::Table;
    use crate::ops::tape::vector;
    use crate::optim::visit_linear;

    struct Two {
        table: Table,
        layer: LinearWeights,
        buffer: Vector,
    }

    impl ParameterTree for Two {
        fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
            f("words.table", Parameter::table(&mut self.table));
            visit_linear("text.layer", &mut self.layer, f);
            f("text.mean", Parameter::buffer(&mut self.buffer));
        }
    }

    #[test]
    fn leaves_are_frozen_and_thawed_by_name_and_buffers_are_never_trained() {
        let mut two = Two {
            table: Table::new(2, vec![0.0; 6]),
            layer: Init::new(1).linear(3, 4),
            buffer: vector(vec![0.0; 5]),
        };
        let parts = |two: &mut Two| parameters_by_part(two);
        let all = vec![("words.table".to_string(), 6), ("text.layer".to_string(), 16)];
        assert_eq!(parts(&mut two), all);
        let before = rates(&mut two);
        freeze(&mut two, |name| name == "words.table" || name == "text.layer.bias");
        assert!(parts(&mut two).is_empty() && !two.layer.rate.trained() && !two.table.rate.trained());
        thaw(&mut two, |name| name.starts_with("text."));
        assert_eq!(parts(&mut two), all[1..]);
        set_rates(&mut two, |name| before.get(name).copied());
        assert_eq!(parts(&mut two), all);
    }
}
