//! The rules a configuration must keep beyond the types of its keys. All broken ones are reported at once.

mod acquire;
mod contrastive;
mod data;
mod teacher;
#[cfg(test)]
mod tests;
mod tower;

use super::family::FamilyName;
use super::problem::{Fault, Problem};
use super::sections::*;

/// Wider layers than this are a slip of the finger, and would ask for more memory than there is.
const WIDEST: usize = 1 << 16;
/// Words and n-grams are counted in 32 bits.
const MOST_ROWS: usize = i32::MAX as usize;
/// Rows that are made whatever the data are: so many n-grams or latent tokens no machine holds.
const MOST_MADE: usize = 100_000_000;
/// Passes over data, and items of a batch: more than this is a slip of the finger.
const MOST_OFTEN: usize = 1_000_000;

/// Every broken rule of `raw`, section by section.
pub(super) fn broken(raw: &RawConfig) -> Vec<Problem> {
    let mut rules = Rules(Vec::new());
    // TOML's integers have 64 bits with a sign; a larger seed could not be written down again.
    rules.at_most("seed", raw.seed as usize, i64::MAX as usize);
    let lacking = captions_may_lack(raw);
    data::data(&raw.data, &lacking, raw.loss.teacher.is_on(), &mut rules);
    words(&raw.words, &mut rules);
    fasttext(&raw.words.fasttext, &mut rules);
    dictionary(&raw.words, &raw.data, &mut rules);
    let value = raw.words.translate_below;
    let words = value == 0 || raw.embedding.kind == EmbeddingKind::Hybrid;
    rules.need(words, "words.translate_below", Fault::NoVocabulary { value });
    embedding(&raw.embedding, &raw.words, &mut rules);
    characters(&raw.embedding.characters, &mut rules);
    text(&raw.text, &raw.embedding, &mut rules);
    image(&raw.image, &mut rules);
    loss(&raw.loss, &mut rules);
    word_drift(&raw.loss, &raw.embedding, &mut rules);
    between_languages(&raw.loss, raw.data.languages.len(), &mut rules);
    pairs(raw, &mut rules);
    train(&raw.train, &raw.data, &mut rules);
    consistency(&raw.consistency, &mut rules);
    grow(&raw.grow, &mut rules);
    teacher::teacher(raw, &mut rules);
    tower::tower(raw, &mut rules);
    acquire::acquire(raw, &mut rules);
    contrastive::contrastive(raw, &mut rules);
    raw.added.keys().for_each(|language| data::code("added", language, &mut rules));
    rules.0
}

/// Collects what is broken. Each method is one kind of rule.
struct Rules(Vec<Problem>);

impl Rules {
    fn need(&mut self, holds: bool, key: &str, fault: Fault) -> bool {
        if !holds {
            self.0.push(Problem::new(key, fault));
        }
        holds
    }

    fn at_least(&mut self, key: &str, value: usize, least: usize) {
        self.need(value >= least, key, Fault::TooSmall { value, least });
    }

    fn at_most(&mut self, key: &str, value: usize, most: usize) {
        self.need(value <= most, key, Fault::TooLarge { value, most });
    }

    /// A number of passes or of items of a batch.
    fn times(&mut self, key: &str, value: usize, least: usize) {
        self.at_least(key, value, least);
        self.at_most(key, value, MOST_OFTEN);
    }

    /// A width of a layer: 1 or more, and one that fits into memory.
    fn width(&mut self, key: &str, value: usize) {
        self.at_least(key, value, 1);
        self.at_most(key, value, WIDEST);
    }

    fn finite(&mut self, key: &str, value: f32) -> bool {
        self.need(value.is_finite(), key, Fault::NotFinite { value })
    }

    fn positive(&mut self, key: &str, value: f32) {
        if self.finite(key, value) {
            self.need(value > 0.0, key, Fault::NotPositive { value });
        }
    }

    fn not_negative(&mut self, key: &str, value: f32) {
        if self.finite(key, value) {
            self.need(value >= 0.0, key, Fault::Negative { value });
        }
    }

    /// A probability or decay in [0, 1).
    fn share(&mut self, key: &str, value: f32) {
        if self.finite(key, value) {
            self.need((0.0..1.0).contains(&value), key, Fault::NotAShare { value });
        }
    }
}

