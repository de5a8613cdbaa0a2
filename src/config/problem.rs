//! What can be wrong with a configuration, one variant per rule, and how all of it becomes one error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use thiserror::Error;

use super::FamilyName;

/// A broken rule. The messages follow the name of the key.
///
/// The text of a variant's `#[error]` says when it is used and what its fields are: hence no comments beside it.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    #[error("did you mean `{nearest}`?")]
    UnknownKey { nearest: String },
    #[error("is {value}; expected {expected}")]
    WrongType { value: String, expected: String },

    #[error("is {value}; it must be a finite number")]
    NotFinite { value: f32 },
    #[error("is {value}; it must be at least {least}")]
    TooSmall { value: usize, least: usize },
    #[error("is {value}; it must be at most {most}")]
    TooLarge { value: usize, most: usize },
    #[error("is {value}; it must be greater than 0")]
    NotPositive { value: f32 },
    #[error("is {value}; it must not be negative")]
    Negative { value: f32 },
    #[error("is {value}; it must be at least 0 and less than 1")]
    NotAShare { value: f32 },
    #[error("is {value}; it must be greater than 0 and at most 1")]
    NotAPositiveShare { value: f32 },
    #[error("is {value}; it must be greater than 0 and less than 1")]
    NotAProperShare { value: f32 },

    #[error("cannot be written down: the path {path} is not valid Unicode")]
    PathNotUnicode { path: String },
    #[error("is empty; give it a value")]
    Empty,
    #[error(
        "is 0, but `grow.translations` teach through it, or through `grow.teacher`; give one of them a weight"
    )]
    TranslationsUnused,
    #[error("is empty; name at least one language, e.g. [\"en\", \"de\"]")]
    NoLanguages,
    #[error(
        "has `{language}`; a language code is made of ASCII letters and digits, with `-` or `_` between them"
    )]
    LanguageCode { language: String },
    #[error("names `{language}` twice")]
    LanguageTwice { language: String },
    #[error("has `{code}`, which `{other}` stands for too")]
    CodeTwice { code: String, other: String },
    #[error("names `{language}`, which no entry of `data.captions` has")]
    LanguageWithoutCaptions { language: String },
    #[error("names `{language}`, which neither `data.languages` nor `data.captions` has")]
    UnknownLanguage { language: String },
    #[error(
        "is empty; name the languages of the files (only `csv`, `json`, `jsonl` and `parquet` files say them themselves, in paths without `{{language}}`)"
    )]
    SourceWithoutLanguages,
    #[error("names `{language}`, which `data.languages` trains; take it out there, or leave `read_as` out")]
    ReadAsAndTrained { language: String },
    #[error(
        "is {value}; only the captions of `lines` files are counted, those of other formats name their pictures"
    )]
    CountedOfOther { value: usize },
    #[error("is set, but only records have keys: those of `csv`, `json`, `jsonl` and `parquet`")]
    KeysOfOther,
    #[error("is set, but `files` hold `{{split}}`; leave one of the two out")]
    SplitInPathToo,
    #[error("is empty; name at least one file")]
    NoFiles,
    #[error("has `{file}` for several languages; put `{{language}}` where their paths differ")]
    NoLanguageInPath { file: String },
    #[error("has `{file}` for the captions of several languages; put `{{of}}` where their paths differ")]
    NoOriginInPath { file: String },
    #[error(
        "names `{language}`, whose captions an earlier entry translates; put its files there, or take it out"
    )]
    TranslatedTwice { language: String },
    #[error("has `{file}` with `{{language}}`, but a line of a `jsonl` file has all languages; leave it out")]
    LanguageOfJsonl { file: String },
    #[error("has `{file}` with `{{language}}`, but a line of it has all languages; leave it out")]
    LanguageOfRecords { file: String },
    #[error("is `{key}`; put `{{language}}` where the names of the languages differ")]
    NoLanguageInKey { key: String },
    #[error("is set, but `lines` files have no keys; leave it out")]
    KeyOfLines,
    #[error(
        "must name two languages or more (one, where `loss.teacher` teaches it); a line is the same sentence in each of them"
    )]
    NoPairOfLanguages,
    #[error("is 0, but `data.pairs` are given; set a weight, or leave them out")]
    PairsUnused,
    #[error("is {value}, but there are no `data.pairs`; name some, or leave this out")]
    NoPairs { value: f32 },
    #[error("has `{file}` for every split; put `{{split}}` where their paths differ")]
    NoSplitInPath { file: String },
    #[error(
        "has `{file}` for every split; put `{{split}}` where their paths differ, or name its one split in `splits`"
    )]
    NoSplitOfLines { file: String },
    #[error("names `{split}` twice")]
    SplitTwice { split: &'static str },
    #[error(
        "has only `train`, but texts with `read_as` are asked with, in `val` and `test`; name one of these too"
    )]
    OnlyTrainingAsked,
    #[error("is set, but `data.tower` is not; set it too, or leave this out")]
    PhotosWithoutTower,
    #[error("is set, and so is `data.photos`, whose features are made; leave one of the two out")]
    FeaturesAndPhotos,
    #[error("is set, but `{by}` tells the split too; leave one of the two out")]
    SplitToldTwice { by: String },
    #[error("has `{{split}}` in some files; put it into all or none")]
    SplitInSome,
    #[error("has no `{{split}}`, but line n of a `lines` file is picture n of its split")]
    LinesWithoutSplit,
    #[error("is `{file}`; it must have `{{split}}` if `data.features` has it, and only then")]
    IdsUnlikeFeatures { file: String },
    #[error("has `{file}`, but a `karpathy` file holds all splits; leave `{{split}}` out")]
    SplitOfKarpathy { file: String },
    #[error("has `{file}` with the unknown placeholder `{{{name}}}`; this path may hold {known}")]
    UnknownPlaceholder { file: String, name: String, known: String },

    #[error("is not set; name the configuration that all trials start from")]
    NoBase,
    #[error("is empty; give at least one seed, or leave it out for the configuration's own")]
    NoSeeds,
    #[error("is empty; give at least one value")]
    NoValues,
    #[error("must be one or more epochs, from 1 on and rising")]
    Rungs,
    #[error("is `{key}`, which is no number; name a key that is one, or `languages` for how many there are")]
    NoNumberToPlot { key: String },
    #[error(
        "is `{key}`, and there is no such key; did you mean `{nearest}`? (`languages` is how many there are)"
    )]
    UnknownPlot { key: String, nearest: String },
    #[error("is missing or empty; every variant needs a name")]
    NoName,
    #[error("is `{name}`, as an earlier variant's; give each its own")]
    NameTwice { name: String },
    #[error("is set by `{by}` too; leave it out of one of the two")]
    SetTwice { by: String },
    #[error("is no axis; write the seeds into `seeds`")]
    SeedAxis,
    #[error(
        "is {value}; expected a list of values, or a table such as `{{ log = [1e-4, 1e-2], count = 5 }}` or \
         `{{ random = 8, range = [0.0, 0.5] }}`"
    )]
    NoAxis { value: String },
    #[error("needs one of `log`, `range` and `of`, and no more")]
    OneRange,
    #[error("needs either `count`, at least 2 (not with `of`), or `random`, at least 1")]
    CountOrRandom,
    #[error("is {value}; expected two finite numbers, the smaller one first")]
    RangeEnds { value: String },
    #[error("is {value}; a logarithmic range needs numbers greater than 0")]
    LogOfZero { value: String },
    #[error("is a range of numbers, but `{key}` takes {expected}")]
    RangeOfOther { key: String, expected: String },
    #[error("draws {value} samples, but `{other}` draws {others}; random axes are drawn together")]
    RandomCounts { value: usize, other: String, others: usize },

    #[error("is not set; `words.segmenter = \"tokenizer\"` needs a `tokenizer.json`")]
    TokenizerMissing,
    #[error("is set but not used; set `words.segmenter = \"tokenizer\"` too, or leave it out")]
    TokenizerUnused,
    #[error("is not set; `words.translate_below` needs a dictionary for each language")]
    DictionaryMissing,
    #[error("is set but not used; set `words.translate_below` too, or leave it out")]
    DictionaryUnused,
    #[error("is `{language}`, which `data.languages` does not have")]
    NoSuchLanguage { language: String },
    #[error("is `{file}`; vectors are read unpacked, as `.bin` or `.vec` files")]
    PackedVectors { file: String },
    #[error("is {longest}; it must not be less than `words.fasttext.min_ngram`, {shortest}")]
    NgramsReversed { shortest: usize, longest: usize },

    #[error(
        "is {word_width}; the FastText vectors it is reduced from have `words.fasttext.width` = {vectors}"
    )]
    WiderThanVectors { word_width: usize, vectors: usize },
    #[error(
        "is 0; words without a vector of their own need it (or set `embedding.unseen = \"drop\"` and `embedding.top_k` above 0)"
    )]
    NoLatents,
    #[error("is {top_m}; it must not be greater than `embedding.latents`, {latents}")]
    MoreBestThanLatents { top_m: usize, latents: usize },

    #[error("is `{value}`; words made of characters (`embedding.kind`) have no vocabulary to translate from")]
    NoVocabulary { value: u64 },
    #[error("is true; the mean of two directions is pooled by the GRU's last states or their mean")]
    NotBidirectional,
    #[error("is false; the pooled sentence has {pooled} numbers, and `text.joint` is {joint}")]
    ProjectionMissing { pooled: usize, joint: usize },

    #[error(
        "is 0, and so are `loss.info_nce.weight` and `loss.mclm.masked_triplet`; nothing would join text and images"
    )]
    NoImageTextLoss,
    #[error("is `{value}`; it must be one of `{}`", choices.join("`, `"))]
    UnknownMetric { value: String, choices: Vec<String> },
    #[error("is not set; `acquire.tower` needs it")]
    AcquireMissing,
    #[error("is \"{}\", but the sections that are filled make it \"{}\"; {}", named.as_str(), inferred.as_str(), named.needs())]
    AnotherFamily { named: FamilyName, inferred: FamilyName },
    #[error("is not read by the family \"{}\"; leave it out", family.as_str())]
    NotReadByFamily { family: FamilyName },
    #[error("is set, but `acquire.tower` is not; set it too, or leave this out")]
    AcquireUnused,
    #[error("is {layers}, and `acquire.tower` is set; a run trains a tower or acquires languages on one")]
    TowerTwice { layers: usize },
    #[error("is {width}; it must divide into {heads} heads")]
    HeadsUnequal { width: usize, heads: usize },
    #[error(
        "is not alone: give one of `contrastive.checkpoint`, `contrastive.start` and `contrastive.fresh.layers`"
    )]
    EncoderTwice,
    #[error("has a tower beside it (`tower.layers`, `acquire.tower`); a run trains one encoder")]
    OtherEncoder,
    #[error(
        "is 0, and so are `contrastive.text_text.weight` and `contrastive.triple.weight`; nothing would be trained"
    )]
    NoContrast,
    #[error(
        "is false, but the image branch gives vectors of unit length; set `contrastive.pictures = \"linear\"`"
    )]
    RawPictures,
    #[error("is {value}; a temperature that is trained is at least 0.01")]
    TooCold { value: f32 },
    #[error("is true, but no temperature is used: {reason}")]
    NoTemperature { reason: &'static str },
    #[error("is {value}; a new tower is trained by `loss.triplet` and `loss.info_nce` alone")]
    LossOfWords { value: f32 },
    #[error(
        "is {rank}, but the embedding itself is trained; set `acquire.train_embedding = false`, or leave this out"
    )]
    RankUnused { rank: usize },
    #[error(
        "is {rank}, but it learns with the language's own words (`grow.top_k`, `grow.epochs`), and these do not; leave this out"
    )]
    AdapterUntaught { rank: usize },
    #[error(
        "teaches the language's own words (`grow.top_k`, `grow.epochs`), and there are none; leave this out"
    )]
    NobodyTaught,
    #[error(
        "is false, but vectors that begin anew must be trained; set `acquire.embedding`, or leave this out"
    )]
    UntrainedFresh,
    #[error("is not set; with `acquire.encoder = \"bert\"` it is the folder of a whole M-BERT checkpoint")]
    BertMissing,
    #[error("is true, but all of M-BERT stays as it is with `acquire.encoder = \"bert\"`; set it to false")]
    BertTrained,
    #[error("is {rank}, but all of M-BERT stays as it is with `acquire.encoder = \"bert\"`; leave this out")]
    BertRank { rank: usize },
    #[error("is `{language}`, which `data.languages` has not beside others to acquire")]
    NothingToAcquire { language: String },
    #[error("is 0, and so is `acquire.le.epochs`; nothing would be trained")]
    NoStage,
    #[error("has no `{{language}}`, but each language has translations of its own")]
    OneTarget,
    #[error(
        "is {value}, but `nce` compares directions alone; set the objective to \"mse\", or leave this out"
    )]
    DirectionsAlone { value: bool },
    #[error("is {value}, but `acquire.le.epochs` is 0; it is a part of that stage")]
    TermWithoutStage { value: f32 },
    #[error("is set, but `acquire.sizes.width` is not; set it too, or leave this out")]
    SizeWithoutWidth,

    #[error(
        "is {value}; it keeps trained word vectors near their start, and the model has none (`embedding.top_k`, `embedding.train_words`)"
    )]
    NoTrainedWords { value: f32 },
    #[error("is {value}, but there is no teacher; name one in `teacher`, or leave this out")]
    NoTeacher { value: f32 },
    #[error("is set beside `{first}`; a student has one teacher: leave one of them out")]
    TeacherTwice { first: String },
    #[error(
        "is 0, and so are `loss.info_nce.weight` and `loss.mclm.masked_triplet`, which train the image branch; set `teacher.pictures`, or \
         `image.branch = \"given\"`, where pictures are in the teacher's space"
    )]
    NoPictures,
    #[error(
        "is set, but teaches nothing; give a loss of `loss.teacher` (or `grow.teacher`) a weight, or leave it out"
    )]
    TeacherUnused,
    #[error("is false, but the languages of a run are known at unit length; leave it out")]
    TeacherNotAtUnitLength,
    #[error("is empty; name the languages that the teacher reads, e.g. [\"en\"]")]
    TeacherWithoutLanguages,
    #[error(
        "has `{file}`; name the text, one sentence a line: its vectors are in the file beside it with `.npy` behind the name"
    )]
    VectorsForText { file: String },
    #[error("is set, but `{key}` is not; set it too, or leave this out")]
    OnlyWith { key: &'static str },
    #[error("is {value}; it compares languages, and `data.languages` has only one")]
    OneLanguage { value: f32 },
}

