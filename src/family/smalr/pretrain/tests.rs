use super::*;
use crate::Error;
use crate::config::Estimator;
use crate::gradcheck::noise;
use crate::ops::tape::{data, data1, matrix};

/// Two languages that name six things by different vectors; captions of picture p name thing p % 6 and its neighbour.
fn run(estimator: Estimator) -> (Pretrained, Vec<Vec<f32>>, Vec<f32>) {
    run_with(None, 6, estimator)
}

fn run_with(
    cache: Option<&Cache>,
    latents: usize,
    estimator: Estimator,
) -> (Pretrained, Vec<Vec<f32>>, Vec<f32>) {
    run_scored(cache, latents, estimator, Score::Cosine)
}

fn run_scored(
    cache: Option<&Cache>,
    latents: usize,
    estimator: Estimator,
    score: Score,
) -> (Pretrained, Vec<Vec<f32>>, Vec<f32>) {
    let mut losses = Vec::new();
    let (trained, vectors) = told(cache, latents, estimator, score, &mut |_, _, _, loss| {
        losses.push(loss);
        Ok(())
    });
    (trained.unwrap(), vectors, losses)
}

fn told(
    cache: Option<&Cache>,
    latents: usize,
    estimator: Estimator,
    score: Score,
    progress: Progress,
) -> (Result<Pretrained>, Vec<Vec<f32>>) {
    let languages = ["a".to_string(), "b".to_string()];
    let vectors: Vec<Vec<f32>> = (0..2).map(|l| noise(6 * 8, l)).collect();
    let captions: Vec<Vec<Vec<u32>>> =
        (0..2).map(|_| (0..60u32).map(|p| vec![p % 6, (p / 6 + p) % 6]).collect()).collect();
    let index = vec![CaptionIndex::new(0..60u32, 60); 2];
    let words =
        Words { languages: &languages, vectors: &vectors, captions: &captions, index: &index, width: 8 };
    let mut config = EmbeddingConfig { latents, width: 16, ..Default::default() };
    config.align = AlignConfig { epochs: 30, learning_rate: 1e-2, ..Default::default() };
    config.pretrain = PretrainConfig { epochs: 20, top_m: 3, estimator, score, ..Default::default() };
    let train = TrainConfig { images: 30, ..Default::default() };
    (pretrain(&words, &config, &train, &LossConfig::default(), 1, cache, progress), vectors)
}

#[test]
fn an_error_of_who_is_told_ends_it() {
    let mut calls = 0;
    let (ended, _) = told(None, 6, Estimator::None, Score::Cosine, &mut |_, _, _, _| {
        calls += 1;
        if calls == 3 { Err(Error::stopped("enough")) } else { Ok(()) }
    });
    assert_eq!((ended.map(drop).unwrap_err().to_string(), calls), ("enough".into(), 3));
}

#[test]
fn words_of_one_meaning_come_together() {
    let (trained, vectors, losses) = run(Estimator::None);
    assert!(losses[59] < 0.5 * losses[0], "alignment learns: {} {}", losses[0], losses[59]);
    let (a, b) = (trained.scorer.project(0, &vectors[0]), trained.scorer.project(1, &vectors[1]));
    let cosine = |i: usize, j: usize| (0..16).map(|k| a[i * 16 + k] * b[j * 16 + k]).sum::<f32>();
    let nearest = |i: usize| (0..6).max_by(|&x, &y| cosine(i, x).total_cmp(&cosine(i, y)));
    let right = (0..6).filter(|&i| nearest(i) == Some(i)).count();
    assert!(right >= 5, "{right} of 6 words find their translation");
}

#[test]
fn straight_through_gives_words_of_one_meaning_one_token() {
    let (trained, vectors, _) = run(Estimator::StraightThrough);
    let (a, b) = (trained.scorer.assign(0, &vectors[0]), trained.scorer.assign(1, &vectors[1]));
    // Chance is one word in six.
    let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    assert!(same >= 4, "{a:?} {b:?}");
}