fn words(words: &WordsConfig, rules: &mut Rules) {
    let by_tokenizer = words.segmenter == SegmenterKind::Tokenizer;
    rules.need(!by_tokenizer || words.tokenizer.is_some(), "words.tokenizer", Fault::TokenizerMissing);
    rules.need(by_tokenizer || words.tokenizer.is_none(), "words.tokenizer", Fault::TokenizerUnused);
    if let Some(file) = &words.tokenizer {
        data::unicode("words.tokenizer", file, rules);
    }
    rules.at_least("words.max_tokens", words.max_tokens, 1);
    rules.at_least("words.min_count", words.min_count as usize, 1);
    if let Some(file) = &words.vectors {
        let packed = [".gz", ".bz2", ".xz", ".zip"].iter().any(|ending| file.ends_with(ending));
        rules.need(!packed, "words.vectors", Fault::PackedVectors { file: file.clone() });
        data::placeholders("words.vectors", file, &["language"], rules);
    }
}

fn dictionary(words: &WordsConfig, data: &DataConfig, rules: &mut Rules) {
    let (used, given) = (words.translate_below > 0, data.dictionary.is_some());
    rules.need(given || !used, "data.dictionary", Fault::DictionaryMissing);
    rules.need(used || !given, "data.dictionary", Fault::DictionaryUnused);
    if let Some(file) = &data.dictionary {
        data::placeholders("data.dictionary", file, &["language"], rules);
        let apart = data.languages.len() < 3 || file.contains("{language}");
        rules.need(apart, "data.dictionary", Fault::NoLanguageInPath { file: file.clone() });
    }
    let language = &words.translate_into;
    let known = !used || data.languages.contains(language);
    rules.need(known, "words.translate_into", Fault::NoSuchLanguage { language: language.clone() });
}

fn fasttext(fasttext: &FastTextConfig, rules: &mut Rules) {
    rules.width("words.fasttext.width", fasttext.width);
    rules.times("words.fasttext.epochs", fasttext.epochs, 1);
    rules.positive("words.fasttext.learning_rate", fasttext.learning_rate as f32);
    rules.times("words.fasttext.window", fasttext.window, 1);
    rules.times("words.fasttext.negatives", fasttext.negatives, 1);
    let subsample = fasttext.subsample as f32;
    if rules.finite("words.fasttext.subsample", subsample) {
        let share = subsample > 0.0 && subsample <= 1.0;
        rules.need(share, "words.fasttext.subsample", Fault::NotAPositiveShare { value: subsample });
    }
    rules.at_least("words.fasttext.min_count", fasttext.min_count as usize, 1);
    rules.at_most("words.fasttext.min_count", fasttext.min_count as usize, MOST_ROWS);
    let (shortest, longest) = (fasttext.min_ngram, fasttext.max_ngram);
    if longest > 0 {
        // Both 0 leave n-grams out.
        rules.at_least("words.fasttext.min_ngram", shortest, 1);
    }
    rules.at_most("words.fasttext.max_ngram", longest, WIDEST);
    rules.need(longest >= shortest, "words.fasttext.max_ngram", Fault::NgramsReversed { shortest, longest });
    rules.at_least("words.fasttext.buckets", fasttext.buckets, 1);
    rules.at_most("words.fasttext.buckets", fasttext.buckets, MOST_MADE);
}

fn embedding(embedding: &EmbeddingConfig, words: &WordsConfig, rules: &mut Rules) {
    rules.at_most("embedding.top_k", embedding.top_k, MOST_ROWS);
    let (word_width, vectors) = (embedding.word_width, words.fasttext.width);
    // The width of ready vectors stands in their file.
    let fits = words.vectors.is_some() || word_width <= vectors;
    rules.need(fits, "embedding.word_width", Fault::WiderThanVectors { word_width, vectors });
    rules.at_most("embedding.word_width", word_width, WIDEST);

    let alone = embedding.unseen == Unseen::Drop && embedding.top_k > 0;
    rules.need(embedding.latents > 0 || alone, "embedding.latents", Fault::NoLatents);
    rules.at_most("embedding.latents", embedding.latents, MOST_MADE);
    rules.width("embedding.width", embedding.width);
    rules.positive("embedding.norm", embedding.norm);
    rules.times("embedding.align.epochs", embedding.align.epochs, 0);
    rules.positive("embedding.align.learning_rate", embedding.align.learning_rate);
    rules.not_negative("embedding.align.second_anchor", embedding.align.second_anchor);

    let pretrain = &embedding.pretrain;
    rules.times("embedding.pretrain.epochs", pretrain.epochs, 0);
    rules.positive("embedding.pretrain.learning_rate", pretrain.learning_rate);
    rules.not_negative("embedding.pretrain.second_anchor", pretrain.second_anchor);
    rules.share("embedding.pretrain.exploration", pretrain.exploration);
    let (top_m, latents) = (pretrain.top_m, embedding.latents);
    rules.at_least("embedding.pretrain.top_m", top_m, 1);
    let enough = top_m <= latents || latents == 0;
    rules.need(enough, "embedding.pretrain.top_m", Fault::MoreBestThanLatents { top_m, latents });
    rules.positive("embedding.pretrain.temperature", pretrain.temperature);
}

