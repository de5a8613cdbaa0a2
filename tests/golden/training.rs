//! A small model with every loss: terms, gradients and ten losses.

use std::collections::BTreeMap;
use std::sync::Arc;

use dfdx::prelude::*;
use tinyglot::config::Config;
use tinyglot::family::smalr::batch::Batch;
use tinyglot::family::smalr::embedding::Slot;
use tinyglot::family::smalr::embedding::lexicon::Collector;
use tinyglot::family::smalr::model::Model;
use tinyglot::family::smalr::objective::{When, objective};
use tinyglot::gradcheck::by_name;
use tinyglot::loss::terms::Term;
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::{Grads, data, data1, matrix};
use tinyglot::optim::{Adam, ParameterTree};

use crate::{Golden, blank, file, near, near_within, slack};

const STEPS: usize = 10;
const PICTURES: usize = 6;
const FEATURES: usize = 9;

#[test]
fn smalr_with_every_loss() {
    follow("smalr");
}

#[test]
fn hem_with_the_other_settings() {
    follow("hem");
}

#[test]
fn smalr_whose_sentence_branch_reads_the_masked_sentences() {
    follow("branch");
}

#[test]
fn la_with_averages() {
    follow("la");
}

/// Trains the model of `name` for ten steps beside PyTorch's numbers.
fn follow(name: &str) {
    let golden = Golden::read(name);
    let config = Config::load(&file(&format!("{name}.toml")), &[]).expect("a good configuration");
    let mut model = start(&config, &golden);
    let mut adam = Adam::new(config.train(), STEPS);
    let progress = golden.floats("progress");
    let mut losses = Vec::new();
    for (step, &progress) in progress.iter().enumerate() {
        let batch = batch(&config, &golden, &format!("batch.{step}"));
        catch_up(&mut adam, &mut model, &batch);
        if step == 0 {
            check_vectors(&mut model, &batch, &golden);
        }
        let (when, precision) = (When { step, progress }, config.train().precision);
        let (sum, terms) = objective(&mut model, &batch, config.loss(), precision, when, step as u64);
        let sum = sum.expect("something to compare");
        let (loss, terms) = terms.read();
        losses.push(loss);
        let mut grads = sum.backward();
        check_terms(&terms, step, &golden);
        if step == 0 {
            check_gradients(&mut model, &mut grads, &golden);
            let norm = &model.image.layers.as_ref().expect("layers").norm;
            near("running mean", &data1(&norm.mean), &golden.floats("norm.mean"), 1e-6);
            near("running variance", &data1(&norm.variance), &golden.floats("norm.variance"), 1e-6);
            let inference = model.image.forward::<NoneTape>(batch.images.clone(), 0);
            near("pictures after training", &data(&inference), &golden.floats("image.inference"), 1e-5);
        }
        adam.update(&mut grads, &mut |f| model.visit(f));
    }
    near("losses", &losses, &golden.floats("losses"), 1e-5 * slack());
}

/// The model with PyTorch's starting weights.
fn start(config: &Config, golden: &Golden) -> Model {
    let mut model = blank(config, config.embedding().latents, FEATURES);
    let mut named = Vec::new();
    model.visit(&mut |name, mut x| {
        x.set(&golden.floats(&format!("weight.{name}")));
        named.push(name.to_string());
    });
    named.sort();
    assert_eq!(named, golden.names("weight.").collect::<Vec<_>>());
    model
}