/// A fault and the key it is about, e.g. `loss.triplet.margin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Dotted, from the top of the file.
    pub key: String,
    /// What is wrong with its value.
    pub fault: Fault,
}

impl Problem {
    pub(crate) fn new(key: &str, fault: Fault) -> Self {
        Problem { key: key.to_owned(), fault }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            fault @ Fault::UnknownKey { .. } => write!(f, "unknown key `{}`; {fault}", self.key),
            fault => write!(f, "`{}` {fault}", self.key),
        }
    }
}

/// Everything wrong with a configuration, at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Problems(pub Vec<Problem>);

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// A value over the file, by the place it was given at: a `--set` of the command line, or a line of a sweep.
    Set(String),
}

/// The origin of every key that was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub fn line(&mut self, key: &str, line: usize) {
        self.0.insert(key.to_owned(), Origin::Line(line));
    }

    /// `key`, and with it all below, was set at `place`.
    pub fn set(&mut self, key: &str, place: &str) {
        let below = format!("{key}.");
        self.0.retain(|known, _| !known.starts_with(&below));
        self.0.insert(key.to_owned(), Origin::Set(place.to_owned()));
    }

    /// Where `key` was given, or the nearest table around it.
    pub fn find(&self, key: &str) -> Option<&Origin> {
        let mut key = key;
        loop {
            if let Some(origin) = self.0.get(key) {
                return Some(origin);
            }
            key = &key[..key.rfind('.')?];
        }
    }
}

