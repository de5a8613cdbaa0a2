//! CLC-A, CLC-C and the weighted join beside `clc.py`.

use serde::Deserialize;
use tinyglot::config::{ConsistencyConfig, TripletConfig};
use tinyglot::eval::consistency::Coverage;
use tinyglot::eval::{Fitted, ParallelScores, Retrieval};

use super::file;

#[derive(Deserialize)]
struct Document {
    languages: Vec<String>,
    width: usize,
    hidden: usize,
    top_n: usize,
    val: Split,
    test: Split,
    parameters: Vec<f64>,
    weights: Vec<f64>,
    results: Vec<Expected>,
}

#[derive(Deserialize)]
struct Split {
    images: Vec<f32>,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    image_of: Vec<u32>,
    sentences: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Expected {
    #[serde(rename = "CLC-A scores")]
    mean_scores: Vec<f64>,
    #[serde(rename = "CLC-C scores")]
    network_scores: Vec<f64>,
    alone: Vec<f64>,
    #[serde(rename = "CLC-A")]
    mean: Vec<f64>,
    #[serde(rename = "CLC-C")]
    network: Vec<f64>,
    #[serde(rename = "Weighted")]
    weighted: Vec<f64>,
}

fn sets(document: &Document, split: &Split) -> Vec<ParallelScores> {
    let set = |set: &Set| {
        let sentences: Vec<_> = document.languages.iter().cloned().zip(set.sentences.clone()).collect();
        ParallelScores::new(&sentences, &set.image_of, &split.images, document.width).expect("good rows")
    };
    split.sets.iter().map(set).collect()
}

#[track_caller]
fn near(ours: impl IntoIterator<Item = f32>, theirs: &[f64], tolerance: f64) {
    let ours: Vec<f32> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len());
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((f64::from(*ours) - theirs).abs() < tolerance, "{at}: {ours}, expected {theirs}");
    }
}

#[test]
fn consistency_agrees_with_numpy_and_scipy() {
    let text = std::fs::read_to_string(file("clc.json")).expect("the file of clc.py");
    let document: Document = serde_json::from_str(&text).expect("JSON of clc.py");
    let config = ConsistencyConfig { hidden: document.hidden, ..ConsistencyConfig::default() };
    let triplet = TripletConfig { top_n: document.top_n, ..TripletConfig::default() };
    let fitted = Fitted::fit(&config, &triplet, &sets(&document, &document.val), 0).expect("a fit");
    let (first, second): (Vec<&[f32]>, Vec<f32>) = fitted.network.units().unzip();
    near(first.concat().into_iter().chain(second), &document.parameters, 1e-5);
    near(fitted.weights.iter().copied(), &document.weights, 1e-3);

    for (place, (test, expected)) in sets(&document, &document.test).iter().zip(&document.results).enumerate()
    {
        let scores = test.scores();
        let mean = (0..scores[0].len()).map(|at| scores.iter().map(|s| s[at]).sum::<f32>() / 3.0);
        near(mean, &expected.mean_scores, 1e-6);
        near(fitted.network.forward(&scores), &expected.network_scores, 1e-4);

        let result = Coverage::measure(&fitted, &document.languages[place], test).expect("a result");
        let recalls = |r: &Option<Retrieval>| {
            let r = r.as_ref().expect("all captions have translations");
            [r.t2i.r1, r.t2i.r5, r.t2i.r10, r.i2t.r1, r.i2t.r5, r.i2t.r10]
        };
        let same = |ours: &Option<Retrieval>, theirs: &[f64], way: &str| {
            for (ours, theirs) in recalls(ours).into_iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-9, "{way} of set {place}: {ours}, expected {theirs}");
            }
        };
        same(&result.alone, &expected.alone, "alone");
        same(&result.mean, &expected.mean, "CLC-A");
        same(&result.network, &expected.network, "CLC-C");
        same(&result.weighted, &expected.weighted, "Weighted");
    }
}
