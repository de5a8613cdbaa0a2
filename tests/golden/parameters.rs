//! What a checkpoint holds, by name and shape; and how many parameters the paper's models have.

use dfdx::prelude::*;
use tinyglot::config::{Config, EmbeddingKind, RawConfig};
use tinyglot::family::smalr::embedding::TokenRows;
use tinyglot::family::smalr::model::Model;
use tinyglot::optim::ParameterTree;

use crate::{blank, file};

/// A model for pictures of `features` numbers and with `used` latent tokens; the rest as smalr.toml says after `change`.
fn model(features: usize, used: usize, change: impl FnOnce(&mut RawConfig)) -> Model {
    let mut raw = Config::load(&file("smalr.toml"), &[]).expect("a good configuration").raw().clone();
    change(&mut raw);
    let config = raw.check(file("")).expect("a good configuration");
    blank(&config, used, features)
}

/// Name and shape of everything that is stored, sorted.
fn stored(model: &mut Model) -> Vec<String> {
    let mut names = Vec::new();
    model.visit(&mut |name, x| {
        assert_eq!(x.floats().len(), x.count(), "{name}");
        names.push(format!("{name} {:?}", x.shape()));
    });
    names.sort();
    names
}

const LA: [&str; 17] = [
    "embedding.latent [10, 12]",
    "image.centre [9]",
    "image.hidden.bias [14]",
    "image.hidden.weight [14, 9]",
    "image.inverse [9]",
    "image.norm.mean [14]",
    "image.norm.scale [14]",
    "image.norm.shift [14]",
    "image.norm.variance [14]",
    "image.output.bias [10]",
    "image.output.weight [10, 14]",
    "text.gru.bias_hh [48]",
    "text.gru.bias_ih [48]",
    "text.gru.weight_hh [48, 16]",
    "text.gru.weight_ih [48, 12]",
    "text.output.bias [10]",
    "text.output.weight [10, 16]",
];

/// What HEM has beside LA's.
const OWN: [&str; 9] = [
    "embedding.de.layer.bias [12]",
    "embedding.de.layer.weight [12, 5]",
    "embedding.de.words [6, 5]",
    "embedding.en.layer.bias [12]",
    "embedding.en.layer.weight [12, 5]",
    "embedding.en.words [6, 5]",
    "embedding.ja.layer.bias [12]",
    "embedding.ja.layer.weight [12, 5]",
    "embedding.ja.words [6, 5]",
];

/// What SMALR has beside HEM's, for training only.
const HEADS: [&str; 17] = [
    "adversary.bias [3]",
    "adversary.weight [3, 12]",
    "embedding.mask [1, 12]",
    "mclm.average.sentences.bias [20]",
    "mclm.average.sentences.weight [20, 20]",
    "mclm.average.words.bias [24]",
    "mclm.average.words.weight [24, 24]",
    "mclm.encoder.lstm.bias_hh [48]",
    "mclm.encoder.lstm.bias_ih [48]",
    "mclm.encoder.lstm.weight_hh [48, 12]",
    "mclm.encoder.lstm.weight_ih [48, 12]",
    "mclm.encoder.output.bias [12]",
    "mclm.encoder.output.weight [12, 12]",
    "mclm.lstm.sentences.bias [20]",
    "mclm.lstm.sentences.weight [20, 20]",
    "mclm.lstm.words.bias [24]",
    "mclm.lstm.words.weight [24, 24]",
];

fn sorted(parts: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = parts.concat().iter().map(|n| n.to_string()).collect();
    all.sort();
    all
}

fn without_heads(raw: &mut RawConfig) {
    (raw.loss.mclm, raw.loss.adversary) = Default::default();
}

#[test]
fn names_and_shapes_of_la_hem_and_smalr() {
    let la = |raw: &mut RawConfig| {
        without_heads(raw);
        raw.embedding.top_k = 0;
    };
    assert_eq!(stored(&mut model(9, 10, la)), LA);
    assert_eq!(stored(&mut model(9, 10, without_heads)), sorted(&[&LA, &OWN]));
    assert_eq!(stored(&mut model(9, 10, |_| ())), sorted(&[&LA, &OWN, &HEADS]));
}

#[test]
fn words_that_are_not_trained_are_stored_and_not_counted() {
    let mut fixed = model(9, 10, |raw| raw.embedding.train_words = false);
    assert_eq!(stored(&mut fixed), sorted(&[&LA, &OWN, &HEADS]));
    let trained = model(9, 10, |_| ()).parameter_counts().0;
    assert_eq!(fixed.parameter_counts().0, trained - 3 * 6 * 5);
}

