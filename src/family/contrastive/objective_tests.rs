use std::path::Path;

use super::*;
use crate::config::{Config, ContrastAnchors, PictureHead, RawConfig, TrainedPart};
use crate::gradcheck::{by_name, noise};
use crate::init::Init;
use crate::ops::tape::matrix;
use crate::optim::{Group, ParameterTree};
use crate::tower::{Pooled, TowerConfig, TowerTokenizer};
use crate::words::HuggingFace;

const TEXTS: [&str; 6] = ["a red dog", "a dog runs", "two men", "blue", "a man and a red house", "zwei"];

/// All contrasts at once, a head for each, both temperatures trained.
fn with(change: impl Fn(&mut RawConfig)) -> Config {
    let mut raw = RawConfig::default();
    raw.data.languages = vec!["en".into(), "de".into()];
    raw.data.captions = vec![crate::config::CaptionSource {
        languages: raw.data.languages.clone(),
        files: vec!["{split}.{language}".into()],
        ..Default::default()
    }];
    raw.data.pairs = vec![crate::config::PairSource {
        languages: raw.data.languages.clone(),
        files: vec!["pairs.{language}".into()],
        ..Default::default()
    }];
    (raw.text.joint, raw.text.dropout, raw.image.hidden, raw.image.dropout) = (6, 0.1, 10, 0.2);
    let contrastive = &mut raw.contrastive;
    contrastive.fresh.layers = 2;
    (contrastive.head_layers, contrastive.shared_head) = (2, false);
    (contrastive.image_text.temperature, contrastive.image_text.learn_temperature) = (0.5, true);
    (contrastive.text_text.temperature, contrastive.text_text.learn_temperature) = (0.4, true);
    (contrastive.text_text.weight, contrastive.triple.weight) = (0.7, 0.6);
    change(&mut raw);
    raw.check("/base".into()).expect("a good configuration")
}

fn made(config: &Config) -> (Contrastive, Batch) {
    let words = HuggingFace::train(&TEXTS, 280, ["[CLS]", "[SEP]"]).expect("a tokenizer");
    let sizes = TowerConfig {
        vocabulary: words.size(),
        context: 20,
        width: 8,
        hidden: 12,
        layers: 2,
        heads: 2,
        pooled: Pooled::Mean,
        ..TowerConfig::bert()
    };
    let tokenizer = TowerTokenizer::new(words, Path::new("t"), &sizes).expect("a tokenizer that fits");
    let tower = crate::tower::Tower::new(sizes, &mut Init::new(1));
    let mut model = Contrastive::new(config, tower, tokenizer, 7, 1);
    // Far from where everything is 0 or 1.
    let mut seed = 0;
    model.visit(&mut |_, mut x| {
        seed += 1;
        let shift = if x.group() == Group::Biases || x.group() == Group::Scale { 0.8 } else { 0.0 };
        x.set(&noise(x.count(), seed).iter().map(|x| x + shift).collect::<Vec<f32>>());
    });
    let sentences = Arc::new(model.tokens("de", &TEXTS).ids);
    let items = |rows: &[u32], ids: &[u32]| Items { rows: rows.to_vec(), ids: ids.to_vec() };
    let batch = Batch {
        images: Some(matrix(noise(4 * 7, 9), 4, 7)),
        sentences,
        states: None,
        captions: items(&[0, 1, 2, 3], &[0, 0, 1, 3]),
        texts: vec![[items(&[0, 2, 4], &[0, 1, 2]), items(&[1, 3, 5], &[0, 1, 2])]],
        triples: [items(&[0, 2, 4], &[0, 1, 2]), items(&[5, 3, 1], &[0, 1, 2])],
    };
    (model, batch)
}

fn shift(model: &mut Contrastive, name: &str, i: usize, by: f32) {
    model.visit(&mut |other, mut x| {
        if other == name {
            let mut values = x.floats().into_owned();
            values[i] += by;
            x.set(&values);
        }
    });
}

/// Finite differences through all that a step computes, at the largest gradients of every trained parameter; dropout keeps its draw.
fn slopes(config: &Config, terms: &[&str]) -> Vec<String> {
    let (mut model, batch) = made(config);
    let config = config.contrastive();
    let (mut grads, found) = gradients(&mut model, &batch, config, 3).expect("something to compare");
    assert_eq!(found.read().1.iter().map(|t| t.name).collect::<Vec<_>>(), terms);
    let all = by_name(&mut grads, &mut |f| model.visit(f));
    for (name, g) in &all {
        let scale = g.iter().fold(0f32, |m, x| m.max(x.abs()));
        // What a batch normalisation follows may have any constant added, and so may all pictures where captions alone look for them;
        // queries' common key changes nothing.
        let free = ["image.hidden.bias", "image.linear.bias"].contains(&&name[..]);
        assert!(scale > 1e-6 || free, "{name} gets no gradient");
        let mut order: Vec<usize> = (0..g.len()).collect();
        order.sort_by(|&a, &b| g[b].abs().total_cmp(&g[a].abs()));
        for &i in order.iter().take(3) {
            let mut value = |by: f32| {
                shift(&mut model, name, i, by);
                let loss = gradients(&mut model, &batch, config, 3).expect("the same").1.read().0;
                shift(&mut model, name, i, -by);
                loss
            };
            let slope = (value(2e-3) - value(-2e-3)) / 4e-3;
            assert!((slope - g[i]).abs() <= 0.03 * scale.max(0.02), "{name}[{i}]: {} {slope}", g[i]);
        }
    }
    all.into_iter().map(|(name, _)| name).collect()
}

