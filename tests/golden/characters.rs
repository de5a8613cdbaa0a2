//! Words from characters, read both ways: values and every gradient.

use std::sync::Arc;

use dfdx::prelude::*;
use tinyglot::config::{CharactersConfig, EmbeddingConfig, Pooling, Precision};
use tinyglot::device::Dev;
use tinyglot::family::smalr::embedding::characters::{CharacterWords, Spellings};
use tinyglot::gradcheck::by_name;
use tinyglot::init::Init;
use tinyglot::ops::leaf::Rate;
use tinyglot::ops::packs::Packs;
use tinyglot::ops::recurrent::{Reading, RecurrentWeights, bidirectional_gru};
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::{Grads, data, matrix, vector};
use tinyglot::optim::ParameterTree;

use crate::{Golden, near, near_within, pulled};

const SPELLED: [&str; 8] = ["ab", "gfedc", "cab", "fede", "dabba", "ax", "gggg", "bad"];
const READ: [&[u32]; 4] = [&[0, 1, 0], &[4], &[3, 2, 5, 7], &[6, 1]];

/// The network with PyTorch's weights, and the rows of the words.
fn words(golden: &Golden) -> (CharacterWords, Vec<u32>) {
    let characters = CharactersConfig { width: 3, length: 5, hidden: vec![6], ..Default::default() };
    let config = EmbeddingConfig { width: 4, characters, ..Default::default() };
    let spellings = Arc::new(Spellings::new(('a'..='g').collect(), 5));
    let rows = SPELLED.iter().map(|word| spellings.row(word)).collect();
    let mut words = CharacterWords::new(&config, spellings, &mut Init::new(0));
    words.visit(&mut |name, mut x| {
        if x.trained() {
            x.set(&golden.floats(name.trim_start_matches("embedding.characters.")));
        }
    });
    (words, rows)
}

fn recurrent(golden: &Golden, way: &str) -> RecurrentWeights {
    let part = |part: &str| golden.floats(&format!("gru.{part}_l0{way}"));
    RecurrentWeights {
        weight_ih: matrix(part("weight_ih"), 15, 4),
        weight_hh: matrix(part("weight_hh"), 15, 5),
        bias_ih: vector(part("bias_ih")),
        bias_hh: vector(part("bias_hh")),
        rate: Rate::TRAINED,
        packs_ih: Packs::default(),
        packs_hh: Packs::default(),
    }
}

#[test]
fn words_from_characters_read_both_ways() {
    let golden = Golden::read("liwe");
    let (mut words, rows) = words(&golden);
    let (one, other) = (recurrent(&golden, ""), recurrent(&golden, "_reverse"));
    let mut sentences = Sequences::new();
    READ.iter().for_each(|rows| sentences.push(rows.iter().copied()));
    let tokens = words.forward::<OwnedTape<f32, Dev>>(&rows, Precision::F32);
    near("words", &data(&tokens), &golden.floats("words"), 1e-5);
    let reading = Reading { pooling: Pooling::Last, precision: Precision::F32 };
    let states = bidirectional_gru(tokens, [&one, &other], &Arc::new(sentences), reading);
    near("states", &data(&states), &golden.floats("states"), 1e-5);
    let mut grads = pulled(states, golden.floats("pull")).backward();
    for (way, weights) in [("", &one), ("_reverse", &other)] {
        for (part, weight) in [("weight_ih", &weights.weight_ih), ("weight_hh", &weights.weight_hh)] {
            let name = format!("gradient.gru.{part}_l0{way}");
            near(&name, &data(&grads.get(weight)), &golden.floats(&name), 1e-4);
        }
    }
    check_gradients(&mut words, &mut grads, &golden);
    let inference = words.forward::<NoneTape>(&rows, Precision::F32);
    near("words after training", &data(&inference), &golden.floats("inference"), 1e-5);
}

fn check_gradients(words: &mut CharacterWords, grads: &mut Grads, golden: &Golden) {
    let mut count = 0;
    for (name, got) in by_name(grads, &mut |f| words.visit(f)) {
        let want = golden.floats(&format!("gradient.{}", name.trim_start_matches("embedding.characters.")));
        // The bias before batch normalisation has no gradient: what is left there is rounding.
        let own = want.iter().fold(0f32, |m, g| m.max(g.abs()));
        near_within(&format!("gradient of {name}"), &got, &want, (1e-4 * own).max(1e-5));
        count += 1;
    }
    assert_eq!(count, 11);
}