/// The paper's sizes: ten languages, 5000 words of width 50 each, universal and joint space of width 512.
fn paper(raw: &mut RawConfig) {
    let codes = ["en", "de", "fr", "cs", "zh", "ja", "ar", "af", "ko", "ru"];
    raw.data.languages = codes.map(String::from).to_vec();
    raw.data.captions[0].languages = raw.data.languages.clone();
    raw.words.fasttext.width = 300;
    (raw.embedding.top_k, raw.embedding.word_width, raw.embedding.width) = (5000, 50, 512);
    (raw.text.hidden, raw.text.joint, raw.image.hidden) = (512, 512, 2048);
}

/// Burns et al. 2020, section 5: 7.1 M at test time, when every word's universal vector is computed beforehand. Their sum,
/// 7,086,592, has one bias per gate of the GRU; PyTorch's layout, which is ours, has two.
#[test]
fn encoder_and_image_branch_have_the_papers_7_1_million() {
    const SECOND_BIAS: usize = 3 * 512;
    let (_, test) = model(2048, 10, paper).parameter_counts();
    assert_eq!(test, 7_086_592 + SECOND_BIAS);
}

/// Every word its own vector of width 300 and no latent tokens.
fn mule(raw: &mut RawConfig) {
    paper(raw);
    without_heads(raw);
    (raw.embedding.word_width, raw.embedding.latents) = (300, 0);
    raw.embedding.unseen = tinyglot::config::Unseen::Drop;
}

/// Burns et al. 2020, section 1: 93 % of MULE's parameters are language's, beside the 7.1 M of encoder and image branch that
/// is 101 M: 309,000 words in ten languages.
#[test]
fn mule_at_the_papers_sizes_has_101_million_and_93_percent_are_words() {
    let (train, test) = model(2048, 0, |raw| {
        mule(raw);
        raw.embedding.top_k = 30_900;
    })
    .parameter_counts();
    assert_eq!(train, 7_088_128 + 309_000 * 300 + 10 * (300 * 512 + 512));
    assert_eq!(train / 1_000_000, 101);
    let share = (train - test) as f64 / train as f64;
    assert_eq!((share * 100.0).round(), 93.0);
}

/// EmbN is MULE with one language.
#[test]
fn embn_has_one_layer_and_its_languages_words() {
    let (train, test) = model(2048, 0, |raw| {
        mule(raw);
        raw.loss = Default::default();
        raw.data.languages.truncate(1);
        raw.embedding.top_k = 10_000;
    })
    .parameter_counts();
    assert_eq!((train, test), (7_088_128 + 10_000 * 300 + 300 * 512 + 512, 7_088_128));
}

/// LIWE at its sizes: words of 26 characters through layers of 384, 448 and 300; a GRU both ways to 1024, nothing after it.
fn liwe(raw: &mut RawConfig, width: usize) {
    paper(raw);
    without_heads(raw);
    (raw.embedding.kind, raw.embedding.characters.width, raw.embedding.width) =
        (EmbeddingKind::Characters, width, 300);
    (raw.text.hidden, raw.text.joint) = (1024, 1024);
    (raw.text.bidirectional, raw.text.projection) = (true, false);
}

/// Wehrmann et al. 2019: with one linear layer for pictures as theirs, S-LIWE has 11 M parameters, and L-LIWE (characters of
/// width 120; Burns et al. 2020) 26 M with 14.6 M that their code builds and never uses. Each layer has a direction and a gain, a
/// bias, and scale and shift of its batch normalisation.
#[test]
fn liwe_has_the_papers_parameters() {
    for (width, millions, unused) in [(24, 11.0, 0.0), (120, 26.0, 14.6)] {
        let layer = |inputs: usize, outputs: usize| outputs * (inputs + 4);
        let words = 101 * width + layer(26 * width, 384) + layer(384, 448) + layer(448, 300);
        let both_ways = 2 * (3 * 1024 * (300 + 1024 + 2));
        let image = 2048 * 2049 + 2 * 2048 + 2049 * 1024;
        let (train, test) = model(2048, 0, |raw| liwe(raw, width)).parameter_counts();
        assert_eq!(train, words + both_ways + image);
        assert_eq!(test, train, "no word is computed beforehand");
        let theirs = (words + both_ways + 2049 * 1024) as f64 / 1e6 + unused;
        assert!((theirs - millions).abs() < 0.5, "{theirs}");
    }
}

