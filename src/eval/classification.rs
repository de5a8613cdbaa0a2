//! Zero-shot classification: pictures named by the nearest class vector (Radford et al. 2021, section 3.1).

use serde::{Deserialize, Serialize};

/// The share of pictures whose class is the nearest, or among the five nearest, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    pub images: usize,
    pub classes: usize,
    #[serde(rename = "top-1")]
    pub top1: f64,
    #[serde(rename = "top-5")]
    pub top5: f64,
}

/// One vector per class: the mean of its prompts' unit vectors, at unit length again (CLIP's prompt ensemble).
///
/// `prompts` (classes · templates, width), those of a class together; `templates` of each.
pub fn class_vectors(prompts: &[f32], templates: usize, width: usize) -> Vec<f32> {
    let mut classes = Vec::with_capacity(prompts.len() / templates.max(1));
    for of_class in prompts.chunks(templates * width) {
        let mut mean = vec![0f32; width];
        for prompt in of_class.chunks(width) {
            mean.iter_mut().zip(prompt).for_each(|(m, x)| *m += x);
        }
        let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        classes.extend(mean.iter().map(|x| x / length));
    }
    classes
}

/// How often the right class is found. Equal scores count in expectation over their orders.
///
/// `scores` (images, classes); `labels` holds the class of each image.
pub fn accuracy(scores: &[f32], labels: &[u32], classes: usize) -> Accuracy {
    let hit = |k: usize| -> f64 {
        let of = |(scores, &label): (&[f32], &u32)| {
            let own = scores[label as usize];
            let better = scores.iter().filter(|&&s| s > own).count();
            let tied = scores.iter().filter(|&&s| s == own).count();
            (k.saturating_sub(better) as f64 / tied as f64).min(1.0)
        };
        let sum: f64 = scores.chunks(classes.max(1)).zip(labels).map(of).sum();
        100.0 * sum / labels.len().max(1) as f64
    };
    Accuracy { images: labels.len(), classes, top1: hit(1), top5: hit(5) }
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Accuracy { images, classes, top1, top5 } = self;
        write!(f, "{images} pictures, {classes} classes: top-1 {top1:.1} %, top-5 {top5:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_class_counts_where_it_is_among_the_nearest() {
        let scores = [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, /* */ 0.1, 0.9, 0.8, 0.7, 0.6, 0.5];
        let a = accuracy(&scores, &[0, 4], 6);
        assert_eq!((a.images, a.classes, a.top1, a.top5), (2, 6, 50.0, 100.0));
        assert_eq!(accuracy(&scores, &[1, 0], 6).top5, 0.0);
    }

    #[test]
    fn a_model_that_scores_all_classes_alike_gets_chance() {
        let a = accuracy(&[0.5; 40], &[3, 0, 7, 1], 10);
        assert!((a.top1 - 10.0).abs() < 1e-9 && (a.top5 - 50.0).abs() < 1e-9);
    }

    #[test]
    fn prompts_of_a_class_are_averaged_at_unit_length() {
        let classes = class_vectors(&[1.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0], 2, 2);
        let root = 0.5f32.sqrt();
        assert_eq!(classes, [root, root, 0.0, -1.0]);
    }
}
