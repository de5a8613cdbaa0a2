//! Cross-modal acquisition (CMA): a frozen multilingual encoder learns the space of an English tower and its pictures from
//! adapters behind its own blocks (MLA's supplement, section B.4).
//!
//! Every language goes through it, English too, which the supplement's table 4 reports lower than the tower's own; the English
//! tower is there for its teacher's vectors in NLT. The supplement says no more than that acquirers stand in each layer, that
//! M-BERT stays fixed and that the two stages are MLA's. Here the adapters are each language's own, as in MLA; the vector is the
//! state at `[CLS]`, or what sentence-transformers' pooling beside another encoder makes of the states, taken into the joint space
//! by a linear layer; and English sentences are translations of themselves.

use dfdx::prelude::*;

use crate::device::{Dev, Matrix};
use crate::init::Init;
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::sequences::Sequences;
use crate::ops::transformer::Pass;
use crate::tower::{Tower, TowerTokenizer};

/// M-BERT, or another encoder, which stays as it is, and the layer from it into the joint space.
pub struct Bert {
    /// The encoder, frozen.
    pub tower: Tower,
    /// The tokenizer that goes with it.
    pub tokenizer: TowerTokenizer,
    /// (joint, width of the encoder)
    pub layer: LinearWeights,
}

impl Bert {
    /// With a fresh layer to `joint` numbers.
    pub fn new(tower: Tower, tokenizer: TowerTokenizer, joint: usize, init: &mut Init) -> Self {
        let layer = init.linear(tower.outputs(), joint);
        Bert { tower, tokenizer, layer }
    }

    /// States behind the last block (tokens, width) as vectors of the joint space, not of unit length.
    pub(super) fn pool<T: Tape<f32, Dev> + 'static>(
        &self,
        x: Matrix<T>,
        sentences: &Sequences,
        pass: Pass,
    ) -> Matrix<T> {
        let x = self.tower.pool(x, sentences, pass); // (sentences, width)
        linear(x, &self.layer, pass.precision)
    }
}
