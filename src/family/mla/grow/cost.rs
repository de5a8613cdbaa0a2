//! What an acquisition costs, in multiply–adds of matrix products.
//!
//! Counted are blocks, acquirers, the entrance's layer and the projection, as if no two sentences shared a token: forward once,
//! once more for the gradient of the inputs, and once more for that of the weights, where they are computed; and the teachers'
//! vectors. Losses and validation are left out, and what is computed a second time to save memory.

use crate::family::mla::data::{Pairs, Translations};
use crate::family::mla::learner::StagePasses;
use crate::family::mla::{Acquirer, Encoder, Mla, Way};
use crate::ops::sequences::Sequences;
use crate::tower::Tower;

/// Multiply–adds, and the sentences that training saw.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    pub products: u64,
    /// Each as often as it was shown.
    pub sentences: u64,
}

/// Sentences, by what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Lengths {
    sentences: f64,
    tokens: f64,
    /// Pairs of tokens that see each other.
    pairs: f64,
}

impl Lengths {
    fn of(sentences: &Sequences, tower: &Tower) -> Lengths {
        let lengths = (0..sentences.len()).map(|s| sentences.length(s) as f64);
        let pairs = |n: f64| match tower.config.architecture.causal() {
            true => n * (n + 1.0) / 2.0,
            false => n * n,
        };
        Lengths {
            sentences: sentences.len() as f64,
            tokens: sentences.rows.len() as f64,
            pairs: lengths.map(pairs).sum(),
        }
    }

    /// So many sentences of this mean.
    fn shown(self, sentences: f64) -> Lengths {
        let share = sentences / self.sentences.max(1.0);
        Lengths { sentences, tokens: self.tokens * share, pairs: self.pairs * share }
    }
}

/// Multiply–adds of all blocks of a tower.
fn blocks(tower: &Tower, of: Lengths) -> f64 {
    let (width, hidden) = (tower.config.width as f64, tower.config.hidden as f64);
    let layers = tower.config.layers as f64;
    layers * (of.tokens * (4.0 * width * width + 2.0 * width * hidden) + of.pairs * 2.0 * width)
}

/// Those of steps in which a language's sentences are shown.
fn steps(mla: &Mla, of: Lengths) -> f64 {
    let body = mla.body();
    let (width, layers, joint) = (body.config.width as f64, body.config.layers as f64, mla.joint() as f64);
    let acquirers = of.tokens * mla.acquirers.last().map_or(0, Acquirer::weights) as f64;
    let (tower, out) = (blocks(body, of), of.sentences * width * joint);
    let (entrance, bert) = match &mla.encoder {
        Encoder::Tower(entrance) => (of.tokens * entrance.table.width as f64 * width, false),
        Encoder::Bert(_) => (0.0, true),
    };
    let layer = match &mla.encoder {
        Encoder::Tower(entrance) => entrance.layer.rate.trained(),
        Encoder::Bert(bert) => bert.layer.rate.trained(),
    };
    let weights = match (layer, bert) {
        (false, _) => 0.0,
        (true, true) => out,
        (true, false) => 2.0 * entrance,
    };
    // What stands before the first acquirer gets no gradient where nothing of it is trained.
    let through = mla.trained_before_acquirers();
    let back = if through { tower } else { tower * (layers - 1.0) / layers };
    tower + back + 3.0 * acquirers + 2.0 * out + entrance + weights
}

impl Cost {
    /// The teachers' vectors, each computed once.
    pub fn of_teachers(mla: &Mla, translations: &Translations) -> Cost {
        let each = |(teacher, ids): &(Way, Sequences)| {
            let tower = if *teacher == Way::Tower { &mla.tower } else { mla.body() };
            blocks(tower, Lengths::of(ids, tower))
        };
        let products = translations.known(mla).iter().map(each).sum::<f64>();
        Cost { products: products as u64, sentences: 0 }
    }

    /// The first `done` steps of stages one after the other.
    pub fn of_stages(mla: &Mla, stages: &[StagePasses], done: usize) -> Cost {
        let (mut work, mut left) = (Cost::default(), done);
        for StagePasses { data, epochs, batch } in stages {
            let count = left.min(epochs * data[0].steps_per_epoch(*batch));
            left -= count;
            for data in data {
                // Languages take turns.
                let each = (count * batch) as f64 / data.languages.len() as f64;
                let of = |pairs: &Pairs| steps(mla, Lengths::of(&pairs.sentences, mla.body()).shown(each));
                work.products += data.languages.iter().map(of).sum::<f64>() as u64;
                work.sentences += (count * batch) as u64;
            }
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AcquirerShape;
    use crate::family::mla::data::StageData;
    use crate::family::mla::tests::model;
    use crate::optim::freeze;

    /// The tiny tower has 3 blocks of width 16, 24 wide between layers, and 12 joint numbers; the embedding 16.
    #[test]
    fn products_are_those_of_the_layers() {
        let mut mla = model(&["de"], AcquirerShape::Mlp);
        let mut sentences = Sequences::new();
        sentences.push([2, 7, 3]);
        let pairs = Pairs::new(sentences, vec![0]);
        let data = StageData { languages: vec![pairs], vectors: Vec::new(), truncated: 0 };
        let blocks = 3 * (3 * (4 * 16 * 16 + 2 * 16 * 24) + 6 * 2 * 16);
        let (acquirers, entrance, out) = (3 * 3 * 2 * 16 * 5, 3 * 16 * 16, 16 * 12);
        let stage = |data, epochs| StagePasses { data, epochs, batch: 1 };
        let whole = Cost::of_stages(&mla, &[stage(vec![&data], 9)], 4);
        assert_eq!(whole.sentences, 4);
        assert_eq!(whole.products, 4 * (2 * blocks + 3 * acquirers + 3 * entrance + 2 * out));
        freeze(&mut mla, |name| !name.starts_with("acquirer."));
        let alone = Cost::of_stages(&mla, &[stage(vec![&data], 9)], 4);
        assert_eq!(alone.products, 4 * (blocks + blocks / 3 * 2 + 3 * acquirers + entrance + 2 * out));
        // No more than there are.
        let stages = [stage(vec![&data], 2), stage(vec![&data], 3)];
        assert_eq!(Cost::of_stages(&mla, &stages, 99).sentences, 5);
        // Captions and translations in one stage.
        let both = Cost::of_stages(&mla, &[stage(vec![&data, &data], 9)], 4);
        assert_eq!((both.sentences, both.products), (2 * alone.sentences, 2 * alone.products));
    }
}