fn characters(characters: &CharactersConfig, rules: &mut Rules) {
    rules.width("embedding.characters.width", characters.width);
    rules.width("embedding.characters.length", characters.length);
    rules.at_least("embedding.characters.min_count", characters.min_count as usize, 1);
    for &width in &characters.hidden {
        rules.width("embedding.characters.hidden", width);
    }
}

fn text(text: &TextConfig, embedding: &EmbeddingConfig, rules: &mut Rules) {
    let gru = text.encoder == Encoder::Gru;
    let both = !text.bidirectional || (gru && text.pooling != Pooling::Max);
    rules.need(both, "text.bidirectional", Fault::NotBidirectional);
    let state = if gru { text.hidden } else { embedding.width };
    let (pooled, joint) = (state + if text.bag { embedding.width } else { 0 }, text.joint);
    rules.need(
        text.projection || pooled == joint,
        "text.projection",
        Fault::ProjectionMissing { pooled, joint },
    );
    rules.width("text.hidden", text.hidden);
    rules.width("text.joint", text.joint);
    rules.share("text.word_dropout", text.word_dropout);
    rules.share("text.dropout", text.dropout);
}

fn image(image: &ImageConfig, rules: &mut Rules) {
    rules.width("image.hidden", image.hidden);
    rules.share("image.dropout", image.dropout);
    rules.share("image.input_dropout", image.input_dropout);
}

fn loss(loss: &LossConfig, rules: &mut Rules) {
    let LossConfig { triplet, info_nce, neighbourhood, pairs, mclm, adversary, .. } = loss;
    rules.not_negative("loss.triplet.weight", triplet.weight);
    rules.positive("loss.triplet.margin", triplet.margin);
    rules.at_least("loss.triplet.top_n", triplet.top_n, 1);
    rules.not_negative("loss.triplet.sentence_anchor", triplet.sentence_anchor);
    rules.share("loss.triplet.beta", triplet.beta);
    rules.share("loss.triplet.text_beta", triplet.text_beta);

    rules.not_negative("loss.info_nce.weight", info_nce.weight);
    rules.positive("loss.info_nce.temperature", info_nce.temperature);
    rules.share("loss.info_nce.label_smoothing", info_nce.label_smoothing);
    rules.not_negative("loss.info_nce.text_weight", info_nce.text_weight);
    rules.positive("loss.info_nce.text_temperature", info_nce.text_temperature);

    rules.not_negative("loss.neighbourhood.words", neighbourhood.words);
    rules.not_negative("loss.neighbourhood.sentences", neighbourhood.sentences);
    rules.not_negative("loss.neighbourhood.within", neighbourhood.within);

    rules.not_negative("loss.pairs.weight", pairs.weight);
    rules.positive("loss.pairs.temperature", pairs.temperature);
    rules.share("loss.pairs.label_smoothing", pairs.label_smoothing);

    rules.not_negative("loss.mclm.average", mclm.average);
    rules.not_negative("loss.mclm.lstm", mclm.lstm);
    if rules.finite("loss.mclm.mask", mclm.mask) {
        let proper = mclm.mask > 0.0 && mclm.mask < 1.0;
        rules.need(proper, "loss.mclm.mask", Fault::NotAProperShare { value: mclm.mask });
    }
    rules.not_negative("loss.mclm.masked_triplet", mclm.masked_triplet);

    rules.not_negative("loss.adversary.weight", adversary.weight);
    rules.not_negative("loss.adversary.reversal", adversary.reversal);
    rules.not_negative("loss.word_drift", loss.word_drift);

    let pictures = triplet.weight != 0.0 || info_nce.weight != 0.0 || mclm.masked_triplet != 0.0;
    // Of a teacher whose space has pictures in it, sentences alone may be learnt.
    let joined = pictures || loss.teacher.is_on();
    rules.need(joined, "loss.triplet.weight", Fault::NoImageTextLoss);
}

