//! Where sentences of other languages enter an English tower: a multilingual embedding and a layer to the tower's width.

use dfdx::prelude::*;

use crate::device::{Dev, Matrix};
use crate::init::Init;
use crate::ops::linear::{LinearWeights, blend, linear, linear_of_data};
use crate::ops::rows::{Table, lookup, select};
use crate::ops::sequences::Sequences;
use crate::ops::tape::vector;
use crate::ops::transformer::Pass;
use crate::optim::{Adam, Parameter, ParameterTree, visit_linear};
use crate::tower::{TowerTokenizer, distinct};

/// Where sentences of other languages than the tower's enter it; all of them share it.
pub struct InputEmbedding {
    /// What cuts sentences of all these languages.
    pub tokenizer: TowerTokenizer,
    /// (vocabulary, width of the multilingual embedding)
    pub table: Table,
    /// What is added to a table that is frozen.
    pub low_rank: Option<LowRank>,
    /// To the width of the tower.
    pub layer: LinearWeights,
}

/// A · Bᵀ, trained beside a table E: the vectors are those of E + A · Bᵀ (Hu et al. 2022).
pub struct LowRank {
    /// A (vocabulary, rank); it starts at 0, so tokens that training never reads keep their vector.
    pub rows: Table,
    /// B (width of the embedding, rank); the bias stays 0.
    pub layer: LinearWeights,
}

impl InputEmbedding {
    /// A table (vocabulary, its width) and a fresh layer from it to `width`.
    pub fn new(tokenizer: TowerTokenizer, table: Table, width: usize, init: &mut Init) -> Self {
        let layer = init.linear(table.width, width);
        InputEmbedding { tokenizer, table, low_rank: None, layer }
    }

    /// With a product of this rank added to the table; 0 adds none.
    pub fn with_rank(mut self, rank: usize, init: &mut Init) -> Self {
        let width = self.table.width;
        self.low_rank = (rank > 0).then(|| LowRank {
            rows: Table::new(rank, vec![0.0; self.table.rows() * rank]),
            layer: LinearWeights { bias: vector(vec![0.0; width]), ..init.linear(rank, width) },
        });
        self
    }

    /// Brings all that sentences read up to the optimiser's present step.
    pub fn catch_up(&mut self, adam: &mut Adam, sentences: &Sequences) {
        let rows = Self::rows(sentences);
        adam.catch_up("entrance.table", &mut self.table, &rows);
        if let Some(low) = &mut self.low_rank {
            adam.catch_up("entrance.low_rank.rows", &mut low.rows, &rows);
        }
    }

    /// The rows of the table that sentences need, ascending.
    pub fn rows(sentences: &Sequences) -> Vec<u32> {
        distinct(&sentences.rows)
    }

    /// Token vectors of the tower's width (tokens, width), without positions. Each distinct token is projected once.
    pub(super) fn forward<T: Tape<f32, Dev> + 'static>(
        &self,
        sentences: &Sequences,
        pass: Pass,
    ) -> Matrix<T> {
        let rows = Self::rows(sentences);
        let vectors = lookup::<T>(&self.table, &rows);
        let vectors = match &self.low_rank {
            Some(low) => {
                let product = linear(lookup::<T>(&low.rows, &rows), &low.layer, pass.precision);
                blend(vectors, 1.0, product, 1.0)
            }
            None => vectors,
        };
        let vectors = match self.rows_trained() {
            true => linear(vectors, &self.layer, pass.precision),
            false => linear_of_data(vectors.split_tape().0, &self.layer, pass.precision),
        }; // (distinct, width)
        let place = |id: &u32| rows.binary_search(id).expect("a token of the sentences") as u32;
        let places: Vec<u32> = sentences.rows.iter().map(place).collect();
        select(vectors, &places)
    }

    /// Whether any of its leaves is trained.
    pub fn trained(&self) -> bool {
        self.rows_trained() || self.layer.rate.trained()
    }

    fn rows_trained(&self) -> bool {
        let low = |low: &LowRank| low.rows.rate.trained() || low.layer.rate.trained();
        self.table.rate.trained() || self.low_rank.as_ref().is_some_and(low)
    }
}

impl ParameterTree for InputEmbedding {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        f("entrance.table", Parameter::table(&mut self.table));
        if let Some(low) = &mut self.low_rank {
            f("entrance.low_rank.rows", Parameter::table(&mut low.rows));
            let LinearWeights { weight, rate, .. } = &mut low.layer;
            f("entrance.low_rank.weight", Parameter::matrix(weight, rate));
        }
        visit_linear("entrance.layer", &mut self.layer, f);
    }
}
