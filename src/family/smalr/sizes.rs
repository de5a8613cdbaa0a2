//! What a model of words holds, counted from its configuration: nothing is made, so any size can be asked for.

use crate::config::{Config, EmbeddingKind, Encoder, MaskedEncoder, PictureBranch};
use crate::family::smalr::embedding::Lexicon;
use crate::family::smalr::text::TextEncoder;

/// What a model takes from its words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WordSizes {
    /// Words with vectors of their own, by language.
    pub own: Vec<usize>,
    /// How many latent tokens there are.
    pub latents: usize,
    /// Width of the FastText vectors.
    pub vectors: usize,
    /// Characters, where words are made of them.
    pub characters: Option<usize>,
}

impl WordSizes {
    /// Those of a lexicon; `vectors` is the width of the FastText vectors.
    pub fn of(lexicon: &Lexicon, vectors: usize) -> WordSizes {
        WordSizes {
            own: (0..lexicon.languages.len()).map(|l| lexicon.own(l)).collect(),
            latents: lexicon.latents,
            vectors,
            characters: lexicon.spellings.as_ref().map(|s| s.characters()),
        }
    }
}

/// A part of a model. Numbers have 128 bits: whatever a file says, they do not overflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// As the names of its parameters begin.
    pub name: &'static str,
    /// The key that it grows with most.
    pub key: &'static str,
    /// Numbers that are trained.
    pub trained: u128,
    /// Numbers that are only stored.
    pub fixed: u128,
}

/// All parts of a model; `features` is the width of the picture features.
pub fn parts(config: &Config, words: &WordSizes, features: usize) -> Vec<Part> {
    let (e, text, loss) = (config.embedding(), config.text(), config.loss());
    let [width, joint, hidden, features] = [e.width, text.joint, config.image().hidden, features].map(wide);
    let mut parts = Vec::new();
    let mut add = |name, key, trained, fixed| {
        if trained + fixed > 0 {
            parts.push(Part { name, key, trained, fixed });
        }
    };
    add("embedding.latent", "embedding.latents", wide(words.latents) * width, 0);
    if let (Some(count), EmbeddingKind::Characters) = (words.characters, e.kind) {
        let (trained, fixed) = characters(config, count);
        add("embedding.characters", "embedding.characters.hidden", trained, fixed);
    }
    let (mut trained, mut fixed) = (0, 0);
    for (&rows, language) in words.own.iter().zip(&config.data().languages).filter(|(rows, _)| **rows > 0) {
        let word_width = match config.added().get(language) {
            Some(added) => added.word_width,
            None if e.word_width == 0 => words.vectors,
            None => e.word_width,
        };
        let vectors = wide(rows) * wide(word_width);
        trained += linear(wide(word_width), width) + if e.train_words { vectors } else { 0 };
        fixed += if e.train_words { 0 } else { vectors };
        fixed += if loss.word_drift > 0.0 { vectors } else { 0 };
    }
    add("embedding.words", "embedding.top_k", trained, fixed);
    add("embedding.mask", "embedding.width", if loss.mclm.lstm > 0.0 { width } else { 0 }, 0);
    let (state, pooled) = (wide(text.hidden), wide(TextEncoder::pooled(text, e.width)));
    let gru = if text.encoder == Encoder::Gru { recurrent(3, width, state) } else { 0 };
    let output = if text.projection { linear(pooled, joint) } else { 0 };
    let rank = |language| config.added().get(language).map_or(0, |added| added.rank);
    let ranks = config.data().languages.iter().map(rank).map(wide).filter(|&rank| rank > 0);
    let adapters: u128 = ranks.map(|rank| linear(pooled, rank) + linear(rank, joint)).sum();
    add("text", "text.hidden", gru * (1 + u128::from(text.bidirectional)) + output + adapters, 0);
    if config.image().branch == PictureBranch::Layers {
        let (layers, buffers) =
            (linear(features, hidden) + 2 * hidden + linear(hidden, joint), 2 * hidden + 2 * features);
        let trained = if config.teacher().pictures { 0 } else { layers };
        add("image", "image.hidden", trained, layers - trained + buffers);
    }
    let own = loss.mclm.encoder == MaskedEncoder::Own;
    let (heads, encoder) =
        ([2 * width, 2 * joint].map(|n| linear(n, n)), recurrent(4, width, width) + linear(width, width));
    let with = |holds: bool, numbers: u128| if holds { numbers } else { 0 };
    let average = with(loss.mclm.average > 0.0, heads[0] + with(own, heads[1]));
    let lstm = with(loss.mclm.lstm > 0.0, heads[1] + with(own, heads[0] + encoder));
    add("mclm", "embedding.width", average + lstm, 0);
    let classes = config.data().languages.iter().filter(|l| !config.added().contains_key(*l)).count();
    let adversary = if loss.adversary.weight > 0.0 { linear(width, wide(classes)) } else { 0 };
    add("adversary", "embedding.width", adversary, 0);
    parts
}

