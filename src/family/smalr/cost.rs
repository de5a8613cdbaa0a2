//! What training costs, in multiply–adds of matrix products: what adding a language takes beside its base, and how long a trial may take.
//!
//! Counted are the encoder, the layers and the image branch, as if no two sentences shared a token: forward once,
//! once more for the gradient of the inputs, and once more for that of the weights, where they are computed. Losses,
//! validation, FastText and pretraining are left out.

use crate::config::{Config, Encoder};
use crate::family::smalr::embedding::Slot;

/// Multiply–adds so far, and the sentences that training saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    per_token: u64,
    per_sentence: u64,
    per_picture: u64,
    /// Multiply–adds.
    pub products: u64,
    /// Sentences that were trained on, each as often as it was shown.
    pub sentences: u64,
}

impl Cost {
    /// Nothing yet, of a model with picture features of this width.
    pub fn new(config: &Config, features: usize) -> Cost {
        let (text, width) = (config.text(), config.embedding().width);
        let (per_token, out) = match text.encoder {
            Encoder::Gru => (3 * text.hidden * (width + text.hidden), text.hidden),
            Encoder::Average => (0, width),
        };
        let out = out + if text.bag { width } else { 0 };
        let image = config.image().hidden * (features + text.joint);
        Cost {
            per_token: per_token as u64,
            per_sentence: (out * text.joint) as u64,
            per_picture: image as u64,
            products: 0,
            sentences: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn none() -> Cost {
        Cost { per_token: 0, per_sentence: 0, per_picture: 0, products: 0, sentences: 0 }
    }

    /// Pictures embedded.
    pub fn pictures(&mut self, count: usize) {
        self.products += count as u64 * self.per_picture;
    }

    /// Sentences embedded.
    pub fn sentences(&mut self, slots: &[Vec<Slot>]) {
        self.forward(slots.len(), slots.iter().map(Vec::len).sum(), 1);
    }

    /// `times` passes, forward or backward, over sentences with so many tokens.
    fn forward(&mut self, sentences: usize, tokens: usize, times: u64) {
        self.products += times * (tokens as u64 * self.per_token + sentences as u64 * self.per_sentence);
    }

    /// A step that trains through the frozen encoder.
    pub fn step(&mut self, sentences: usize, tokens: usize) {
        self.forward(sentences, tokens, 2);
        self.sentences += sentences as u64;
    }

    /// Sentences with so many tokens in all that training learns from beside captions.
    pub fn learnt(&mut self, sentences: usize, tokens: usize) {
        self.forward(sentences, tokens, 3);
        self.sentences += sentences as u64;
    }

    /// Sentences through an adapter of so many weights, whose gradient is computed.
    pub fn adapter(&mut self, sentences: usize, weights: usize) {
        self.products += 3 * (sentences * weights) as u64;
    }

    /// So many similarities with further pictures, and the gradient of the sentences.
    pub fn negatives(&mut self, similarities: usize, joint: usize) {
        self.products += 2 * (similarities * joint) as u64;
    }

    /// Words through a layer of so many weights, and back to them.
    pub fn words(&mut self, count: usize, weights: usize) {
        self.products += 2 * (count * weights) as u64;
    }

    /// Other products, by their multiply–adds.
    pub fn more(&mut self, products: u64) {
        self.products += products;
    }

    /// What `steps` steps of training take over the captions of some languages; `versions` of each sentence are read, masked ones included.
    pub fn of_training(
        config: &Config,
        features: usize,
        pictures: usize,
        languages: &[Spoken],
        versions: usize,
        steps: usize,
    ) -> Cost {
        let mut work = Cost::new(config, features);
        let train = config.train();
        let batch = train.images.min(pictures);
        for spoken in languages {
            let most = train.captions.get(spoken.language).copied().unwrap_or(1);
            let per_picture = (spoken.captions as f64 / pictures.max(1) as f64).min(most as f64);
            let sentences = per_picture * (batch * steps) as f64;
            let tokens = sentences * spoken.tokens as f64 / spoken.captions.max(1) as f64;
            work.forward(versions * sentences as usize, versions * tokens as usize, 3);
            work.sentences += sentences as u64;
        }
        // The features get no gradient.
        let (image, first) = (work.per_picture, (config.image().hidden * features) as u64);
        work.products += (batch * steps) as u64 * (3 * image - first);
        work
    }
}

/// What training sees of a language.
pub struct Spoken<'a> {
    /// Its code.
    pub language: &'a str,
    /// Training captions.
    pub captions: usize,
    /// Of all captions together.
    pub tokens: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;

    #[test]
    fn products_are_those_of_the_layers() {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into()];
        raw.data.captions.push(crate::config::CaptionSource {
            languages: vec!["en".into()],
            files: vec!["{split}".into()],
            ..Default::default()
        });
        (raw.embedding.width, raw.embedding.word_width) = (6, 3);
        (raw.text.hidden, raw.text.joint, raw.image.hidden) = (5, 4, 7);
        let mut work = Cost::new(&raw.check(".".into()).unwrap(), 10);
        // Three gates of a GRU from 6 and 5 to 5 numbers, and 5 to 4.
        let (token, sentence) = (3 * 5 * (6 + 5), 5 * 4);
        work.sentences(&[vec![Slot::Own(0), Slot::Own(1)], vec![Slot::Latent(0)]]);
        assert_eq!((work.products, work.sentences), (3 * token + 2 * sentence, 0));
        let before = work.products;
        work.step(2, 3);
        assert_eq!((work.products - before, work.sentences), (2 * (3 * token + 2 * sentence), 2));
        let before = work.products;
        work.pictures(3);
        assert_eq!(work.products - before, 3 * 7 * (10 + 4));
    }
}