fn word_drift(loss: &LossConfig, embedding: &EmbeddingConfig, rules: &mut Rules) {
    let words = embedding.kind == EmbeddingKind::Hybrid && embedding.top_k > 0;
    let trained = words && embedding.train_words;
    let value = loss.word_drift;
    rules.need(trained || value == 0.0, "loss.word_drift", Fault::NoTrainedWords { value });
}

/// Losses that compare languages; with one language they would do nothing, unnoticed.
fn between_languages(loss: &LossConfig, languages: usize, rules: &mut Rules) {
    if languages != 1 {
        return;
    }
    for (key, value) in [
        ("loss.info_nce.text_weight", loss.info_nce.text_weight),
        ("loss.neighbourhood.words", loss.neighbourhood.words),
        ("loss.neighbourhood.sentences", loss.neighbourhood.sentences),
        ("loss.pairs.weight", loss.pairs.weight),
        ("loss.mclm.average", loss.mclm.average),
        ("loss.mclm.lstm", loss.mclm.lstm),
        ("loss.adversary.weight", loss.adversary.weight),
    ] {
        rules.need(value <= 0.0 || !value.is_finite(), key, Fault::OneLanguage { value });
    }
}

/// Sentence pairs and the loss that reads them come together. Which families have such a loss, [`super::family`] says.
fn pairs(raw: &RawConfig, rules: &mut Rules) {
    let (value, given) = (raw.loss.pairs.weight, !raw.data.pairs.is_empty());
    let lines = raw.embedding.pairs;
    rules.at_most("embedding.pairs", lines, MOST_ROWS);
    if raw.inferred_family() == FamilyName::Smalr {
        let taught = raw.loss.teacher.is_on();
        rules.need(value != 0.0 || lines > 0 || taught || !given, "loss.pairs.weight", Fault::PairsUnused);
        rules.need(given || lines == 0, "embedding.pairs", Fault::NoPairs { value: lines as f32 });
        rules.need(
            given || value <= 0.0 || !value.is_finite(),
            "loss.pairs.weight",
            Fault::NoPairs { value },
        );
    }
    // A pair needs a wrong one beside it.
    rules.times("train.pairs.lines", raw.train.pairs.lines, 2);
    rules.not_negative("train.pairs.temperature", raw.train.pairs.temperature);
}

fn train(train: &TrainConfig, data: &DataConfig, rules: &mut Rules) {
    // With fewer `data.languages` than the file has, for a quick try, the rest of the file may stay as it is.
    let known: Vec<&String> =
        data.languages.iter().chain(data.captions.iter().flat_map(|source| &source.languages)).collect();
    rules.times("train.epochs", train.epochs, 1);
    // A triplet, or a softmax over the batch, needs a wrong picture.
    rules.times("train.images", train.images, 2);
    rules.at_most("train.warmup", train.warmup, MOST_ROWS);
    for (language, &captions) in &train.captions {
        let key = format!("train.captions.{language}");
        rules.need(known.contains(&language), &key, Fault::UnknownLanguage { language: language.clone() });
        rules.times(&key, captions, 1);
    }
    let choices = BEST.map(String::from).into_iter().chain(data.languages.iter().map(|l| best_in(l)));
    let (choices, value) = (choices.collect::<Vec<_>>(), train.best.clone());
    rules.need(choices.contains(&value), "train.best", Fault::UnknownMetric { value, choices });
    rules.not_negative("train.language_temperature", train.language_temperature);
    rules.positive("train.learning_rate", train.learning_rate);
    rules.at_least("train.decay_every", train.decay_every, 1);
    rules.positive("train.decay", train.decay);
    rules.not_negative("train.clip", train.clip);
    rules.not_negative("train.weight_decay", train.weight_decay);
    rules.share("train.beta1", train.beta1);
    rules.share("train.beta2", train.beta2);
    rules.share("train.average", train.average);
}

