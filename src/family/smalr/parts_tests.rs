use super::*;
use crate::config::{Config, EmbeddingKind, Encoder, LossConfig, MaskedEncoder, Pooling, RawConfig};
use crate::family::smalr::batch::{Assembler, Batch, Captions, Taught};
use crate::family::smalr::embedding::characters::Spellings;
use crate::family::smalr::embedding::lexicon::Collector;
use crate::family::smalr::embedding::{Lexicon, Slot};
use crate::family::smalr::empty_embedding;
use crate::family::smalr::model::Model;
use crate::family::smalr::objective::{When, objective};
use crate::family::smalr::paired::{Compared, PairedSentences};
use crate::family::smalr::text::Adapter;
use crate::gradcheck::{by_name, noise};
use crate::init::Init;
use crate::ops::tape::matrix;
use crate::optim::Group;
use crate::sampler::{CaptionIndex, Draw};
use crate::words::Vocabulary;

const LANGUAGES: [&str; 3] = ["en", "de", "zh"];
const PICTURES: usize = 4;
const JOINT: usize = 5;

/// Every loss of a batch of captions, with dropout everywhere.
fn config(change: impl FnOnce(&mut RawConfig)) -> Config {
    let mut raw = RawConfig::default();
    raw.data.languages = LANGUAGES.map(String::from).to_vec();
    raw.data.captions.push(crate::config::CaptionSource {
        languages: raw.data.languages.clone(),
        files: vec!["{split}.{language}".into()],
        ..Default::default()
    });
    (raw.embedding.top_k, raw.embedding.width, raw.embedding.word_width) = (4, 6, 3);
    (raw.text.hidden, raw.text.joint, raw.text.dropout) = (7, JOINT, 0.3);
    (raw.image.hidden, raw.image.dropout) = (8, 0.2);
    // All violations count, so that none is at an edge.
    (raw.loss.triplet.margin, raw.loss.triplet.top_n) = (2.5, 100);
    (raw.loss.info_nce.weight, raw.loss.info_nce.text_weight) = (0.5, 0.1);
    let near = &mut raw.loss.neighbourhood;
    (near.words, near.sentences, near.within) = (0.1, 0.1, 0.1);
    (raw.loss.mclm.average, raw.loss.mclm.lstm, raw.loss.mclm.masked_triplet) = (0.1, 0.1, 0.5);
    (raw.loss.adversary.weight, raw.loss.word_drift) = (0.1, 0.1);
    change(&mut raw);
    raw.check(".".into()).expect("a good configuration")
}

/// Losses that a configuration has with further data alone.
fn losses(config: &Config) -> LossConfig {
    let mut loss = config.loss().clone();
    (loss.pairs.weight, loss.teacher.mse, loss.teacher.unit) = (0.5, 0.5, false);
    loss
}

/// A model far from where everything is 0 or 1, of which the second language has an adapter.
fn made(config: &Config) -> (Model, Batch) {
    let spellings = (config.embedding().kind == EmbeddingKind::Characters).then(|| {
        Arc::new(Spellings::new("abcdefgh".chars().collect(), config.embedding().characters.length))
    });
    let sentence: Vec<String> = ('a'..='g').map(String::from).collect();
    let own = config.embedding().top_k as u32;
    let slot = |n: u32| match &spellings {
        Some(spellings) => Slot::Latent(spellings.row(&format!("{}b{}", sentence[n as usize], n % 3))),
        None if n < own => Slot::Own(n),
        None => Slot::Latent(n - own),
    };
    let words = Vocabulary::build([&sentence[..]].into_iter(), 1);
    let mut lexicon = Lexicon {
        languages: config.data().languages.clone(),
        vocabularies: vec![words; 3],
        slots: vec![(0..7).map(slot).collect(); 3],
        latents: 7 - own as usize,
        translations: None,
        spellings: spellings.clone(),
    };
    if spellings.is_some() {
        (lexicon.latents, lexicon.slots) = (0, vec![Vec::new(); 3]);
    }
    let mut model = Model::new(config, empty_embedding(config, &lexicon, 6), 9, 1);
    if config.text().encoder == Encoder::Gru {
        let pooled = model.text.output.as_ref().map_or(config.text().hidden, |o| o.weight.shape().1);
        model.text.adapters[1] = Some(Adapter::new(pooled, JOINT, 2, &mut Init::new(5)));
    }
    let mut seed = 0;
    model.visit(&mut |_, mut x| {
        if x.trained() {
            seed += 1;
            let shift = if x.group() == Group::Biases { 0.8 } else { 0.0 };
            x.set(&noise(x.count(), seed).iter().map(|x| x + shift).collect::<Vec<f32>>());
        }
    });
    let sentence = |n: u32| (0..2 + n % 4).map(|t| slot((n * 3 + t * t + t) % 7)).collect::<Vec<Slot>>();
    // Two captions a picture in the first language, one in the others, of which one has none of the last picture.
    let captions = |l: u32| {
        let image_of: Vec<u32> = (0..8).map(|c| c / 2).collect();
        let slots = (0..8).map(|c| sentence(5 * l + c)).collect();
        Captions { index: CaptionIndex::new(image_of.iter().copied(), PICTURES), image_of, slots }
    };
    let one = |count: u32| (0..count).map(|image| (2 * image, image)).collect();
    let draw = Draw {
        images: (0..PICTURES as u32).collect(),
        captions: vec![(0..8).map(|c| (c, c / 2)).collect(), one(4), one(3)],
    };
    let paired = PairedSentences {
        slots: vec![
            vec![sentence(3), sentence(6), sentence(9)],
            vec![sentence(1), sentence(2)],
            vec![sentence(4)],
        ],
        compared: vec![Compared { sentences: [vec![0, 1, 3], vec![3, 4, 5]], ids: vec![5, 6, 7] }],
        targets: Vec::new(),
    };
    let mut assembler = Assembler {
        collector: Collector::new(&lexicon),
        word_dropout: 0.2,
        mclm: config.loss().mclm.clone(),
    };
    let images = |_: &_| matrix(noise(PICTURES * 9, 9), PICTURES, 9);
    let captions: Vec<Captions> = (0..3).map(captions).collect();
    let mut batch = assembler.assemble(&draw, &captions, images, Some(&paired), 11);
    let vectors = matrix(noise(3 * JOINT, 21), 3, JOINT);
    batch.taught =
        vec![Taught { sentences: vec![0, 9, batch.sentences.len() as u32 - 1], ids: vec![1, 2, 3], vectors }];
    (model, batch)
}