/// A batch as the assembler lays it out, with PyTorch's choice of masked words.
fn batch(config: &Config, golden: &Golden, name: &str) -> Batch {
    let column = |of: &str| golden.counts(&format!("{name}.{of}"));
    let (language, length) = (column("language"), column("length"));
    let slot = |(table, row): (&u32, &u32)| if *table == 0 { Slot::Latent(*row) } else { Slot::Own(*row) };
    let slots: Vec<Slot> = column("table").iter().zip(&column("row")).map(slot).collect();
    let mut lost = column("lost").into_iter();
    let (mut sentences, mut first) = (Vec::new(), 0);
    for (&l, &n) in language.iter().zip(&length) {
        sentences.push((l as usize, &slots[first..first + n as usize]));
        first += n as usize;
    }
    let (languages, e, mclm) = (config.data().languages.len(), config.embedding(), &config.loss().mclm);
    let mut collector = Collector::with_sizes(e.latents, &vec![e.top_k; languages]);
    let (tokens, mut sequences) = collector.collect(sentences.iter().copied(), mclm.lstm > 0.0);
    let whole: Vec<Vec<u32>> = (0..sequences.len()).map(|s| sequences.get(s).to_vec()).collect();
    let lost: Vec<Vec<bool>> =
        whole.iter().map(|s| lost.by_ref().take(s.len()).map(|l| l == 1).collect()).collect();
    let mut version = |replacement: Option<u32>| {
        let shift = sequences.len();
        for (rows, lost) in whole.iter().zip(&lost) {
            sequences
                .push(rows.iter().zip(lost).filter_map(|(&r, &l)| if l { replacement } else { Some(r) }));
        }
        shift
    };
    let mut thinned = None;
    if mclm.average > 0.0 {
        let mut version = Sequences::new();
        whole.iter().zip(&lost).for_each(|(rows, lost)| {
            version.push(rows.iter().zip(lost).filter(|(_, l)| !**l).map(|(&row, _)| row));
        });
        thinned = Some(version);
    }
    let deleted = mclm.reads_thinned().then(|| version(None));
    let replaced = (mclm.lstm > 0.0).then(|| version(Some(tokens.mask_row())));
    let group = |l: usize| {
        let before = language.iter().filter(|&&x| (x as usize) < l).count();
        before..before + language.iter().filter(|&&x| x as usize == l).count()
    };
    Batch {
        images: matrix(golden.floats(&format!("{name}.images")), PICTURES, FEATURES),
        tokens,
        sentences: Arc::new(sequences),
        image_of: column("image_of"),
        groups: (0..languages).map(group).collect(),
        thinned,
        deleted,
        replaced,
        paired: Default::default(),
        taught: Vec::new(),
    }
}

/// As the trainer does before each step.
fn catch_up(adam: &mut Adam, model: &mut Model, batch: &Batch) {
    adam.catch_up("embedding.latent", &mut model.embedding.latents, &batch.tokens.latents);
    for ((own, language), rows) in model.embedding.own.iter_mut().zip(&model.languages).zip(&batch.tokens.own)
    {
        adam.catch_up(&format!("embedding.{language}.words"), &mut own.words, rows);
    }
}

/// Sentences, and pictures in training, of the first step.
fn check_vectors(model: &mut Model, batch: &Batch, golden: &Golden) {
    let tokens = model.embedding.forward::<NoneTape>(&batch.tokens, Default::default());
    let text = model.text.forward(tokens, &Arc::new(batch.whole()), &[], 0);
    near("sentences", &data(&text), &golden.floats("text"), 1e-5);
    let layers = model.image.layers.clone();
    let images = model.image.forward::<OwnedTape<f32, _>>(batch.images.clone(), 0);
    near("pictures", &data(&images), &golden.floats("image"), 1e-5);
    model.image.layers = layers; // the running statistics have moved
}

/// Every term before weighting, and its weight.
fn check_terms(terms: &[Term], step: usize, golden: &Golden) {
    let prefix = format!("term.{step}.");
    assert_eq!(terms.len(), golden.names(&prefix).count());
    for term in terms {
        let want = golden.floats(&format!("{prefix}{}", term.name));
        near_within(
            &format!("`{}` in step {}", term.name, step + 1),
            &[term.raw],
            &want[..1],
            1e-5 * slack(),
        );
        near_within(&format!("weight of `{}`", term.name), &[term.weight], &want[1..], 1e-7);
    }
}

/// Every parameter's gradient; those of tables are put back for the optimiser.
fn check_gradients(model: &mut Model, grads: &mut Grads, golden: &Golden) {
    let mut kept = BTreeMap::new();
    model.visit(&mut |name, parameter| {
        let Some(table) = parameter.as_table() else { return };
        let entries = table.take_grads();
        table.grads.lock().expect("no thread has failed").extend(entries.clone());
        kept.insert(name.to_string(), entries);
    });
    let got: BTreeMap<String, Vec<f32>> = by_name(grads, &mut |f| model.visit(f)).into_iter().collect();
    model.visit(&mut |name, parameter| {
        if let Some(table) = parameter.as_table() {
            *table.grads.lock().expect("no thread has failed") = kept.remove(name).unwrap_or_default();
        }
    });
    let names: Vec<&str> = golden.names("gradient.").collect();
    assert_eq!(got.keys().map(|n| &n[..]).collect::<Vec<_>>(), names);
    let largest = got.values().flatten().fold(0f32, |m, g| m.max(g.abs()));
    for (name, gradient) in &got {
        let want = golden.floats(&format!("gradient.{name}"));
        // The bias before batch normalisation has no gradient: what is left there is rounding.
        let own = want.iter().fold(0f32, |m, g| m.max(g.abs()));
        near_within(
            &format!("gradient of {name}"),
            gradient,
            &want,
            (1e-4 * own).max(1e-6 * largest) * slack(),
        );
    }
}