const ALL: [&str; 5] = ["image_text", "text_text", "triple_image_a", "triple_a_b", "triple_b_image"];

#[test]
fn gradients_of_all_contrasts_are_slopes() {
    let names = slopes(&with(|_| ()), &ALL);
    for name in
        ["encoder.tokens", "head.pictures.1.weight", "head.text.0.bias", "scale.pictures", "scale.text"]
    {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
}

#[test]
fn so_are_those_of_a_batch_that_is_read_in_parts() {
    slopes(&with(|raw| raw.contrastive.micro_batch = 4), &ALL);
}

/// cl-clip-align's: scores that are no cosines, captions that look for pictures, a linear layer behind the features.
#[test]
fn so_are_those_of_raw_scores_in_one_direction() {
    let config = with(|raw| {
        let contrastive = &mut raw.contrastive;
        contrastive.pictures = PictureHead::Linear;
        (contrastive.image_text.unit, contrastive.image_text.anchors) = (false, ContrastAnchors::Captions);
        (contrastive.text_text.weight, contrastive.triple.weight) = (0.0, 0.0);
        contrastive.text_text.learn_temperature = false;
        (contrastive.shared_head, raw.data.pairs) = (true, Vec::new());
    });
    slopes(&config, &["image_text"]);
}

#[test]
fn what_is_frozen_gets_no_gradient_and_changes_no_other() {
    let of = |train: TrainedPart| {
        let config = with(|raw| raw.contrastive.train = train);
        let (mut model, batch) = made(&config);
        let (mut grads, terms) = gradients(&mut model, &batch, config.contrastive(), 3).expect("a loss");
        (terms.read().0, by_name(&mut grads, &mut |f| model.visit(f)))
    };
    let (loss, all) = of(TrainedPart::All);
    for (part, in_it) in [
        (TrainedPart::Nothing, (|_| false) as fn(&str) -> bool),
        (TrainedPart::Tokens, |name| name == "encoder.tokens"),
        (TrainedPart::Blocks, |name| name != "encoder.tokens"),
    ] {
        let (same, some) = of(part);
        assert_eq!(loss, same);
        let encoder: Vec<&str> =
            some.iter().map(|(n, _)| &n[..]).filter(|n| n.starts_with("encoder.")).collect();
        let expected: Vec<&str> = all
            .iter()
            .map(|(name, _)| &name[..])
            .filter(|name| name.starts_with("encoder.") && in_it(name))
            .collect();
        assert_eq!(encoder, expected);
        for (name, g) in &some {
            let (_, whole) = all.iter().find(|(n, _)| n == name).expect("the same parameter");
            let far = g.iter().zip(whole).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert!(far < 1e-6, "{name}: {far}");
        }
    }
}

/// The three contrasts of a triple are a third each of those that a plain list would have.
#[test]
fn a_triple_is_a_third_of_each_of_its_contrasts() {
    let config = with(|raw| raw.contrastive.triple.weight = 3.0);
    let (mut model, batch) = made(&config);
    let terms = gradients(&mut model, &batch, config.contrastive(), 3).expect("a loss").1.read().1;
    assert!(terms[2..].iter().all(|t| (t.weight - 1.0).abs() < 1e-6), "{terms:?}");
    let alone = |batch: Batch, name: &str| {
        let mut model = made(&config).0;
        let (_, terms) = gradients(&mut model, &batch, config.contrastive(), 3).expect("a loss");
        terms.read().1.into_iter().find(|t| t.name == name).expect("the term").raw
    };
    let [first, second] = batch.triples.clone();
    let captions = alone(Batch { captions: first.clone(), ..made(&config).1 }, "image_text");
    assert_eq!(terms[2].raw, captions);
    let texts = alone(Batch { texts: vec![[first, second]], ..made(&config).1 }, "text_text");
    assert_eq!(terms[3].raw, texts);
}

#[test]
fn a_batch_with_nothing_to_compare_changes_nothing() {
    let config = with(|_| ());
    let (mut model, _) = made(&config);
    assert!(gradients(&mut model, &Batch::default(), config.contrastive(), 3).is_none());
}
