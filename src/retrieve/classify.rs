//! Zero-shot classification of pictures.

use super::Retriever;
use crate::Result;
use crate::corpus::Features;
use crate::eval::classification::{Accuracy, accuracy, class_vectors};
use crate::eval::similarity::Kernel;

/// Names pictures by the nearest class, and says how often it is the right one.
///
/// `prompts`: (classes · templates, joint), unit length, those of a class together; `templates` of each; `labels`: the class of each
/// picture.
///
/// # Errors
/// Data: features of another width than those that the model was trained on, or with numbers that are too large.
pub fn classify(
    model: &dyn Retriever,
    prompts: &[f32],
    templates: usize,
    features: &Features,
    labels: &[u32],
) -> Result<Accuracy> {
    model.check_queries(prompts)?;
    let (kernel, joint) = (Kernel::detect(), model.joint());
    let vectors = class_vectors(prompts, templates, joint);
    let classes = vectors.len() / joint;
    let mut scores = Vec::with_capacity(features.rows() * classes);
    model.pictures(features, &mut |_, pictures| {
        scores.extend(kernel.matrix(pictures, &vectors, joint)); // (pictures, classes)
        Ok(())
    })?;
    Ok(accuracy(&scores, labels, classes))
}
