//! A fused operation on dfdx's tape: sentences of different lengths through a GRU, and the gradient of its tokens.
//!
//!     cargo run --release --example 06-gru-and-its-gradient

use std::sync::Arc;

use dfdx::prelude::*;
use tinyglot::config::{Pooling, Precision};
use tinyglot::init::Init;
use tinyglot::ops::recurrent::{Reading, gru};
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::tape::matrix;

fn main() {
    let mut init = Init::new(0);
    let weights = init.recurrent(3, 4, 5); // inputs 4 wide, states 5 wide
    let tokens = matrix(init.uniform(3 * 4, 1.0), 3, 4); // three distinct tokens
    let mut sentences = Sequences::new();
    sentences.push([0, 1, 2, 0]);
    sentences.push([2]);

    let reading = Reading { pooling: Pooling::Last, precision: Precision::F32 };
    let states = gru(tokens.leaky_trace(), &weights, &Arc::new(sentences), reading);
    println!("last state of each sentence: {:?}", states.shape());
    let grads = states.square().sum::<Rank0, _>().backward();
    println!("gradient of the token that both sentences hold: {:?}", &grads.get(&tokens).as_vec()[8..]);
}
