//! GRU, LSTM, batch normalisation, Adam and the loss of LIWE, one by one.

use std::sync::Arc;

use dfdx::prelude::*;
use tinyglot::config::{Distance, Mining, Pooling, Precision, Schedule, TrainConfig, TripletConfig};
use tinyglot::device::{Dev, Matrix};
use tinyglot::loss::{Contrast, contrast};
use tinyglot::ops::batch_norm::{BatchNormWeights, batch_norm_relu_dropout};
use tinyglot::ops::leaf::Rate;
use tinyglot::ops::packs::Packs;
use tinyglot::ops::recurrent::{Reading, RecurrentWeights, gru, lstm};
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::{Grads, data, data1, matrix, on_host, vector};
use tinyglot::optim::{Adam, Parameter};

use crate::{Golden, near, pulled};

const POOLINGS: [(&str, Pooling); 3] =
    [("last", Pooling::Last), ("mean", Pooling::Mean), ("max", Pooling::Max)];

type Taped = Matrix<OwnedTape<f32, Dev>>;
type Cell = fn(Taped, &RecurrentWeights, &Arc<Sequences>, Reading) -> Taped;

#[test]
fn recurrent_states_and_gradients() {
    let golden = Golden::read("ops");
    let mut sentences = Sequences::new();
    let mut rows = golden.counts("rows").into_iter();
    for n in golden.counts("lengths") {
        sentences.push(rows.by_ref().take(n as usize));
    }
    let sentences = Arc::new(sentences);
    for (name, gates, cell) in [("gru", 3, gru as Cell), ("lstm", 4, lstm)] {
        let part = |part: &str| golden.floats(&format!("{name}.{part}"));
        let weights = RecurrentWeights {
            weight_ih: matrix(part("weight_ih"), gates * 5, 4),
            weight_hh: matrix(part("weight_hh"), gates * 5, 5),
            bias_ih: vector(part("bias_ih")),
            bias_hh: vector(part("bias_hh")),
            rate: Rate::TRAINED,
            packs_ih: Packs::default(),
            packs_hh: Packs::default(),
        };
        for (pooling, kind) in POOLINGS {
            let want = |of: &str| golden.floats(&format!("{name}.{pooling}.{of}"));
            let tokens = matrix(golden.floats("tokens"), 7, 4);
            let states = cell(
                tokens.leaky_trace(),
                &weights,
                &sentences,
                Reading { pooling: kind, precision: Precision::F32 },
            );
            near(&format!("{name} {pooling}"), &data(&states), &want("states"), 1e-6);
            let grads = pulled(states, want("pull")).backward();
            let what = format!("{name} {pooling}, gradient of");
            near(&format!("{what} tokens"), &data(&grads.get(&tokens)), &want("tokens"), 1e-5);
            near(
                &format!("{what} weight_hh"),
                &data(&grads.get(&weights.weight_hh)),
                &want("weight_hh"),
                1e-5,
            );
        }
    }
}

#[test]
fn batch_normalisation_in_training_and_after() {
    let golden = Golden::read("ops");
    let mut weights = BatchNormWeights {
        scale: vector(golden.floats("norm.scale")),
        shift: vector(golden.floats("norm.shift")),
        ..BatchNormWeights::new(4)
    };
    let batches: Vec<Matrix> = golden.floats("norm.x").chunks(24).map(|x| matrix(x.to_vec(), 6, 4)).collect();
    for (x, want) in batches.iter().zip(golden.floats("norm.training").chunks(24)) {
        near("training", &data(&batch_norm_relu_dropout(x.leaky_trace(), &mut weights, 0.0, 0)), want, 1e-6);
    }
    near("running mean", &data1(&weights.mean), &golden.floats("norm.mean"), 1e-6);
    near("running variance", &data1(&weights.variance), &golden.floats("norm.variance"), 1e-6);
    let after = batch_norm_relu_dropout(batches[0].clone(), &mut weights, 0.5, 0);
    near("inference", &data(&after), &golden.floats("norm.inference"), 1e-6);
}

#[test]
fn adam_with_bias_correction_decay_and_clipping() {
    let golden = Golden::read("ops");
    for (name, weight_decay, clip) in [("adam", 0.0, 0.0), ("adamw", 0.3, 50.0)] {
        let config = TrainConfig {
            learning_rate: 0.01,
            schedule: Schedule::Constant,
            beta1: 0.8,
            beta2: 0.95,
            weight_decay,
            clip,
            ..Default::default()
        };
        let mut p = matrix(golden.floats("adam.start"), 3, 4);
        let mut adam = Adam::new(&config, 20);
        for gradient in golden.floats("adam.gradients").chunks(12) {
            let mut grads = Grads::leaky();
            on_host(grads.get_or_alloc_mut(&p).expect("memory")).copy_from_slice(gradient);
            adam.update(&mut grads, &mut |f| f("p", Parameter::matrix(&mut p, &mut Rate::TRAINED.clone())));
        }
        near(name, &data(&p), &golden.floats(&format!("{name}.end")), 1e-6);
    }
}

/// LIWE's loss, as `mining.py` has it, from its first step to where the hardest negatives alone are left.
#[test]
fn negatives_from_all_to_the_hardest() {
    let golden = Golden::read("mining");
    let [beta, margin, sentence_anchor] = golden.floats("settings")[..] else { panic!("three settings") };
    let (pictures, captions) = (golden.counts("pictures"), golden.counts("captions"));
    let cosines = matrix(golden.floats("cosines"), pictures.len(), captions.len());
    for (name, distance) in [("cosine", Distance::Cosine), ("euclidean", Distance::Euclidean)] {
        let mining = Mining::SumToHardest;
        let config = TripletConfig { margin, mining, sentence_anchor, beta, distance, ..Default::default() };
        for step in golden.counts("steps") {
            let by = Contrast::image_text(&config, step as usize);
            let loss = contrast(cosines.leaky_trace(), &pictures, &captions, by);
            let what = format!("{name}, step {step}");
            near(&what, &[loss.array()], &golden.floats(&format!("{name}.{step}.value")), 1e-6);
            let gradient = loss.backward().get(&cosines);
            near(&what, &data(&gradient), &golden.floats(&format!("{name}.{step}.gradient")), 1e-5);
        }
    }
}