impl Problems {
    /// One error for all, for a configuration that was not read from a file.
    pub fn into_error(self) -> crate::Error {
        self.located(None, &Origins::default())
    }

    /// One error for all, each problem with its line of `file` or its `--set`.
    pub(super) fn located(self, file: Option<&Path>, origins: &Origins) -> crate::Error {
        let mut located: Vec<_> =
            self.0.iter().map(|p| (origins.find(&p.key).cloned(), p.to_string())).collect();
        located.sort();
        if let [(origin, what)] = located.as_slice() {
            let error = |what: &str| crate::Error::config(what);
            return match (origin, file) {
                (Some(Origin::Line(line)), Some(file)) => error(what).at(file).line(*line),
                (Some(Origin::Set(place)), _) => error(&format!("{place}: {what}")).placed(),
                (None, Some(file)) => error(what).at(file),
                (_, None) => error(what),
            };
        }
        let mut what = format!("{} problems", located.len());
        for (origin, problem) in &located {
            what += "\n  ";
            match (origin, file) {
                (Some(Origin::Line(line)), Some(file)) => what += &format!("`{}`:{line}: ", file.display()),
                (Some(Origin::Set(place)), _) => what += &format!("{place}: "),
                _ => {}
            }
            what += problem;
        }
        let error = crate::Error::config(what);
        match file {
            Some(file) => error.at(file),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(key: &str) -> Problem {
        Problem::new(key, Fault::TooSmall { value: 0, least: 1 })
    }

    #[test]
    fn one_problem_is_one_line_with_its_place() {
        let mut origins = Origins::default();
        origins.line("train.epochs", 7);
        let error = Problems(vec![problem("train.epochs")]).located(Some(Path::new("a.toml")), &origins);
        assert_eq!(error.to_string(), "`a.toml`:7: `train.epochs` is 0; it must be at least 1");
        assert_eq!(error.exit_status(), 3);
    }

    #[test]
    fn several_problems_come_in_the_order_of_the_file() {
        let mut origins = Origins::default();
        origins.line("train", 5);
        origins.line("embedding.width", 12);
        origins.set("text.joint", "`--set text.joint=0`");
        let all = ["text.joint", "embedding.width", "train.epochs", "image.hidden"].map(problem).to_vec();
        let text = Problems(all).located(Some(Path::new("a.toml")), &origins).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "`a.toml`: 4 problems",
                "  `image.hidden` is 0; it must be at least 1",
                "  `a.toml`:5: `train.epochs` is 0; it must be at least 1",
                "  `a.toml`:12: `embedding.width` is 0; it must be at least 1",
                "  `--set text.joint=0`: `text.joint` is 0; it must be at least 1",
            ]
        );
    }

    #[test]
    fn setting_a_table_forgets_the_lines_below_it() {
        let mut origins = Origins::default();
        origins.line("loss.triplet.margin", 3);
        origins.set("loss.triplet", "`--set loss.triplet={margin=0}`");
        let set = Origin::Set("`--set loss.triplet={margin=0}`".into());
        assert_eq!(origins.find("loss.triplet.margin"), Some(&set));
        assert_eq!(origins.find("loss"), None);
    }
}