#[test]
fn names_and_shapes_of_liwe() {
    let mut small = model(9, 0, |raw| {
        without_heads(raw);
        raw.embedding.kind = EmbeddingKind::Characters;
        raw.embedding.characters.hidden = vec![7];
        (raw.text.hidden, raw.text.joint) = (10, 10);
        (raw.text.bidirectional, raw.text.projection) = (true, false);
    });
    let text: Vec<String> = stored(&mut small).into_iter().filter(|n| !n.starts_with("image.")).collect();
    assert_eq!(
        text,
        [
            "embedding.characters.0.bias [7]",
            "embedding.characters.0.directions [7, 624]",
            "embedding.characters.0.gains [7]",
            "embedding.characters.0.norm.mean [7]",
            "embedding.characters.0.norm.scale [7]",
            "embedding.characters.0.norm.shift [7]",
            "embedding.characters.0.norm.variance [7]",
            "embedding.characters.1.bias [12]",
            "embedding.characters.1.directions [12, 7]",
            "embedding.characters.1.gains [12]",
            "embedding.characters.1.norm.mean [12]",
            "embedding.characters.1.norm.scale [12]",
            "embedding.characters.1.norm.shift [12]",
            "embedding.characters.1.norm.variance [12]",
            "embedding.characters.table [101, 24]",
            "text.backward.bias_hh [30]",
            "text.backward.bias_ih [30]",
            "text.backward.weight_hh [30, 10]",
            "text.backward.weight_ih [30, 12]",
            "text.gru.bias_hh [30]",
            "text.gru.bias_ih [30]",
            "text.gru.weight_hh [30, 10]",
            "text.gru.weight_ih [30, 12]",
        ]
    );
}

#[test]
fn where_words_started_is_stored_and_not_counted() {
    let mut kept = model(9, 10, |raw| raw.loss.word_drift = 1.0);
    const STARTS: [&str; 3] =
        ["embedding.de.start [6, 5]", "embedding.en.start [6, 5]", "embedding.ja.start [6, 5]"];
    assert_eq!(stored(&mut kept), sorted(&[&LA, &OWN, &HEADS, &STARTS]));
    assert_eq!(kept.parameter_counts(), model(9, 10, |_| ()).parameter_counts());
}

/// Value and gradient of ½‖E − E₀‖², in the languages and rows of the batch.
#[test]
fn word_drift_pulls_the_rows_of_the_batch_to_their_start() {
    let mut model = model(9, 10, |raw| raw.loss.word_drift = 1.0);
    for (l, start) in model.word_starts.iter_mut().enumerate() {
        start.data_mut().iter_mut().enumerate().for_each(|(i, x)| *x = (l * 30 + i) as f32 * 0.1);
    }
    let rows = TokenRows { own: vec![vec![4, 1], vec![], vec![0]], ..Default::default() };
    let drift = model.word_drift::<OwnedTape<f32, _>>(&rows);
    for ((l, rows), drift) in [(0, vec![4, 1]), (2, vec![0])].into_iter().zip(drift) {
        let start: Vec<f32> =
            rows.iter().flat_map(|&r| model.word_starts[l].row(r as usize)).copied().collect();
        let want = 0.5 * start.iter().map(|x| x * x).sum::<f32>();
        assert!((drift.array() - want).abs() < 1e-4 * want, "{} {want}", drift.array());
        drift.backward();
        let [(got, gradient)] = &model.embedding.own[l].words.take_grads()[..] else { panic!("one entry") };
        // The words are zero.
        assert_eq!((got, gradient), (&rows, &start.iter().map(|x| -x).collect::<Vec<f32>>().into()));
    }
}

/// "Less than 20 M": the retrieval model with 19,800 used latent tokens. What only the losses use comes on top: two layers
/// for each variant of MCLM, an LSTM and its output, [MASK], the language classifier.
#[test]
fn hem_at_the_papers_sizes_has_less_than_20_million() {
    let words = 10 * (5000 * 50 + 50 * 512 + 512);
    let hem = 7_088_128 + words + 19_800 * 512;
    let (train, _) = model(2048, 19_800, |raw| {
        paper(raw);
        without_heads(raw);
    })
    .parameter_counts();
    assert_eq!(train, hem);
    assert!(train < 20_000_000);
    let heads = 4 * (1024 * 1024 + 1024) + 4 * 512 * (512 + 512 + 2) + 512 * 513 + 512 + 10 * 513;
    assert_eq!(model(2048, 19_800, paper).parameter_counts().0, hem + heads);
}
