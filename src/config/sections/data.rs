//! Where captions and features are, and how captions become words with vectors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Captions and picture features.
///
/// In every path `{split}` stands for `train`, `val`, `test` or `distractors` and `{language}` for the language code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder that the other paths start from; relative to the configuration file.
    pub root: PathBuf,
    /// Language codes in the order of every table, e.g. `["en", "de", "pt-BR"]`. Case, and `-` or `_`, make no difference to which
    /// language a code means; tables and file names have it as it is written here.
    pub languages: Vec<String>,
    /// Further codes that the data has for these languages, e.g. `{ zh = ["zh-CN", "cmn"] }`.
    pub codes: BTreeMap<String, Vec<String>>,
    /// Files of picture features (`.npy` or `.safetensors`), concatenated in this order.
    pub features: Vec<String>,
    /// Photographs in place of features: a folder, a list of names or a tar, as `tinyglot embed-images` takes them. Their features are made once by
    /// `tower`, and kept in the folder `--cache`, by default `tinyglot.features` within `root`; pictures are called by the names of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photos: Option<String>,
    /// Folder of the picture tower that makes features of `photos`, or made `features`: `tinyglot index RUN --photos` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tower: Option<String>,
    /// File of picture ids, one a line, in the order of the feature rows; without it rows match by order.
    pub image_ids: Option<String>,
    /// File that says which picture is in which split, for features and captions whose paths have no `{split}`: a table whose first line is
    /// `picture`, `split` and perhaps `group`, separated by tabs, then a line for each picture, with `train`, `val`, `test` or
    /// `distractors`. Pictures of one group are one photograph, and must be in one split. `tinyglot init` writes it. Pictures that it does not
    /// name are left out.
    pub split: Option<String>,
    /// Rows of features for each picture, one after the other and all equal, as VSE++ stores them (5, one for each caption). 0
    /// recognises rows that all stand equally often; 1 takes each row for a picture, however alike they are.
    pub rows_per_picture: usize,
    /// Picture files for reports, e.g. `"images/{id}.png"`, or `"photos.tar/{id}"` in a tar. Where `photos` names photographs, it is these.
    pub images: Option<String>,
    /// Sources of captions; a picture's captions follow each other in their order.
    pub captions: Vec<CaptionSource>,
    /// Parallel captions, one a picture and line, for queries in several languages (CLC), e.g. `"task1/{split}.{language}"`. Captions by people
    /// that are such lines have translations, others have none. Where `translations` says what is translated, these are example queries only.
    pub parallel: Option<String>,
    /// Translations of the captions that people wrote in `val` and `test`, for queries in several languages (CLC).
    pub translations: Vec<TranslatedCaptions>,
    /// Translations of sentences without pictures, for losses between sentences and for a teacher (`train.pairs` says how they are drawn); where a
    /// teacher teaches (`loss.teacher`), plain text in one language too, and languages in them need no captions. They must hold no test caption.
    /// Larger ones than memory stay on the disk.
    pub pairs: Vec<PairSource>,
    /// Dictionaries into the language `words.translate_into`, e.g. `"../dictionaries/{language}-en.dict"`: MUSE's `word translation` or
    /// `translation @ word` a line.
    pub dictionary: Option<String>,
    /// Further monolingual text for FastText, one sentence a line, e.g. `"text/{language}.txt"`. It must hold no test caption.
    pub text: Option<String>,
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig {
            root: ".".into(),
            languages: Vec::new(),
            codes: BTreeMap::new(),
            features: vec!["features/{split}.npy".into()],
            photos: None,
            tower: None,
            image_ids: None,
            split: None,
            rows_per_picture: 0,
            images: None,
            captions: Vec::new(),
            parallel: None,
            translations: Vec::new(),
            pairs: Vec::new(),
            dictionary: None,
            text: None,
        }
    }
}

