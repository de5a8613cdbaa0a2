//! What optimisers update and checkpoints hold, by name.

use super::Parameter;

/// What optimisers update and checkpoints hold.
pub trait Trained {
    /// Every trainable parameter by name, always in the same order.
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter));
    /// Everything a checkpoint holds, by name: parameters, and what is not trained but belongs to the model.
    fn visit_stored(&mut self, f: &mut dyn FnMut(&str, Parameter));
}

/// Trainable parameters by part, in the order of [`Trained::visit`]: the first part of the name, languages apart.
pub fn parameters_by_part(model: &mut dyn Trained) -> Vec<(String, usize)> {
    let mut parts: Vec<(String, usize)> = Vec::new();
    model.visit(&mut |name, parameter| {
        let part = name.split('.').take(2).collect::<Vec<_>>().join(".");
        let count = parameter.count();
        match parts.last_mut().filter(|p| p.0 == part) {
            Some(last) => last.1 += count,
            None => parts.push((part, count)),
        }
    });
    parts
}
