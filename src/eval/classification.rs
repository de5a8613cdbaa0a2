//! Zero-shot classification: pictures named by the nearest class vector (Radford et al. 2021, section 3.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The share of pictures whose class is the nearest, or among the five nearest, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Pictures that were classified.
    pub images: usize,
    /// Classes to choose from.
    pub classes: usize,
    /// Percent of pictures whose own class is nearest.
    #[serde(rename = "top-1")]
    pub top1: f64,
    /// Percent of pictures whose own class is among the five nearest.
    #[serde(rename = "top-5")]
    pub top5: f64,
    /// Mean over the classes that have pictures of the percent whose own class is nearest; nothing in results of earlier programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_per_class: Option<f64>,
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
    let hits = |k: usize| -> Vec<f64> {
        let of = |(scores, &label): (&[f32], &u32)| {
            let own = scores[label as usize];
            let better = scores.iter().filter(|&&s| s > own).count();
            let tied = scores.iter().filter(|&&s| s == own).count();
            (k.saturating_sub(better) as f64 / tied as f64).min(1.0)
        };
        scores.chunks(classes.max(1)).zip(labels).map(of).collect()
    };
    let share = |hits: &[f64]| 100.0 * hits.iter().sum::<f64>() / hits.len().max(1) as f64;
    let first = hits(1);
    let of_class = |class: u32| {
        let own = labels.iter().zip(&first).filter(|(label, _)| **label == class).map(|(_, hit)| *hit);
        let own: Vec<f64> = own.collect();
        (!own.is_empty()).then(|| share(&own))
    };
    let by_class: Vec<f64> = (0..classes as u32).filter_map(of_class).collect();
    let mean_per_class = (!by_class.is_empty()).then(|| by_class.iter().sum::<f64>() / by_class.len() as f64);
    Accuracy { images: labels.len(), classes, top1: share(&first), top5: share(&hits(5)), mean_per_class }
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Accuracy { images, classes, top1, top5, .. } = self;
        write!(f, "{images} pictures, {classes} classes: top-1 {top1:.1} %, top-5 {top5:.1} %")
    }
}

/// Of the pictures of each class, for which class they are taken: (class, pictures), rising, without those that none is taken for.
///
/// `scores` (images, classes); `labels` holds the class of each image. A picture to which several classes are equally near counts for each of them in equal
/// parts, so that what stands at its own class is [`Accuracy::top1`].
pub fn confusion(scores: &[f32], labels: &[u32], classes: usize) -> Vec<Vec<(u32, f64)>> {
    let mut taken: Vec<BTreeMap<u32, f64>> = vec![BTreeMap::new(); classes];
    for (scores, &label) in scores.chunks(classes.max(1)).zip(labels) {
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let nearest: Vec<u32> = (0..classes as u32).filter(|&class| scores[class as usize] == best).collect();
        for &class in &nearest {
            *taken[label as usize].entry(class).or_default() += 1.0 / nearest.len() as f64;
        }
    }
    taken.into_iter().map(|row| row.into_iter().collect()).collect()
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
    fn pictures_are_taken_for_the_nearest_class_or_in_parts_for_several() {
        let scores = [0.9, 0.1, 0.2, /* */ 0.1, 0.9, 0.8, /* */ 0.5, 0.1, 0.5];
        assert_eq!(
            confusion(&scores, &[0, 2, 2], 3),
            [vec![(0, 1.0)], vec![], vec![(0, 0.5), (1, 1.0), (2, 0.5)]]
        );
    }

    #[test]
    fn prompts_of_a_class_are_averaged_at_unit_length() {
        let classes = class_vectors(&[1.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0], 2, 2);
        let root = 0.5f32.sqrt();
        assert_eq!(classes, [root, root, 0.0, -1.0]);
    }
}
