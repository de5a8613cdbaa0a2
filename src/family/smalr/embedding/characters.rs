//! Words from their characters (LIWE; Wehrmann et al., ICCV 2019): no word has parameters of its own, and none is unknown.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use dfdx::prelude::*;

use crate::config::{EmbeddingConfig, Precision};
use crate::device::{Dev, Matrix, Vector};
use crate::init::Init;
use crate::ops::batch_norm::{BatchNormWeights, batch_norm_leaky};
use crate::ops::leaf::{Leaf, Rate};
use crate::ops::linear::{LinearWeights, linear};
use crate::ops::rows::gather_concat;
use crate::ops::tape::{data, matrix, vector};
use crate::ops::weight_norm::weight_norm;
use crate::optim::{Parameter, ParameterTree, visit_batch_norm};

/// Codes of characters: 0 fills short words, 1 is any character that is not in the alphabet.
const FILL: u32 = 0;
const OTHER: u32 = 1;
const SPECIAL: usize = 2;

/// The characters of all languages, and the spellings of the words met so far: one row of codes a word, whatever its language.
pub struct Spellings {
    alphabet: Vec<char>,
    codes: HashMap<char, u32>,
    length: usize,
    met: RwLock<Met>,
}

#[derive(Default)]
struct Met {
    rows: HashMap<Vec<u32>, u32>,
    /// (words, length)
    codes: Vec<u32>,
}

impl Spellings {
    /// Of an alphabet without repeats; words are cut or filled to `length` characters.
    pub fn new(alphabet: Vec<char>, length: usize) -> Spellings {
        let codes = alphabet.iter().zip(SPECIAL as u32..).map(|(&c, code)| (c, code)).collect();
        Spellings { alphabet, codes, length, met: RwLock::default() }
    }

    /// The characters that occur at least `least` times in the given words, in the order of their code points.
    pub fn of<'w>(words: impl Iterator<Item = &'w str>, least: u64, length: usize) -> Spellings {
        let mut counts: BTreeMap<char, u64> = BTreeMap::new();
        words.flat_map(str::chars).for_each(|c| *counts.entry(c).or_default() += 1);
        counts.retain(|_, count| *count >= least);
        Self::new(counts.into_keys().collect(), length)
    }

    /// The characters that have codes of their own, in the order of these.
    pub fn alphabet(&self) -> &[char] {
        &self.alphabet
    }

    /// Characters with a vector: the alphabet and the two special ones.
    pub fn characters(&self) -> usize {
        self.alphabet.len() + SPECIAL
    }

    /// The row of a word. Words that are spelled alike, as far as the alphabet and the length go, share one.
    pub fn row(&self, word: &str) -> u32 {
        let code = |c| self.codes.get(&c).copied().unwrap_or(OTHER);
        let mut spelling: Vec<u32> = word.chars().take(self.length).map(code).collect();
        spelling.resize(self.length, FILL);
        const HELD: &str = "no thread panics while it holds the spellings";
        if let Some(&row) = self.met.read().expect(HELD).rows.get(&spelling) {
            return row;
        }
        let mut met = self.met.write().expect(HELD);
        let next = met.rows.len() as u32;
        let row = *met.rows.entry(spelling.clone()).or_insert(next);
        if row == next {
            met.codes.extend(spelling);
        }
        row
    }

    /// The codes of some rows, one after another: (rows, length).
    fn codes(&self, rows: &[u32]) -> Vec<u32> {
        let met = self.met.read().expect("no thread panics while it holds the spellings");
        rows.iter().flat_map(|&r| &met.codes[r as usize * self.length..][..self.length]).copied().collect()
    }
}

/// Character vectors beside each other, then layers with weight normalisation, batch normalisation and leaky ReLU; the last
/// gives the word's universal vector. Words count once a batch in the statistics, however often they occur.
#[derive(Clone)]
pub struct CharacterWords {
    /// The characters of each word that was read.
    pub spellings: Arc<Spellings>,
    /// (characters, character width)
    pub characters: Leaf<Matrix>,
    /// The first layer first; the last one's outputs are the universal vectors.
    pub layers: Vec<CharacterLayer>,
}

/// A layer: weight normalisation (Salimans & Kingma 2016), batch normalisation (Ioffe & Szegedy 2015), leaky ReLU of slope 0.1.
pub struct CharacterLayer {
    /// (outputs, inputs)
    pub directions: Matrix,
    /// (outputs)
    pub gains: Vector,
    /// (outputs)
    pub bias: Vector,
    /// Of directions, gains and bias.
    pub rate: Rate,
    /// Its running statistics move while the model is only read.
    norm: Mutex<BatchNormWeights>,
}

/// Slope of the leaky ReLU below 0.
const SLOPE: f32 = 0.1;
const HELD: &str = "no thread panics while it holds the statistics";

impl Clone for CharacterLayer {
    fn clone(&self) -> Self {
        CharacterLayer {
            directions: self.directions.clone(),
            gains: self.gains.clone(),
            bias: self.bias.clone(),
            rate: self.rate,
            norm: Mutex::new(self.norm.lock().expect(HELD).clone()),
        }
    }
}

