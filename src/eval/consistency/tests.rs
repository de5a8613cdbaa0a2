use super::weighted::Weighted;
use super::*;
use crate::config::{ConsistencyConfig, ConsistencyInit, TripletConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The scores of n queries with n pictures: 0.3 more for the right one, plus noise of a strength for each language. Pictures are
/// the axes of their space, so that a sentence's vector is the row of its scores, at unit length.
pub(super) fn noisy(noise: &[f32], n: usize, seed: u64) -> ParallelScores {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut matrix = |noise: f32| -> Vec<f32> {
        let score = |at| if at % (n + 1) == 0 { 0.5 } else { 0.2 };
        (0..n * n).map(|at| score(at) + noise * rng.random_range(-1.0..1.0)).collect()
    };
    let mut sentences = Vec::new();
    for (l, &noise) in noise.iter().enumerate() {
        let mut rows = matrix(noise);
        rows.chunks_mut(n).for_each(unit_row);
        sentences.push((format!("l{l}"), rows));
    }
    let axes: Vec<f32> = (0..n * n).map(|at| f32::from(at % (n + 1) == 0)).collect();
    ParallelScores::new(&sentences, &(0..n as u32).collect::<Vec<_>>(), &axes, n).unwrap()
}

pub(super) fn fitted(validation: &[ParallelScores], init: ConsistencyInit) -> Fitted {
    let config = ConsistencyConfig { init, ..ConsistencyConfig::default() };
    Fitted::fit(&config, &TripletConfig::default(), validation, 3).unwrap()
}

fn measure(validation: &ParallelScores, test: &ParallelScores, init: ConsistencyInit) -> Consistency {
    Consistency::measure(&fitted(std::slice::from_ref(validation), init), test).unwrap()
}

#[test]
fn joined_languages_beat_the_best_one_and_fitted_weights_beat_the_mean() {
    let noise = [0.3, 0.35, 1.2, 1.2];
    let (validation, test) = (noisy(&noise, 80, 1), noisy(&noise, 100, 2));
    for init in [ConsistencyInit::Equal, ConsistencyInit::Random] {
        let c = measure(&validation, &test, init);
        let best = c.languages.iter().map(|(_, r)| r.mr).fold(0.0, f64::max);
        assert!(c.network.mr > c.mean.mr + 1.0, "CLC-C {} CLC-A {}", c.network.mr, c.mean.mr);
        assert!(c.weighted.mr > best + 1.0, "Weighted {} best {best}", c.weighted.mr);
        assert!(c.weighted.mr + 1.0 > c.network.mr, "Weighted {} CLC-C {}", c.weighted.mr, c.network.mr);
    }
}

#[test]
fn single_languages_agree_with_retrieval() {
    let (n, width) = (30, 8);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut rows = |n: usize| -> Vec<f32> { (0..n * width).map(|_| rng.random_range(-0.5..0.5)).collect() };
    let (images, en, de) = (rows(n + 3), rows(n), rows(n));
    let image_of: Vec<u32> = (0..n as u32).map(|q| q / 2).collect();
    let sentences = [("en".to_string(), en.clone()), ("de".to_string(), de)];
    let scores = ParallelScores::new(&sentences, &image_of, &images, width).unwrap();
    let expected = crate::eval::retrieval(&en, &image_of, &images, n + 3, width).unwrap();
    assert_eq!(scores.retrieval(scores.scores()[0]), expected);
}

#[test]
fn joined_sentences_have_unit_length_and_the_weights_directions() {
    let (one, other) = ([3.0f32, 0.0, 0.0, 1.0], [0.0, 4.0, 0.0, -1.0]);
    let joined = joined(&[&one, &other], &[2.0, 1.5], 2);
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(near(&joined[..2], &[0.5f32.sqrt(), 0.5f32.sqrt()]), "{joined:?}");
    assert!(near(&joined[2..], &[0.0, 1.0]), "{joined:?}");
    assert_eq!(super::joined(&[&[1.0, 0.0], &[-1.0, 0.0]], &[1.0, 1.0], 2), [0.0, 0.0]);
}

#[test]
fn weighted_is_the_retrieval_of_the_joined_sentences() {
    let (validation, test) = (noisy(&[0.3, 0.6], 40, 6), noisy(&[0.3, 0.6], 50, 7));
    let c = measure(&validation, &test, ConsistencyInit::Equal);
    let weights = Weighted::fit(std::slice::from_ref(&validation)).weights;
    let sentences: Vec<&[f32]> = test.sentences.iter().map(Vec::as_slice).collect();
    let joined = joined(&sentences, &weights, 50);
    let expected = crate::eval::retrieval(&joined, &test.image_of, &test.pictures, 50, 50).unwrap();
    assert_eq!(c.weighted, expected);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (validation, test) = (noisy(&[0.4, 0.6], 40, 6), noisy(&[0.4, 0.6], 50, 7));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| measure(&validation, &test, ConsistencyInit::Random))
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(8));
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Consistency>(&json).unwrap(), one);
    assert!(one.to_string().contains("CLC-C"));
}

