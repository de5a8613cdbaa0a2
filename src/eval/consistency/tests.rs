use super::*;
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

fn measure(
    validation: &ParallelScores,
    test: &ParallelScores,
    init: crate::config::ConsistencyInit,
) -> Consistency {
    let config = ConsistencyConfig { init, ..ConsistencyConfig::default() };
    Consistency::measure(&config, &TripletConfig::default(), validation, test, 3).unwrap()
}

#[test]
fn joined_languages_beat_the_best_one_and_fitted_weights_beat_the_mean() {
    let noise = [0.3, 0.35, 1.2, 1.2];
    let (validation, test) = (noisy(&noise, 80, 1), noisy(&noise, 100, 2));
    for init in [crate::config::ConsistencyInit::Equal, crate::config::ConsistencyInit::Random] {
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
    let c = measure(&validation, &test, crate::config::ConsistencyInit::Equal);
    let weights = Weighted::fit(&validation).weights;
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
        pool.install(|| measure(&validation, &test, crate::config::ConsistencyInit::Random))
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
    let config = ConsistencyConfig::default();
    let error = Consistency::measure(&config, &TripletConfig::default(), &a, &b, 0).unwrap_err();
    assert!(error.to_string().contains(r#"["l0"] for validation, but ["fr"]"#), "{error}");
}
