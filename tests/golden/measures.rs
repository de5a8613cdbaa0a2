//! Figures of evaluations beside NumPy and scikit-learn: `measures.py`.

use serde::Deserialize;
use tinyglot::eval::classification::{accuracy, confusion};
use tinyglot::eval::crossed::{Pair, SAMPLES, recall, sampled};

use super::file;

#[derive(Deserialize)]
struct Document {
    sampled: Sampled,
    recalls: Vec<Recalls>,
    accuracies: Vec<Accuracies>,
}

#[derive(Deserialize)]
struct Sampled {
    pairs: Vec<(u32, f64, f64)>,
    mean: f64,
    deviation: f64,
}

#[derive(Deserialize)]
struct Recalls {
    name: String,
    width: usize,
    asked: Vec<f32>,
    among: Vec<f32>,
    right: Vec<Vec<u32>>,
    same: bool,
    queries: usize,
    recalls: [f64; 3],
}

#[derive(Deserialize)]
struct Accuracies {
    name: String,
    classes: usize,
    scores: Vec<f32>,
    labels: Vec<u32>,
    top1: f64,
    top5: f64,
    mean_per_class: f64,
    confusion: Vec<Vec<f64>>,
}

fn document() -> Document {
    let text = std::fs::read_to_string(file("measures.json")).expect("a file that measures.py wrote");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn correlations_of_sampled_queries_are_near_those_of_numpy() {
    let Sampled { pairs, mean, deviation } = document().sampled;
    let pairs: Vec<Pair> =
        pairs.into_iter().map(|(query, cosine, score)| Pair { query, cosine, score }).collect();
    let (ours, spread) = sampled(&pairs, 1).expect("defined");
    // Four standard errors of the mean of our draws.
    assert!((ours - mean).abs() < 4.0 * deviation / (SAMPLES as f64).sqrt(), "{ours} is not {mean}");
    assert!((spread / deviation - 1.0).abs() < 0.1, "{spread} is not {deviation}");
}

#[test]
fn recall_with_several_right_answers_is_that_over_all_orders_of_equal_scores() {
    for Recalls { name, width, asked, among, right, same, queries, recalls } in document().recalls {
        let (found, count) = recall(&asked, &among, width, &right, same);
        assert_eq!(count, queries, "{name}");
        let found = found.expect("somebody asks");
        for (ours, theirs) in [found.r1, found.r5, found.r10].iter().zip(recalls) {
            assert!((ours - theirs).abs() < 1e-9, "{name}: {found:?} is not {recalls:?}");
        }
    }
}

#[test]
fn accuracy_of_classes_is_that_of_scikit_learn_and_over_all_orders_of_equal_scores() {
    for Accuracies { name, classes, scores, labels, top1, top5, mean_per_class, .. } in document().accuracies
    {
        let found = accuracy(&scores, &labels, classes);
        let ours = [found.top1, found.top5, found.mean_per_class.expect("pictures")];
        for (ours, theirs) in ours.iter().zip([top1, top5, mean_per_class]) {
            assert!(
                (ours - theirs).abs() < 1e-9,
                "{name}: {found:?} is not {top1}, {top5}, {mean_per_class}"
            );
        }
    }
}

#[test]
fn classes_are_taken_for_others_as_scikit_learn_counts_them() {
    for Accuracies { name, classes, scores, labels, top1, confusion: expected, .. } in document().accuracies {
        let found = confusion(&scores, &labels, classes);
        assert_eq!(found.len(), classes, "{name}");
        for (class, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let mut row = vec![0.0; classes];
            found.iter().for_each(|(taken_for, pictures)| row[*taken_for as usize] = *pictures);
            let near = row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(near, "{name}, class {class}: {row:?} is not {expected:?}");
        }
        let own = |(class, row): (usize, &Vec<(u32, f64)>)| {
            row.iter().filter(|(taken_for, _)| *taken_for as usize == class).map(|(_, n)| n).sum::<f64>()
        };
        let right: f64 = found.iter().enumerate().map(own).sum();
        assert!((100.0 * right / labels.len() as f64 - top1).abs() < 1e-9, "{name}: the diagonal is top-1");
    }
}