fn characters(config: &Config, count: usize) -> (u128, u128) {
    let e = config.embedding();
    let (mut trained, mut fixed) = (wide(count) * wide(e.characters.width), 0);
    let mut inputs = wide(e.characters.width) * wide(e.characters.length);
    for &outputs in e.characters.hidden.iter().chain([&e.width]) {
        let outputs = wide(outputs);
        // Directions, gains and bias; scale and shift of the norm, and its statistics.
        trained += outputs * inputs + 4 * outputs;
        fixed += 2 * outputs;
        inputs = outputs;
    }
    (trained, fixed)
}

fn wide(n: usize) -> u128 {
    n as u128
}

fn linear(inputs: u128, outputs: u128) -> u128 {
    outputs * (inputs + 1)
}

fn recurrent(gates: u128, inputs: u128, hidden: u128) -> u128 {
    gates * hidden * (inputs + hidden + 2)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::RawConfig;
    use crate::family::smalr::embedding::Slot;
    use crate::family::smalr::embedding::characters::Spellings;
    use crate::family::smalr::folder::empty_embedding;
    use crate::family::smalr::model::Model;
    use crate::optim::ParameterTree;
    use crate::words::Vocabulary;

    /// Counts a model of 3 languages, 9 words each, in both ways.
    fn counted(change: impl FnOnce(&mut RawConfig)) {
        let mut raw = RawConfig::default();
        raw.data.languages = ["en", "de", "zh"].map(String::from).to_vec();
        raw.data.captions.push(crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        });
        (raw.embedding.top_k, raw.embedding.width, raw.embedding.word_width) = (4, 7, 5);
        (raw.words.fasttext.width, raw.text.hidden, raw.text.joint, raw.image.hidden) = (6, 9, 8, 11);
        change(&mut raw);
        let config = raw.check(".".into()).expect("a good configuration");
        let sentence: Vec<String> = ('a'..='i').map(String::from).collect();
        let words = Vocabulary::build([&sentence[..]].into_iter(), 1);
        let e = config.embedding();
        let slot = |w: usize| if w < e.top_k { Slot::Own(w as u32) } else { Slot::Latent(w as u32 % 3) };
        let mut lexicon = Lexicon {
            languages: config.data().languages.clone(),
            vocabularies: vec![words; 3],
            slots: vec![(0..9).map(slot).collect(); 3],
            latents: 3,
            translations: None,
            spellings: None,
        };
        if e.kind == EmbeddingKind::Characters {
            let spellings = Spellings::new("abc".chars().collect(), e.characters.length);
            (lexicon.latents, lexicon.spellings) = (0, Some(Arc::new(spellings)));
            lexicon.slots = vec![Vec::new(); 3];
        }
        let mut model = Model::new(&config, empty_embedding(&config, &lexicon, 6), 13, 0);
        let (mut stored, trained) = (0, model.parameter_counts().0 as u128);
        model.visit(&mut |_, x| stored += x.count() as u128);
        let parts = parts(&config, &WordSizes::of(&lexicon, 6), 13);
        assert_eq!(parts.iter().map(|p| p.trained).sum::<u128>(), trained, "{parts:?}");
        assert_eq!(parts.iter().map(|p| p.trained + p.fixed).sum::<u128>(), stored, "{parts:?}");
    }

    #[test]
    fn what_is_counted_is_what_models_hold() {
        counted(|_| ());
        counted(|raw| (raw.embedding.word_width, raw.embedding.train_words) = (0, false));
        counted(|raw| raw.embedding.top_k = 0);
        counted(|raw| (raw.text.bidirectional, raw.text.bag, raw.loss.word_drift) = (true, true, 0.1));
        counted(|raw| (raw.loss.mclm.average, raw.loss.adversary.weight) = (0.1, 0.1));
        counted(|raw| {
            (raw.loss.mclm.average, raw.loss.mclm.lstm) = (0.1, 0.1);
            raw.loss.mclm.encoder = MaskedEncoder::Branch;
        });
        counted(|raw| raw.image.branch = PictureBranch::Given);
        counted(|raw| (raw.teacher.run, raw.teacher.pictures) = (Some("/run".into()), true));
        counted(|raw| {
            raw.loss.mclm.lstm = 0.1;
            (raw.text.encoder, raw.text.projection, raw.text.joint) = (Encoder::Average, false, 7);
        });
        counted(|raw| {
            (raw.embedding.kind, raw.embedding.characters.hidden) = (EmbeddingKind::Characters, vec![10, 12]);
            raw.embedding.top_k = 0;
        });
    }

    #[test]
    fn any_size_is_counted() {
        let mut raw = RawConfig::default();
        raw.data.languages = vec!["en".into()];
        raw.data.captions.push(crate::config::CaptionSource {
            languages: raw.data.languages.clone(),
            files: vec!["{split}.{language}".into()],
            ..Default::default()
        });
        let config = raw.check(".".into()).expect("a good configuration");
        let most = WordSizes { own: vec![usize::MAX], latents: usize::MAX, vectors: 300, characters: None };
        let all: u128 = parts(&config, &most, usize::MAX).iter().map(|p| p.trained + p.fixed).sum();
        assert!(all > usize::MAX as u128);
    }
}