/// One source of captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionSource {
    /// How the files hold captions.
    pub format: CaptionFormat,
    /// Languages of this source; empty means the language is in the file (`csv`, `json`, `jsonl`, `parquet`). Those that
    /// `data.languages` does not have are passed over. `{language}` in `files` is the code as it is written here.
    pub languages: Vec<String>,
    /// Files, plain or packed by gzip or zstd; line n of a `lines` file speaks of picture n of the split.
    pub files: Vec<String>,
    /// Captions of a picture that follow each other in a `lines` file: line n, from 0, speaks of picture n / `per_picture` (VSE++'s
    /// `train_caps.txt` has 5).
    #[serde(skip_serializing_if = "is_one")]
    pub per_picture: usize,
    /// What holds what in the records of `csv`, `json`, `jsonl` and `parquet`.
    #[serde(skip_serializing_if = "CaptionKeys::are_found")]
    pub keys: CaptionKeys,
    /// Leave out, and count, captions of pictures that have no features, where the file has more pictures than are used; else they
    /// are an error.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_unknown: bool,
    /// The splits that the captions are used in; those of other splits are passed over, so that `["train"]` keeps machine
    /// translations out of the evaluation. A file of one split needs no `{split}` in its path.
    #[serde(skip_serializing_if = "are_all")]
    pub splits: Vec<CaptionSplit>,
    /// Who wrote the captions. Training takes all; `val` and `test` ask with those by people alone, in a language that people wrote some
    /// in there, and only such languages count for HA (Burns et al. 2020, section 4.1). `evaluate --captions machine` compares the two.
    pub source: Source,
    /// The language of the model that these texts are translations into. The source then only asks: the texts of `val` and `test` count as
    /// captions of `languages`, which the model does not know, and are read as this one (translate to English).
    pub read_as: Option<String>,
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

fn are_all(splits: &[CaptionSplit]) -> bool {
    splits == CaptionSplit::ALL
}

impl Default for CaptionSource {
    fn default() -> Self {
        CaptionSource {
            format: CaptionFormat::Lines,
            languages: Vec::new(),
            files: Vec::new(),
            per_picture: 1,
            keys: CaptionKeys::default(),
            skip_unknown: false,
            splits: CaptionSplit::ALL.to_vec(),
            source: Source::Human,
            read_as: None,
        }
    }
}

/// A split that has captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptionSplit {
    /// Captions to train on.
    Train,
    /// Captions of validation, which chooses the best checkpoint.
    Val,
    /// Captions of the test pictures.
    Test,
}

impl CaptionSplit {
    /// Every split that has captions.
    pub const ALL: [CaptionSplit; 3] = [CaptionSplit::Train, CaptionSplit::Val, CaptionSplit::Test];

    /// The name, as in configurations and paths.
    pub fn name(self) -> &'static str {
        match self {
            CaptionSplit::Train => "train",
            CaptionSplit::Val => "val",
            CaptionSplit::Test => "test",
        }
    }
}

/// The keys of a record, or the columns of a table, that are read. A dot leads into an object: `"image.path"`.
///
/// What is left out is found by its name, where only one fits: the picture in `image`, `file_name`, `filename`, `image_name`,
/// `image_id`, `image_ids`, `image_path`, `image/key` or `image_url`; the caption in `text`, `caption`, `captions`, `sentence`,
/// `sentences`, `raw`, `comment` or `caption_reference_description`; the language in `language`, `lang`, `language_code` or
/// `locale`; the source in `source`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionKeys {
    /// The name of the picture, or a list of names, as in `data.image_ids`; without ids the numbers of the rows, from 0.
    pub image: Option<String>,
    /// The caption, or a list of captions. `{language}` in it stands for the code where each language has a key of its own:
    /// `"{language}.caption"`; `{n}` for a number where a record has several captions: `"caption_{n}"`.
    pub text: Option<String>,
    /// The code of the language; `""` reads none.
    pub language: Option<String>,
    /// `human` or `machine`; `""` reads none.
    pub source: Option<String>,
    /// The split, where the ids of the pictures do not tell it: `train` or `restval`, `val`, `validation` or `dev`, `test`.
    pub split: Option<String>,
}

impl CaptionKeys {
    fn are_found(&self) -> bool {
        *self == CaptionKeys::default()
    }
}

/// How a file holds captions. Datasets, and what to set for them:
///
/// | dataset | file | set |
/// |---|---|---|
/// | Multi30K | `task1/raw/train.en.gz` | `lines` |
/// | VSE++ precomp | `train_caps.txt` | `lines`, `per_picture = 5` |
/// | Flickr8k, Flickr30k | `Flickr8k.token.txt`, `results_20130124.token` | `named` |
/// | Flickr8k-CN, COCO-CN | `1077.jpg#zhc#0 text`, `id#0 text` | `named` |
/// | Flickr30k on Kaggle | `results.csv`, separated by `\|` | `csv` |
/// | Flickr8k on Kaggle | `captions.txt`, head `image,caption` | `csv` |
/// | WIT | `wit_v1.*.tsv.gz` | `csv` |
/// | COCO, STAIR | `captions_*.json` | `coco` |
/// | Karpathy's splits | `dataset_*.json` | `karpathy` |
/// | BLIP | `coco_karpathy_*.json` | `json` |
/// | Crossmodal-3600 | `captions.jsonl` | `jsonl` |
/// | Chinese-CLIP | `*_texts.jsonl` | `jsonl` |
/// | Hugging Face's imagefolder | `metadata.jsonl`, `metadata.csv` | `jsonl`, `csv` |
/// | Hugging Face's datasets | `*.parquet` | `parquet` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptionFormat {
    /// One caption a line, in the order of the pictures (Multi30K), or `per_picture` lines a picture (VSE++).
    #[default]
    Lines,
    /// The name of a picture, a tab or a blank, and a caption a line; `#0` or `#zhc#0` behind the name counts its captions
    /// (Flickr8k, Flickr30k, COCO-CN).
    Named,
    /// A table whose first line names the columns (`keys`), separated by commas, semicolons, tabs or `|`, whichever the first line
    /// has most of. Rows without a caption are counted and left out.
    Csv,
    /// One list of objects, e.g. `[{"image": "7.jpg", "caption": "a red bird"}]` (`keys`).
    Json,
    /// JSON lines with `image`, `language`, `text`, `source`, or other `keys`.
    Jsonl,
    /// Parquet with columns as `keys` say; in a build with `--features parquet`.
    Parquet,
    /// COCO captions JSON.
    Coco,
    /// Karpathy's `dataset_*.json`.
    Karpathy,
}