/// What a step finds.
struct Found {
    sentences: usize,
    value: f32,
    terms: Vec<(&'static str, f32)>,
    gradients: Vec<(String, Vec<f32>)>,
    /// All that the model holds after the step: running statistics, too.
    held: Vec<(String, Vec<f32>)>,
}

fn found(config: &Config) -> Found {
    let (mut model, batch) = made(config);
    let (when, precision) = (When { step: 3, progress: 0.4 }, config.train().precision);
    let (sum, terms) = objective(&mut model, &batch, &losses(config), precision, when, 13);
    let (value, terms) = terms.read();
    let mut grads = sum.expect("a loss").backward();
    let terms = terms.iter().map(|term| (term.name, term.raw)).collect();
    let gradients = by_name(&mut grads, &mut |f| model.visit(f));
    let mut held = Vec::new();
    model.visit(&mut |name, x| held.push((name.to_string(), x.floats().to_vec())));
    Found { sentences: batch.sentences.len(), value, terms, gradients, held }
}

/// The loss, its terms and the gradients of all parameters of a model whose sentences are read some at a time are those of the whole batch, to
/// 2e-5 of a parameter's largest; running statistics are the same bits.
fn parts_are_the_whole(change: impl Fn(&mut RawConfig)) {
    let whole = found(&config(&change));
    // What a batch normalisation follows may have any constant added: rounding is all its gradient.
    let free =
        |name: &str| name == "image.hidden.bias" || name.contains("characters") && name.ends_with("bias");
    for (name, g) in &whole.gradients {
        assert!(free(name) || g.iter().any(|g| g.abs() > 1e-6), "{name} gets no gradient");
    }
    let count = whole.sentences;
    for size in [1, 3, 7, count - 1, count, 100] {
        let parts = found(&config(|raw| {
            change(raw);
            raw.text.micro_batch = size;
        }));
        let near = |a: f32, b: f32, scale: f32| (a - b).abs() <= 1e-5 * scale;
        assert!(near(whole.value, parts.value, whole.value.abs()), "{} {}", whole.value, parts.value);
        assert_eq!(whole.terms.len(), parts.terms.len());
        for (one, other) in whole.terms.iter().zip(&parts.terms) {
            assert!(one.0 == other.0 && near(one.1, other.1, 1.0), "{one:?} {other:?}, {size} at a time");
        }
        assert_eq!(whole.gradients.len(), parts.gradients.len());
        for ((name, a), (_, b)) in whole.gradients.iter().zip(&parts.gradients) {
            let least = if free(name) { 0.1 } else { 1e-2 };
            let scale = a.iter().fold(least, |m: f32, x| m.max(x.abs()));
            let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(far <= 2e-5 * scale, "{name}, {size} at a time: {far} of {scale}");
            assert!(size < count || a == b, "{name}: all at once are other bits");
        }
        assert!(whole.held == parts.held, "{size} at a time: other statistics");
    }
}

#[test]
fn every_loss_of_smalr_has_the_gradients_of_the_whole_batch() {
    parts_are_the_whole(|_| ());
}

#[test]
fn so_it_has_where_the_sentence_branch_reads_masked_sentences() {
    parts_are_the_whole(|raw| {
        raw.loss.mclm.encoder = MaskedEncoder::Branch;
        (raw.text.pooling, raw.text.bag) = (Pooling::Mean, true);
    });
}

#[test]
fn so_have_averages_of_latent_tokens() {
    parts_are_the_whole(|raw| {
        (raw.text.encoder, raw.embedding.top_k, raw.loss.word_drift) = (Encoder::Average, 0, 0.0);
    });
}

/// A batch normalisation counts the words of the whole batch.
#[test]
fn so_have_words_of_characters_that_are_read_both_ways() {
    parts_are_the_whole(|raw| {
        (raw.embedding.kind, raw.embedding.top_k, raw.loss.word_drift) = (EmbeddingKind::Characters, 0, 0.0);
        let characters = &mut raw.embedding.characters;
        (characters.width, characters.length, characters.hidden) = (3, 4, vec![6]);
        (raw.text.bidirectional, raw.text.projection, raw.text.hidden) = (true, false, JOINT);
        raw.text.pooling = Pooling::Mean;
    });
}
