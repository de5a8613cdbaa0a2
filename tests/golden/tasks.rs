//! Figures of tasks beside NumPy, SciPy and scikit-learn: `tasks.py`.

use serde::Deserialize;
use tinyglot::eval::correlation::{pearson, spearman};
use tinyglot::eval::mining::{Way, mine};
use tinyglot::eval::probe::{Labelled, softmax_layer, votes};

use super::file;

#[derive(Deserialize)]
struct Document {
    bitext: Vec<Bitext>,
    correlations: Vec<Correlations>,
    probes: Probes,
}

#[derive(Deserialize)]
struct Probes {
    width: usize,
    classes: usize,
    x: Vec<f32>,
    labels: Vec<u32>,
    asked: Vec<f32>,
    votes: Vec<f64>,
    linear: Vec<Linear>,
}

#[derive(Deserialize)]
struct Linear {
    #[serde(rename = "C")]
    c: f32,
    log_probabilities: Vec<f64>,
}

#[derive(Deserialize)]
struct Bitext {
    name: String,
    width: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    ways: [Way; 2],
}

#[derive(Deserialize)]
struct Correlations {
    x: Vec<f64>,
    y: Vec<f64>,
    spearman: f64,
    pearson: f64,
}

fn document() -> Document {
    let text = std::fs::read_to_string(file("tasks.json")).expect("a file that tasks.py wrote");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn translations_are_found_as_xsim_finds_them() {
    for Bitext { name, width, x, y, ways } in document().bitext {
        let found = mine(&x, &y, width).expect("good rows");
        for (ours, theirs) in found.iter().zip(&ways) {
            let values = |way: &Way| [way.cosine, way.margin, way.f1, way.precision];
            for (a, b) in values(ours).iter().zip(values(theirs)) {
                assert!((a - b).abs() < 1e-9, "{name}: {ours:?} is not {theirs:?}");
            }
            assert_eq!(ours.ties, theirs.ties, "{name}");
        }
    }
}

#[test]
fn correlations_are_those_of_scipy() {
    for Correlations { x, y, spearman: rho, pearson: r } in document().correlations {
        let ours = [spearman(&x, &y).expect("defined"), pearson(&x, &y).expect("defined")];
        assert!((ours[0] - rho).abs() < 1e-12 && (ours[1] - r).abs() < 1e-12, "{ours:?} is not {rho}, {r}");
    }
}

#[test]
fn neighbours_vote_as_with_numpy() {
    let Probes { width, classes, x, labels, asked, votes: expected, .. } = document().probes;
    let ours = votes(Labelled { rows: &x, labels: &labels }, &asked, classes, width);
    for (ours, expected) in ours.iter().zip(&expected) {
        assert!((f64::from(*ours) - expected).abs() < 1e-4 * (1.0 + expected), "{ours} is not {expected}");
    }
}

#[test]
fn a_softmax_layer_is_the_logistic_regression_of_scikit_learn() {
    let Probes { width, classes, x, labels, asked, linear, .. } = document().probes;
    for Linear { c, log_probabilities } in linear {
        let layer = softmax_layer(Labelled { rows: &x, labels: &labels }, classes, width, c);
        let logits = layer.logits(asked.clone());
        // The weaker the regulariser, the flatter the ground round the minimum.
        let tolerance = if c > 100.0 { 2e-2 } else { 2e-3 };
        for (z, expected) in logits.chunks(classes).zip(log_probabilities.chunks(classes)) {
            let sum: f64 = z.iter().map(|&z| f64::from(z).exp()).sum();
            for (z, expected) in z.iter().zip(expected) {
                let ours = f64::from(*z) - sum.ln();
                assert!(
                    (ours - expected).abs() < tolerance * (1.0 + expected.abs()),
                    "C = {c}: {ours} is not {expected}"
                );
            }
        }
    }
}
