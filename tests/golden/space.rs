//! Figures of pictures of the space beside NumPy and scikit-learn: `space.py`.

use ndarray::Array2;
use serde::Deserialize;
use tinyglot::eval::space::Point;
use tinyglot::eval::space::eigenmap::eigenmap;
use tinyglot::eval::space::svcca::Subspace;
use tinyglot::eval::space::trust::trustworthiness;
use tinyglot::eval::space::tsne::{Affinities, tsne};

use super::file;

#[derive(Deserialize)]
struct Document {
    pictures: Vec<Picture>,
    ties: Ties,
    svcca: Svcca,
    eigenmap: Eigenmap,
}

#[derive(Deserialize)]
struct Picture {
    name: String,
    width: usize,
    x: Vec<f32>,
    points: Vec<Point>,
    perplexity: f64,
    p: Option<Vec<Vec<f64>>>,
    divergence: f64,
    trustworthiness: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
struct Ties {
    width: usize,
    x: Vec<f32>,
    points: Vec<Point>,
    trustworthiness: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
struct Svcca {
    width: usize,
    sides: Vec<Vec<f32>>,
    pairs: Vec<(usize, usize, usize, usize, f64)>,
}

#[derive(Deserialize)]
struct Eigenmap {
    likeness: Vec<Vec<f64>>,
    points: Vec<Point>,
}

fn document() -> Document {
    let text = std::fs::read_to_string(file("space.json")).expect("a file that space.py wrote");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn probabilities_and_divergence_are_those_of_scikit_learn() {
    for Picture { name, width, x, points, perplexity, p, divergence, .. } in document().pictures {
        let ours = Affinities::of(&x, width, perplexity);
        for (row, expected) in ours.rows().iter().zip(p.iter().flatten()) {
            let mut all = vec![0.0; expected.len()];
            row.iter().for_each(|&(column, p)| all[column as usize] = p);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4 * b + 1e-8;
            assert!(all.iter().zip(expected).all(near), "{name}: {all:?} is not {expected:?}");
        }
        let found = ours.divergence(&points);
        assert!((found - divergence).abs() < 1e-4, "{name}: {found} is not {divergence}");
    }
}

#[test]
fn trustworthiness_is_that_of_scikit_learn_and_of_its_definition_with_ties() {
    let document = document();
    for Picture { name, width, x, points, trustworthiness: expected, .. } in document.pictures {
        for (k, expected) in expected {
            let found = trustworthiness(&x, width, &points, k).expect("few enough neighbours");
            assert!((found - expected).abs() < 1e-12, "{name}, {k}: {found} is not {expected}");
        }
    }
    let Ties { width, x, points, trustworthiness: expected } = document.ties;
    for (k, expected) in expected {
        let found = trustworthiness(&x, width, &points, k).expect("few enough neighbours");
        assert!((found - expected).abs() < 1e-12, "ties, {k}: {found} is not {expected}");
    }
}

#[test]
fn our_pictures_are_as_good_as_those_of_scikit_learn() {
    for Picture { name, width, x, perplexity, divergence, trustworthiness: expected, .. } in
        document().pictures
    {
        let points = tsne(&x, width, perplexity, 1).expect("a picture");
        for (k, expected) in expected {
            let found = trustworthiness(&x, width, &points, k).expect("few enough neighbours");
            assert!(found > expected - 0.01, "{name}, {k}: {found} is worse than {expected}");
        }
        let found = Affinities::of(&x, width, perplexity).divergence(&points);
        assert!(found < divergence + 0.05, "{name}: {found} is more than {divergence}");
    }
}

#[test]
fn likeness_of_languages_is_the_svcca_of_numpy() {
    let Svcca { width, sides, pairs } = document().svcca;
    let sides: Vec<Subspace> =
        sides.iter().map(|side| Subspace::of(side, width).expect("directions")).collect();
    for (a, b, kept_a, kept_b, expected) in pairs {
        assert_eq!([sides[a].directions(), sides[b].directions()], [kept_a, kept_b]);
        let found = sides[a].similarity(&sides[b]).expect("correlations");
        assert!((found - expected).abs() < 1e-6, "{a}, {b}: {found} is not {expected}");
    }
}

#[test]
fn the_map_of_languages_is_the_spectral_embedding_of_scikit_learn() {
    let Eigenmap { likeness, points: expected } = document().eigenmap;
    let n = likeness.len();
    let points = eigenmap(&Array2::from_shape_fn((n, n), |(i, j)| likeness[i][j])).expect("a map");
    for axis in 0..2 {
        // Up to the length and the direction of an axis.
        let column = |points: &[Point]| {
            let column: Vec<f64> = points.iter().map(|p| p[axis]).collect();
            let length = column.iter().map(|x| x * x).sum::<f64>().sqrt() * column[0].signum();
            column.into_iter().map(|x| x / length).collect::<Vec<f64>>()
        };
        for (ours, theirs) in column(&points).iter().zip(column(&expected)) {
            assert!((ours - theirs).abs() < 1e-6, "axis {axis}: {points:?} is not {expected:?}");
        }
    }
}