impl CharacterLayer {
    /// Starts as PyTorch's layers do: gains are the lengths of the directions.
    fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        let LinearWeights { weight, bias, rate } = init.linear(inputs, outputs);
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
        let gains = vector(data(&weight).chunks(inputs).map(length).collect());
        let norm = Mutex::new(BatchNormWeights::new(outputs));
        CharacterLayer { directions: weight, gains, bias, rate, norm }
    }

    /// (words, inputs) → (words, outputs)
    fn forward<T: Tape<f32, Dev> + 'static>(&self, x: Matrix<T>, precision: Precision) -> Matrix<T> {
        let directions = self.directions.clone();
        let (weight, weight_tape) = match self.rate.trained() {
            true => weight_norm(directions.put_tape(T::default()), &self.gains).split_tape(),
            false => (weight_norm(directions, &self.gains), T::default()),
        };
        let (x, tape) = x.split_tape();
        let layer = LinearWeights { weight, bias: self.bias.clone(), rate: self.rate };
        let x = linear(x.put_tape(tape.merge(weight_tape)), &layer, precision);
        batch_norm_leaky(x, &mut self.norm.lock().expect(HELD), SLOPE)
    }
}

impl CharacterWords {
    /// As it starts: character vectors (characters, character width) of unit variance, and layers whose outputs are `characters.hidden` and,
    /// last, the universal `width`.
    pub fn new(config: &EmbeddingConfig, spellings: Arc<Spellings>, init: &mut Init) -> Self {
        let (count, width) = (spellings.characters(), config.characters.width);
        // Of unit variance, as PyTorch's embeddings are.
        let characters = Leaf::trained(matrix(init.uniform(count * width, 3f32.sqrt()), count, width));
        let mut layers = Vec::new();
        let mut inputs = width * spellings.length;
        for &outputs in config.characters.hidden.iter().chain([&config.width]) {
            layers.push(CharacterLayer::new(inputs, outputs, init));
            inputs = outputs;
        }
        CharacterWords { spellings, characters, layers }
    }

    /// The vectors of some rows of the spellings: (rows, width). With a tape the running statistics move.
    pub fn forward<T: Tape<f32, Dev> + 'static>(&self, rows: &[u32], precision: Precision) -> Matrix<T> {
        let codes = self.spellings.codes(rows);
        let spelled = gather_concat(self.characters.on_tape(), &codes, self.spellings.length); // (rows, length · character width)
        self.layers.iter().fold(spelled, |x, layer| layer.forward(x, precision))
    }
}

impl ParameterTree for CharacterWords {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        let Leaf { value, rate } = &mut self.characters;
        f("embedding.characters.table", Parameter::matrix(value, rate));
        for (n, layer) in self.layers.iter_mut().enumerate() {
            let name = |part: &str| format!("embedding.characters.{n}.{part}");
            f(&name("directions"), Parameter::matrix(&mut layer.directions, &mut layer.rate));
            f(&name("gains"), Parameter::vector(&mut layer.gains, &mut layer.rate));
            f(&name("bias"), Parameter::vector(&mut layer.bias, &mut layer.rate));
            visit_batch_norm(&name("norm"), layer.norm.get_mut().expect(HELD), f);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CharactersConfig;
    use crate::gradcheck::{matrix_gradient, probe};

    #[test]
    fn the_alphabet_holds_what_is_frequent() {
        let spellings = Spellings::of(["hund", "hut", "ñu", "狗狗狗"].into_iter(), 2, 4);
        assert_eq!(spellings.alphabet(), ['h', 'u', '狗']);
        assert_eq!(spellings.characters(), 5);
    }

    #[test]
    fn words_spelled_alike_share_a_row() {
        let spellings = Spellings::new(vec!['a', 'b'], 3);
        let rows: Vec<u32> =
            ["ab", "aab", "ab", "aabz", "xb", "yb", ""].iter().map(|w| spellings.row(w)).collect();
        assert_eq!(rows, [0, 1, 0, 1, 2, 2, 3]);
        assert_eq!(spellings.codes(&[2, 0]), [OTHER, 3, FILL, 2, 3, FILL]);
    }

    #[test]
    fn every_parameter_has_its_gradient() {
        let config = EmbeddingConfig {
            width: 5,
            characters: CharactersConfig { width: 3, hidden: vec![6], ..Default::default() },
            ..Default::default()
        };
        let spellings = Arc::new(Spellings::new("abcdefgh".chars().collect(), 4));
        let rows: Vec<u32> =
            ["ab", "hgfe", "cab", "fed", "dab", "ax"].iter().map(|w| spellings.row(w)).collect();
        let words = CharacterWords::new(&config, spellings, &mut Init::new(3));
        let value = |w: &CharacterWords| {
            probe(w.clone().forward::<OwnedTape<f32, Dev>>(&rows, Precision::F32)).array()
        };
        let grads = probe(words.clone().forward::<OwnedTape<f32, Dev>>(&rows, Precision::F32)).backward();
        let near = 3e-2;
        matrix_gradient("characters", &words.characters.value, &grads, 1e-3, near, |m| {
            value(&CharacterWords { characters: Leaf::trained(m.clone()), ..words.clone() })
        });
        for n in 0..2 {
            matrix_gradient("directions", &words.layers[n].directions, &grads, 1e-3, near, |m| {
                let mut words = words.clone();
                words.layers[n].directions = m.clone();
                value(&words)
            });
        }
    }
}