impl CaptionFormat {
    /// Whether a file is made of records with `keys`, which may say the language of each caption.
    pub fn has_keys(self) -> bool {
        use CaptionFormat::{Csv, Json, Jsonl, Parquet};
        matches!(self, Csv | Json | Jsonl | Parquet)
    }
}

/// Who wrote captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// People.
    #[default]
    Human,
    /// A machine, e.g. by translation.
    Machine,
}

/// Translations of captions, as a machine makes them: every caption that people wrote in the languages `of` then asks together with its
/// translations (Burns et al. 2020, section 3.4). They are no captions themselves: nothing is trained on them, and no language is measured by
/// them. In `files`, `{of}` stands for the language of the captions and `{language}` for that of the translations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TranslatedCaptions {
    /// Languages whose captions are translated. Those that `data.languages` does not have are passed over.
    pub of: Vec<String>,
    /// Languages that ask together, those of the captions included; the same for all entries. Empty: all of `data.languages`. Those that it does
    /// not have are passed over.
    pub languages: Vec<String>,
    /// How the files hold translations.
    pub format: TranslationFormat,
    /// For `lines` as many files as a picture has captions by people, e.g. `["mt/{split}.1.{of}-{language}", "mt/{split}.2.{of}-{language}"]`.
    pub files: Vec<String>,
}

/// How files hold translations of captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TranslationFormat {
    /// Line n of the k-th file translates the k-th caption by people of picture n, in the order of `data.captions`.
    #[default]
    Lines,
    /// A caption by its text a line, `{"text": "ein Hund", "translations": {"en": "a dog", "fr": "un chien"}}`: for pictures with different
    /// numbers of captions.
    Jsonl,
}

/// Sentences that say the same in two or more languages, without pictures: any two languages of a line are a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairSource {
    /// How the files hold them.
    pub format: PairFormat,
    /// Languages of the files, two or more; one is text that a teacher teaches. Those that `data.languages` does not have are passed over. `{language}` in `files` and `key` is
    /// the code as it is written here.
    pub languages: Vec<String>,
    /// Files; for `lines` their paths have `{language}`, or there is one for each of `languages`, in their order. Plain ones are mapped into memory
    /// as far as they are read; those packed by gzip or zstd are unpacked into memory, up to 4 GiB each.
    pub files: Vec<String>,
    /// The column of a `tsv` file with a head, or the key of a `jsonl` file, that holds the sentence of a language. A dot leads into an
    /// object: `"translation.{language}"`.
    #[serde(skip_serializing_if = "is_code_alone")]
    pub key: String,
}

impl PairSource {
    /// Whether `files` names a file for each of `languages`, in their order.
    pub fn has_a_file_each(&self) -> bool {
        let named = self.files.iter().all(|file| !file.contains('{'));
        self.format == PairFormat::Lines
            && named
            && self.languages.len() > 1
            && self.files.len() == self.languages.len()
    }
}

fn is_code_alone(key: &String) -> bool {
    key == "{language}"
}

impl Default for PairSource {
    fn default() -> Self {
        PairSource {
            format: PairFormat::Lines,
            languages: Vec::new(),
            files: Vec::new(),
            key: "{language}".into(),
        }
    }
}

/// How files hold sentences that say the same. A line without a sentence in some language pairs the others; one with fewer than two is counted
/// and left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PairFormat {
    /// A file a language, of which line n says the same: `"train.{language}"`, or as Moses and OPUS have them `"corpus.de-en.{language}"`.
    #[default]
    Lines,
    /// Columns separated by tabs, without quotes: those that a head on the first line names by `key`; without a head the first ones, in the
    /// order of `languages`.
    Tsv,
    /// An object a line, e.g. `{"de": "ein Hund", "en": "a dog"}`, or with another `key`.
    Jsonl,
}