#[test]
fn wrong_input_is_named() {
    let error = |language: &str, rows: Vec<f32>| {
        let images = [1.0, 0.0, 0.0, 1.0];
        ParallelScores::new(&[(language.into(), rows)], &[0, 1], &images, 2).unwrap_err().to_string()
    };
    assert!(error("de", vec![1.0, 0.0]).contains("1 parallel queries in `de`, expected 2"));
    assert!(error("de", vec![1.0, 0.0, f32::NAN, 0.0]).contains("`de` query row 1 holds NaN"));
    let (a, mut b) = (noisy(&[0.1], 5, 0), noisy(&[0.1], 5, 0));
    b.languages[0] = "fr".into();
    let error = Consistency::measure(&fitted(&[a], ConsistencyInit::Equal), &b).unwrap_err();
    assert!(error.to_string().contains(r#"["l0"] for validation, but ["fr"]"#), "{error}");
}

#[test]
fn every_query_counts_once_in_whichever_set_it_is() {
    let set = || noisy(&[0.3, 0.9, 0.5], 30, 8);
    let (once, twice) =
        (fitted(&[set()], ConsistencyInit::Random), fitted(&[set(), set()], ConsistencyInit::Random));
    let near = |a: f32, b: f32| (a - b).abs() < 1e-5 * a.abs().max(1.0);
    assert!(once.weights.iter().zip(&twice.weights).all(|(a, b)| near(*a, *b)));
    for ((a, x), (b, y)) in once.network.units().zip(twice.network.units()) {
        assert!(near(x, y) && a.iter().zip(b).all(|(a, b)| near(*a, *b)));
    }
    assert_eq!((once.queries, twice.queries), (30, 60));
    let other = fitted(&[set(), noisy(&[0.9, 0.3, 0.5], 60, 9)], ConsistencyInit::Random);
    assert!(other.weights[1] > other.weights[0] && once.weights[0] > once.weights[1], "the larger set leads");
}

#[test]
fn what_was_fitted_is_read_as_it_was_written_and_checked() {
    let one = fitted(&[noisy(&[0.3, 0.9], 20, 8)], ConsistencyInit::Random);
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Fitted>(&json).unwrap(), one);
    let refusal = |from: &str, to: &str| {
        serde_json::from_str::<Fitted>(&json.replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert!(refusal(r#"["l0","l1"]"#, r#"["l0"]"#).contains("1 languages, but a network of 2"));
    assert!(refusal(r#"["l0","l1"]"#, r#"["l0","l0"]"#).contains("`l0` stands twice"));
    assert!(refusal(r#""weights":["#, r#""weights":[1.0,"#).contains("3 weights"));
    assert!(
        refusal(r#""hidden":32"#, r#""hidden":31"#).contains("96 parameters do not make a network of 31")
    );
    assert!(refusal("queries", "asked").contains("unknown field `asked`"));
}

#[test]
fn folds_and_distractors_are_those_of_retrieval() {
    let (n, width) = (24, 8);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut rows = |n: usize| -> Vec<f32> { (0..n * width).map(|_| rng.random_range(-0.5..0.5)).collect() };
    let (images, en, more) = (rows(12), rows(n), rows(5));
    let image_of: Vec<u32> = (0..n as u32).map(|q| q / 2).collect();
    let sentences = [("en".to_string(), en.clone())];
    let scores = ParallelScores::new(&sentences, &image_of, &images, width).unwrap();
    let expected = crate::eval::retrieval_in_folds(&en, &image_of, &images, 12, width, 3).unwrap();
    let scores = scores.in_folds(12, 3).unwrap();
    assert_eq!(scores.retrieval(scores.scores()[0]), expected);
    let all = [images, more].concat();
    let further = ParallelScores::new(&sentences, &image_of, &all, width).unwrap();
    let expected = crate::eval::retrieval(&en, &image_of, &all, 12, width).unwrap();
    assert_eq!(further.retrieval(further.scores()[0]), expected);
    let error = further.in_folds(12, 3).unwrap_err().to_string();
    assert!(error.contains("12 pictures and 5 distractors cannot be cut into 3 folds"), "{error}");
}