fn consistency(consistency: &ConsistencyConfig, rules: &mut Rules) {
    rules.width("consistency.hidden", consistency.hidden);
    rules.times("consistency.iterations", consistency.iterations, 1);
    rules.positive("consistency.learning_rate", consistency.learning_rate);
}

/// Languages that need no captions of pictures: added ones, one to be added from translations, and those of sentence pairs that a teacher
/// teaches.
fn captions_may_lack(raw: &RawConfig) -> Vec<&str> {
    let mut lacking: Vec<&str> = raw.added.keys().map(String::as_str).collect();
    if !raw.grow.translations.is_empty() {
        lacking.extend(raw.data.languages.iter().map(String::as_str));
    }
    if raw.loss.teacher.is_on() {
        lacking.extend(raw.data.pairs.iter().flat_map(|source| &source.languages).map(String::as_str));
    }
    lacking
}

fn grow(grow: &GrowConfig, rules: &mut Rules) {
    for (index, source) in grow.translations.iter().enumerate() {
        for (name, value) in [("language", &source.language), ("known", &source.known), ("new", &source.new)]
        {
            rules.need(!value.is_empty(), &format!("grow.translations.{index}.{name}"), Fault::Empty);
        }
        if !source.language.is_empty() {
            data::code(&format!("grow.translations.{index}.language"), &source.language, rules);
        }
    }
    rules.at_most("grow.top_k", grow.top_k, MOST_ROWS);
    rules.width("grow.word_width", grow.word_width);
    rules.at_most("grow.rank", grow.rank, WIDEST);
    let own_words = grow.top_k > 0 && grow.epochs > 0;
    rules.need(grow.rank == 0 || own_words, "grow.rank", Fault::AdapterUntaught { rank: grow.rank });
    rules.need(!grow.teacher.is_on() || own_words, "grow.teacher", Fault::NobodyTaught);
    rules.at_most("grow.negatives", grow.negatives, MOST_ROWS);
    rules.positive("grow.align.learning_rate", grow.align.learning_rate);
    // A triplet, or a softmax over the batch, needs a wrong picture.
    rules.times("grow.images", grow.images, 2);
    for (key, value) in [
        ("grow.epochs", grow.epochs),
        ("grow.align.epochs", grow.align.epochs),
        ("grow.views", grow.views),
        ("grow.unfrozen_epochs", grow.unfrozen_epochs),
    ] {
        rules.times(key, value, 0);
    }
    rules.at_most("grow.least_steps", grow.least_steps, MOST_ROWS);
    rules.positive("grow.learning_rate", grow.learning_rate);
    rules.not_negative("grow.neighbourhood", grow.neighbourhood);
    let taught = grow.neighbourhood != 0.0 || grow.teacher.is_on() || grow.translations.is_empty();
    rules.need(taught, "grow.neighbourhood", Fault::TranslationsUnused);
    rules.times("grow.captions", grow.captions, 1);
    rules.positive("grow.unfrozen_learning_rate", grow.unfrozen_learning_rate);
    for (stage, own) in [("nlt", &grow.nlt), ("le", &grow.le)] {
        let key = |of: &str| format!("grow.{stage}.{of}");
        own.epochs.iter().for_each(|&epochs| rules.times(&key("epochs"), epochs, 0));
        own.batch.iter().for_each(|&batch| rules.times(&key("batch"), batch, 2));
        own.learning_rate.iter().for_each(|&rate| rules.positive(&key("learning_rate"), rate));
        own.warmup.iter().for_each(|&warmup| rules.share(&key("warmup"), warmup));
    }
    let own = &grow.contrast;
    own.epochs.iter().for_each(|&epochs| rules.times("grow.contrast.epochs", epochs, 1));
    own.images.iter().for_each(|&images| rules.times("grow.contrast.images", images, 2));
    own.lines.iter().for_each(|&lines| rules.times("grow.contrast.lines", lines, 2));
    own.learning_rate.iter().for_each(|&rate| rules.positive("grow.contrast.learning_rate", rate));
    own.text_text.iter().for_each(|&weight| rules.not_negative("grow.contrast.text_text", weight));
}