/// Segmentation, vocabulary and word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WordsConfig {
    /// What cuts texts into tokens.
    pub segmenter: SegmenterKind,
    /// A Hugging Face `tokenizer.json`, for `segmenter = "tokenizer"`.
    pub tokenizer: Option<PathBuf>,
    /// What becomes of a text before it is cut. A run keeps the rules that it was trained with.
    pub normalisation: TextRules,
    /// Lower-case where the script has it.
    pub lowercase: bool,
    /// Longest sentence in tokens; the rest is cut (MULE: 40 on Multi30K, 60 on MSCOCO). A token keeps its first 100 characters.
    pub max_tokens: usize,
    /// Words rarer than this in the training captions are left out of the vocabulary.
    pub min_count: u64,
    /// Words of the other languages that are rarer than this in the training captions, or not in them, are read as the word of `translate_into`
    /// that `data.dictionary` gives (Burns et al. 2020, section 4: dictionary mapping); 0 translates none.
    pub translate_below: u64,
    /// The language that rare words are translated into.
    pub translate_into: String,
    /// Ready vectors, `.bin` or `.vec`, e.g. `"cc.{language}.300.bin"`; without it FastText is trained on the training captions and `data.text`.
    pub vectors: Option<String>,
    /// Training of word vectors with FastText, where `vectors` gives none.
    pub fasttext: FastTextConfig,
}

impl Default for WordsConfig {
    fn default() -> Self {
        WordsConfig {
            segmenter: SegmenterKind::Unicode,
            tokenizer: None,
            normalisation: TextRules::Script,
            lowercase: true,
            max_tokens: 40,
            min_count: 1,
            translate_below: 0,
            translate_into: "en".into(),
            vectors: None,
            fasttext: FastTextConfig::default(),
        }
    }
}

/// What cuts texts into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SegmenterKind {
    /// Unicode word boundaries, dictionaries for Chinese and Japanese.
    #[default]
    Unicode,
    /// The text is tokenised already: split at white space.
    Whitespace,
    /// A Hugging Face tokenizer.
    Tokenizer,
}

/// How texts that people read as one get one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TextRules {
    /// Unicode's NFKC, lower case in the same way for every language, and Thai, Lao, Khmer and Burmese cut by ICU's small networks:
    /// the rules of runs whose configuration does not say.
    Nfkc,
    /// NFKC as far as it leaves words whole (not Thai and Lao am, `½` behind a digit, `ㅋㅋ`, ™), without soft hyphens, marks of
    /// direction, variation selectors and joiners that spell nothing; lower case of the language (Turkish I is ı). Without Arabic
    /// tatweel and vowel signs, Hebrew points (not Yiddish), and stress on Cyrillic letters. Thai, Lao, Khmer and Burmese are cut by
    /// ICU's dictionaries.
    #[default]
    Script,
}

/// Training of FastText vectors (Bojanowski et al. 2017).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FastTextConfig {
    /// What is predicted: the words around a word, or a word from those around it.
    pub model: FastTextModel,
    /// Width of the vectors.
    pub width: usize,
    /// Passes over the text.
    pub epochs: usize,
    /// At the beginning; it falls to 0 along a line.
    pub learning_rate: f64,
    /// Words on either side that are looked at, at most.
    pub window: usize,
    /// Random words that each right one is told from.
    pub negatives: usize,
    /// Words that make up more than this share of the text are left out at random, the more frequent the more often; 1 keeps all.
    pub subsample: f64,
    /// Words that occur less often are left out.
    pub min_count: u64,
    /// Shortest character n-grams, in characters.
    pub min_ngram: usize,
    /// Longest character n-grams, in characters.
    pub max_ngram: usize,
    /// Hash buckets of the n-grams.
    pub buckets: usize,
    /// Seed of the vectors. It is not the run's, so that runs of several seeds share the vectors, which take longest to make.
    pub seed: u64,
}

impl Default for FastTextConfig {
    fn default() -> Self {
        FastTextConfig {
            model: FastTextModel::Skipgram,
            width: 300,
            epochs: 10,
            learning_rate: 0.05,
            window: 5,
            negatives: 5,
            subsample: 1e-3,
            min_count: 1,
            min_ngram: 3,
            max_ngram: 6,
            buckets: 100_000,
            seed: 0,
        }
    }
}

/// What FastText is trained to predict: the words around a word, or a word from those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FastTextModel {
    /// The words around a word.
    #[default]
    Skipgram,
    /// A word, from those around it.
    Cbow,
}