#[test]
fn a_layer_learns_to_give_words_of_one_meaning_one_token() {
    let words = |estimator| {
        let (trained, vectors, losses) = run_scored(None, 6, estimator, Score::Layer);
        assert_eq!(trained.scorer.keys.len(), 6 * 17, "a bias each");
        let (a, b) = (trained.scorer.assign(0, &vectors[0]), trained.scorer.assign(1, &vectors[1]));
        let tokens: std::collections::BTreeSet<u32> = a.iter().copied().collect();
        let late = losses[90..].iter().sum::<f32>() / losses[60..70].iter().sum::<f32>();
        (a.iter().zip(&b).filter(|(a, b)| a == b).count(), tokens.len(), late)
    };
    let (same, distinct, late) = words(Estimator::StraightThrough);
    assert!(same >= 4 && distinct >= 3 && late < 1.0, "{same} of 6, {distinct} tokens, {late}");
    // Without a gradient the rows stay at the directions that the tokens started at.
    let start = run_scored(None, 6, Estimator::None, Score::Layer).0.scorer.keys;
    let length = |key: &[f32]| key.iter().map(|k| k * k).sum::<f32>().sqrt();
    assert!(start.chunks(17).all(|key| key[16] == 0.0 && (length(key) - 1.0).abs() < 1e-5));
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let [made, kept] = [(); 2].map(|()| run_scored(Some(&cache), 6, Estimator::Gate, Score::Layer).0);
    assert!(made.scorer.keys == kept.scorer.keys && made.latents == kept.latents);
}

/// Pairs of `pairs` in a batch of captions that are single words of one language, two of each picture.
fn near(pairs: CaptionPairs, words: &[u32], image_of: &[u32]) -> f32 {
    let tokens = matrix(noise(8 * 4, 3), 8, 4);
    let mut sentences = Sequences::new();
    words.iter().for_each(|&w| sentences.push([w]));
    let batch = WordBatch {
        distinct: vec![(0..8).collect()],
        sentences: Arc::new(sentences),
        image_of: image_of.to_vec(),
        groups: std::iter::once(0..words.len() as u32).collect(),
    };
    let triplet = TripletConfig { sentence_anchor: 1.0, margin: 0.4, ..Default::default() };
    batch.near(tokens.leaky_trace(), &triplet, pairs, "near").finish().0.expect("pairs").array()
}

#[test]
fn captions_of_one_language_are_pairs_but_none_with_itself() {
    let within = near(CaptionPairs::Any, &[0, 1, 2, 3, 4, 5], &[0, 0, 1, 1, 2, 2]);
    // The first caption of each picture beside the second, as if they were two languages.
    let unit = unit_rows(matrix(noise(8 * 4, 3), 8, 4));
    let s = similarity(select(unit.leaky_trace(), &[0, 2, 4]), select(unit.leaky_trace(), &[1, 3, 5]));
    let triplet = TripletConfig { sentence_anchor: 1.0, margin: 0.4, ..Default::default() };
    let expected = contrast(s, &[0, 1, 2], &[0, 1, 2], Contrast::Triplet(&triplet)).array();
    assert_eq!(within, expected);
    assert!(within > 0.0);
    // Which side is first makes no difference.
    let turned = near(CaptionPairs::Any, &[1, 0, 3, 2, 5, 4], &[0, 0, 1, 1, 2, 2]);
    assert!((turned - within).abs() < 1e-6, "{turned} {within}");
}

#[test]
fn same_seed_same_bits() {
    let (one, two) = (run(Estimator::StraightThrough), run(Estimator::StraightThrough));
    assert!(one.0.latents == two.0.latents && one.2 == two.2);
}

#[test]
fn kept_results_are_the_same_bits_and_trained_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let plain = run(Estimator::Gate);
    // 60 steps of alignment, 40 of the vocabulary.
    for steps in [100, 0] {
        let kept = run_with(Some(&cache), 6, Estimator::Gate);
        assert_eq!(kept.2.len(), steps);
        assert!(kept.0.latents == plain.0.latents && kept.0.scorer.keys == plain.0.scorer.keys);
        let weights = |p: &Pretrained| -> Vec<Vec<f32>> {
            let layers = p.scorer.layers.iter();
            layers.flat_map(|l| [data(&l.weight).to_vec(), data1(&l.bias).to_vec()]).collect()
        };
        assert!(weights(&kept.0) == weights(&plain.0));
    }
    let more = run_with(Some(&cache), 7, Estimator::Gate);
    assert_eq!(more.2.len(), 40, "the alignment is shared by vocabularies of any size");
    assert_eq!(run_with(Some(&cache), 6, Estimator::None).2.len(), 40);
}
