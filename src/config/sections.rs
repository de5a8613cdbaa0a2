//! The sections of a configuration, one plain struct each. Every field states its meaning, unit and default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole configuration as written; [`super::Config`] is the checked one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Seed of everything random; per-use seeds are derived from it.
    pub seed: u64,
    pub data: DataConfig,
    pub words: WordsConfig,
    pub embedding: EmbeddingConfig,
    pub text: TextConfig,
    pub image: ImageConfig,
    pub loss: LossConfig,
    pub train: TrainConfig,
    pub consistency: ConsistencyConfig,
    pub grow: GrowConfig,
    /// Languages that `tinyglot add-language` has added, by code; it writes them, nobody else needs to.
    pub added: BTreeMap<String, AddedConfig>,
    pub tower: NewTowerConfig,
    pub acquire: AcquireConfig,
}

/// Captions and picture features.
///
/// In every path `{split}` stands for `train`, `val`, `test` or `distractors` and `{language}` for the language code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder that the other paths start from; relative to the configuration file.
    pub root: PathBuf,
    /// Language codes in the order of every table, e.g. `["en", "de"]`.
    pub languages: Vec<String>,
    /// Files of picture features (`.npy` or `.safetensors`), concatenated in this order.
    pub features: Vec<String>,
    /// File of picture ids, one a line, in the order of the feature rows; without it rows match by order.
    pub image_ids: Option<String>,
    /// Picture files for reports, e.g. `"images/{id}.png"`.
    pub images: Option<String>,
    pub captions: Vec<CaptionSource>,
    /// Parallel captions, one a picture and line, for queries with translations (CLC), e.g. `"task1/{split}.{language}"`.
    pub parallel: Option<String>,
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
            features: vec!["features/{split}.npy".into()],
            image_ids: None,
            images: None,
            captions: Vec::new(),
            parallel: None,
            dictionary: None,
            text: None,
        }
    }
}

/// One source of captions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionSource {
    pub format: CaptionFormat,
    /// Languages of this source; empty means the language is in the file (`jsonl`). Those that `data.languages` does not
    /// have are passed over.
    pub languages: Vec<String>,
    /// Files; line n of a `lines` file speaks of picture n of the split.
    pub files: Vec<String>,
    /// Who wrote the captions; only human captions of a language make it count for HA.
    pub source: Source,
    /// The language of the model that these texts are translations into. The source then only asks: the texts of `val` and `test` count as
    /// captions of `languages`, which the model does not know, and are read as this one (translate to English).
    pub read_as: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptionFormat {
    /// One caption a line, in the order of the pictures (Multi30K).
    #[default]
    Lines,
    /// Karpathy's `dataset_*.json`.
    Karpathy,
    /// COCO captions JSON.
    Coco,
    /// JSON lines with `image`, `language`, `text`, `source`.
    Jsonl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    #[default]
    Human,
    Machine,
}

/// Segmentation, vocabulary and word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WordsConfig {
    pub segmenter: SegmenterKind,
    /// A Hugging Face `tokenizer.json`, for `segmenter = "tokenizer"`.
    pub tokenizer: Option<PathBuf>,
    /// Lower-case where the script has it.
    pub lowercase: bool,
    /// Longest sentence in tokens; the rest is cut (MULE: 40 on Multi30K, 60 on MSCOCO).
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
    pub fasttext: FastTextConfig,
}

impl Default for WordsConfig {
    fn default() -> Self {
        WordsConfig {
            segmenter: SegmenterKind::Unicode,
            tokenizer: None,
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

/// Training of FastText vectors (Bojanowski et al. 2017).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FastTextConfig {
    pub model: FastTextModel,
    /// Width of the vectors.
    pub width: usize,
    pub epochs: usize,
    pub learning_rate: f64,
    pub window: usize,
    pub negatives: usize,
    /// Words that make up more than this share of the text are left out at random, the more frequent the more often; 1 keeps all.
    pub subsample: f64,
    pub min_count: u64,
    /// Shortest and longest character n-grams.
    pub min_ngram: usize,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FastTextModel {
    #[default]
    Skipgram,
    Cbow,
}

/// Token → vector: SMALR's hybrid embedding (Burns et al. 2020, section 3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingConfig {
    /// What the vector of a word is made of. With `characters` there are no word vectors, and all keys but `width` and `characters.…` have no effect.
    pub kind: EmbeddingKind,
    pub characters: CharactersConfig,
    /// The K most frequent words of each language keep a vector of their own; 0 is the language-agnostic model (LA).
    pub top_k: usize,
    /// Width of those vectors: FastText reduced by PCA; 0 keeps FastText's width.
    pub word_width: usize,
    /// Whether those vectors are trained, or stay as PCA left them.
    pub train_words: bool,
    /// Size of the shared latent vocabulary before unused tokens are dropped; 0 has none, and leaves out words that have no vector of
    /// their own (MULE, with `top_k` above the number of words).
    pub latents: usize,
    /// Width of the universal space.
    pub width: usize,
    /// Mean length at which the universal vectors start; the losses leave the scale open, the GRU does not.
    pub norm: f32,
    /// What happens to words not seen in training.
    pub unseen: Unseen,
    pub align: AlignConfig,
    pub pretrain: PretrainConfig,
}

impl Default for EmbeddingConfig {
    fn default() -> Self {
        EmbeddingConfig {
            kind: EmbeddingKind::Hybrid,
            characters: CharactersConfig::default(),
            top_k: 5000,
            word_width: 50,
            train_words: true,
            latents: 40_000,
            width: 512,
            norm: 20.0,
            unseen: Unseen::Scorer,
            align: AlignConfig::default(),
            pretrain: PretrainConfig::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingKind {
    /// Vectors of frequent words and latent tokens (HEM, LA, MULE).
    #[default]
    Hybrid,
    /// The word's characters (LIWE; Wehrmann et al. 2019): one small network for all words of all languages.
    Characters,
}

/// Words from characters (LIWE): the vectors of a word's characters beside each other, then layers with weight and batch
/// normalisation and leaky ReLU, the last of width `embedding.width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CharactersConfig {
    /// Width of a character's vector (S-LIWE 24, L-LIWE 120).
    pub width: usize,
    /// Characters of a word; the rest is cut, short words are filled.
    pub length: usize,
    /// Characters rarer than this in the training captions share one vector.
    pub min_count: u64,
    /// Widths of the layers before the last.
    pub hidden: Vec<usize>,
}

impl Default for CharactersConfig {
    fn default() -> Self {
        CharactersConfig { width: 24, length: 26, min_count: 4, hidden: vec![384, 448] }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// Mapped to a latent token by the scorer, from the FastText vector of their character n-grams.
    #[default]
    Scorer,
    Drop,
}

/// Warm start of the layers into the universal space (MULE's `univ_pretrain`): cross-language triplet loss on sentence averages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlignConfig {
    /// Passes over the training pictures; 0 leaves it out.
    pub epochs: usize,
    pub learning_rate: f32,
}

impl Default for AlignConfig {
    fn default() -> Self {
        AlignConfig { epochs: 5, learning_rate: 1e-3 }
    }
}

/// Pretraining of the latent vocabulary and of the assignment of words to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainConfig {
    /// Passes over the training pictures; 0 keeps the initial assignment.
    pub epochs: usize,
    pub learning_rate: f32,
    /// Probability p with which a word takes a random one of its M best tokens.
    pub exploration: f32,
    /// M.
    pub top_m: usize,
    pub estimator: Estimator,
    pub init: LatentInit,
    /// Temperature of the softmax over scores (cosines) in the estimators.
    pub temperature: f32,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        PretrainConfig {
            epochs: 3,
            learning_rate: 1e-3,
            exploration: 0.2,
            top_m: 20,
            estimator: Estimator::StraightThrough,
            init: LatentInit::Kmeans,
            temperature: 0.1,
        }
    }
}

/// How the gradient passes the hard choice of a token; the paper does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Forward the chosen token, backward through the softmax over the best M (Bengio et al. 2013).
    #[default]
    StraightThrough,
    /// Forward the chosen token times its softmax probability over itself detached (the chosen score alone is trained).
    Gate,
    /// The scorer gets no gradient: only the latent vectors are trained.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LatentInit {
    /// k-means of the aligned word vectors.
    #[default]
    Kmeans,
    /// Random words' aligned vectors.
    Words,
    /// Gaussian.
    Random,
}

/// The sentence encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    pub encoder: Encoder,
    /// Width of the GRU's state.
    pub hidden: usize,
    pub pooling: Pooling,
    /// Whether a second GRU reads from the end; the mean of both is pooled, `last` being both states at the last word (LIWE).
    pub bidirectional: bool,
    /// Whether a layer takes the pooled sentence to the joint space; without it `hidden` is the width of that space (LIWE).
    pub projection: bool,
    /// Probability with which a token is left out of a training sentence.
    pub word_dropout: f32,
    /// Whether the mean of the token vectors stands beside the GRU's state before the last layer.
    pub bag: bool,
    /// Width of the joint space.
    pub joint: usize,
    /// Dropout on the pooled sentence.
    pub dropout: f32,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            encoder: Encoder::Gru,
            hidden: 512,
            pooling: Pooling::Last,
            bidirectional: false,
            projection: true,
            word_dropout: 0.0,
            bag: false,
            joint: 512,
            dropout: 0.0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    #[default]
    Gru,
    /// The mean of the universal vectors.
    Average,
}

/// What of the GRU's states becomes the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    #[default]
    Last,
    Mean,
    Max,
}

/// The image branch: features → hidden → batch normalisation → ReLU → dropout → joint space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    pub hidden: usize,
    pub dropout: f32,
    /// What is done to a feature row before the first layer.
    pub input: ImageInput,
    /// Dropout on the features.
    pub input_dropout: f32,
}

impl Default for ImageConfig {
    fn default() -> Self {
        ImageConfig { hidden: 2048, dropout: 0.5, input: ImageInput::Raw, input_dropout: 0.0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageInput {
    /// As in the file.
    #[default]
    Raw,
    /// Each row to unit length.
    Unit,
    /// Mean and variance of each column over the training pictures.
    Standard,
    /// Signed square roots, then unit length: tames the few large values of pooled convolutions.
    Root,
}

/// The losses; a weight of 0 turns a loss off. Defaults are HEM's: the image–text triplet alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    pub triplet: TripletConfig,
    pub info_nce: InfoNceConfig,
    pub neighbourhood: NeighbourhoodConfig,
    pub mclm: MclmConfig,
    pub adversary: AdversaryConfig,
    /// λ of ½‖E − E₀‖², how far the own words' vectors E have gone from their start E₀ (MULE: 5e-7), over the words of the batch,
    /// mean of the languages.
    pub word_drift: f32,
}

/// Bidirectional image–text triplet loss (Burns et al. 2020, equations 1 and 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TripletConfig {
    pub weight: f32,
    pub margin: f32,
    /// N: the most violated negatives per positive pair.
    pub top_n: usize,
    /// λ1, the weight of sentence anchors against wrong pictures.
    pub sentence_anchor: f32,
    pub distance: Distance,
    /// Treat other captions of the same picture as negatives (wrong; for ablation).
    pub same_image_negatives: bool,
}

impl Default for TripletConfig {
    fn default() -> Self {
        TripletConfig {
            weight: 1.0,
            margin: 0.05,
            top_n: 10,
            sentence_anchor: 1.5,
            distance: Distance::Cosine,
            same_image_negatives: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// 1 − cos (the paper).
    #[default]
    Cosine,
    /// √(‖x − y‖² + 1e-4) of unit vectors (MULE's code).
    Euclidean,
}

/// Symmetric softmax loss over the batch with a temperature (van den Oord et al. 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InfoNceConfig {
    pub weight: f32,
    pub temperature: f32,
    /// Share of the target spread evenly over the batch.
    pub label_smoothing: f32,
    /// Weight of the same loss between captions of one picture in two languages.
    pub text_weight: f32,
    pub text_temperature: f32,
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        InfoNceConfig {
            weight: 0.0,
            temperature: 0.05,
            label_smoothing: 0.0,
            text_weight: 0.0,
            text_temperature: 0.05,
        }
    }
}

/// Neighbourhood constraints: captions of one picture near each other (Wang et al. 2018; MULE).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NeighbourhoodConfig {
    /// λ4 on averaged universal vectors, between languages.
    pub words: f32,
    /// λ4 on final sentence vectors, between languages.
    pub sentences: f32,
    /// On final sentence vectors, within a language.
    pub within: f32,
}

/// Masked cross-language model (Burns et al. 2020, equation 2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MclmConfig {
    /// λ2 of the variant that averages what masking leaves.
    pub average: f32,
    /// λ2 of the variant that replaces by [MASK] and runs an LSTM.
    pub lstm: f32,
    /// Share of words masked.
    pub mask: f32,
    /// Weight of the image–text triplet on the masked sentences.
    pub masked_triplet: f32,
}

impl Default for MclmConfig {
    fn default() -> Self {
        MclmConfig { average: 0.0, lstm: 0.0, mask: 0.2, masked_triplet: 0.0 }
    }
}

/// Language classifier behind gradient reversal (Ganin & Lempitsky 2015) on averaged universal vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdversaryConfig {
    /// λ3, the weight of the classifier's loss.
    pub weight: f32,
    /// Factor of the reversed gradient; grows from 0 as 2/(1+e^(−10p)) − 1 over training progress p.
    pub reversal: f32,
}

impl Default for AdversaryConfig {
    fn default() -> Self {
        AdversaryConfig { weight: 0.0, reversal: 1.0 }
    }
}

/// Batches, optimiser and schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Pictures per batch.
    pub images: usize,
    /// Captions per picture and batch for each language; languages not named take 1.
    pub captions: BTreeMap<String, usize>,
    /// T of p ∝ n^(1/T), the chance of each language to be in a batch; 0 puts all languages in every batch.
    pub language_temperature: f32,
    pub learning_rate: f32,
    /// Steps over which the rate grows from 0.
    pub warmup: usize,
    pub schedule: Schedule,
    pub optimizer: Optimizer,
    /// Largest norm of the whole gradient (of each tensor's with `bert_adam`); 0 does not clip.
    pub clip: f32,
    pub weight_decay: f32,
    /// Adam's first and second decay rate.
    pub beta1: f32,
    pub beta2: f32,
    /// Stop after so many epochs without a better validation mR; 0 never.
    pub patience: usize,
    /// Steps between checkpoints; 0 saves once an epoch.
    pub checkpoint_every: usize,
    /// Decay per step of the average of the weights that is validated and kept; 0 does not average.
    pub average: f32,
    pub precision: Precision,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: 20,
            images: 128,
            captions: BTreeMap::new(),
            language_temperature: 0.0,
            learning_rate: 1e-3,
            warmup: 0,
            schedule: Schedule::Cosine,
            optimizer: Optimizer::Adam,
            clip: 0.0,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            patience: 0,
            checkpoint_every: 0,
            average: 0.0,
            precision: Precision::F32,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine, from the end of the warm-up to the last step.
    #[default]
    Cosine,
    Constant,
    /// Half a cosine that begins with the first step, where the warm-up still holds it down (BertAdam).
    Unshifted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam with decoupled weight decay (AdamW).
    #[default]
    Adam,
    /// As BERT was trained (Devlin et al. 2019): no bias correction, ε 1e-6, biases do not decay, each tensor is clipped
    /// by itself.
    BertAdam,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// bf16 inputs of matrix products, f32 sums.
    Bf16,
}

/// Cross-lingual consistency (Burns et al. 2020, section 3.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencyConfig {
    /// What joins the languages' scores where a query comes in several; evaluation shows all three side by side.
    pub method: ConsistencyMethod,
    /// Hidden units of CLC-C.
    pub hidden: usize,
    /// Full-batch iterations.
    pub iterations: usize,
    pub learning_rate: f32,
    pub init: ConsistencyInit,
}

impl Default for ConsistencyConfig {
    fn default() -> Self {
        ConsistencyConfig {
            method: ConsistencyMethod::Network,
            hidden: 32,
            iterations: 30,
            learning_rate: 0.01,
            init: ConsistencyInit::Equal,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsistencyMethod {
    /// The mean of the languages' scores (CLC-A).
    Mean,
    /// The two-layer network (CLC-C).
    #[default]
    Network,
    /// One weight per language at the best of a convex softmax loss.
    Weighted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsistencyInit {
    /// All weights equal (the paper); every hidden unit then stays the same, so it is one weight per language.
    #[default]
    Equal,
    /// Equal plus seeded noise, which breaks the symmetry.
    Random,
}

/// How `tinyglot add-language` adds the one language of `data.languages` to a trained run. Of the other sections it reads
/// `data` and `words.vectors`; everything else is as the run has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrowConfig {
    /// Translations of sentences in languages that the run knows; captions of pictures may then be left out.
    pub translations: Vec<TranslationSource>,
    /// The K most frequent words of the language get a vector of their own; 0 makes all of them latent tokens.
    pub top_k: usize,
    /// Width of those vectors.
    pub word_width: usize,
    /// The map from the language's FastText space into that of the run: an orthogonal one, trained further.
    pub align: AlignConfig,
    /// Passes over the language's captions and translations; 0 leaves words as the alignment places them.
    pub epochs: usize,
    /// Steps at least, in alignment and training: few captions are passed over more often.
    pub least_steps: usize,
    /// Pictures, or translations, per batch.
    pub images: usize,
    pub learning_rate: f32,
    /// Weight of the neighbourhood constraint between the new sentences and the captions of each known language.
    pub neighbourhood: f32,
    /// Vectors of each picture with the noise of training (dropout, statistics of a batch), taken in turn, one an epoch, and
    /// no more than there are epochs; 0 takes the one without noise throughout.
    pub views: usize,
    /// Captions per picture of each known language that the new ones are compared with; each is embedded once.
    pub captions: usize,
    /// Passes over the captions of all languages afterwards in which everything is trained; 0 keeps the run as it was.
    pub unfrozen_epochs: usize,
    /// Learning rate of those passes.
    pub unfrozen_learning_rate: f32,
}

impl Default for GrowConfig {
    fn default() -> Self {
        GrowConfig {
            translations: Vec::new(),
            top_k: 5000,
            word_width: 50,
            align: AlignConfig::default(),
            epochs: 6,
            least_steps: 100,
            images: 128,
            learning_rate: 5e-3,
            neighbourhood: 1.0,
            views: 6,
            captions: 1,
            unfrozen_epochs: 0,
            unfrozen_learning_rate: 1e-4,
        }
    }
}

/// Two files of which line n says the same.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TranslationSource {
    /// The known language.
    pub language: String,
    /// File in the known language, relative to `data.root`.
    pub known: String,
    /// File in the new language, relative to `data.root`.
    pub new: String,
}

/// What a language that was added has of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddedConfig {
    /// Words with a vector of their own.
    pub words: usize,
    /// Width of those vectors.
    pub word_width: usize,
}

/// A text tower like CLIP's, trained from scratch beside the image branch, for want of a CLIP checkpoint to acquire languages
/// on. It takes the place of `words`, `embedding` and the GRU of `text`; of the other sections it reads `text.joint`,
/// `text.word_dropout`, `text.dropout`, `image`, `loss.triplet`, `loss.info_nce` and `train`. The run holds it in `tower/` in Hugging
/// Face's layout, and the pictures' vectors in its joint space in `pictures/{split}.npy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewTowerConfig {
    /// Blocks of attention and feed-forward; 0 trains a model of the other sections, without a tower.
    pub layers: usize,
    pub width: usize,
    /// Heads of the attention; they divide the width.
    pub heads: usize,
    /// Width between the two layers of a feed-forward part.
    pub hidden: usize,
    /// Most tokens of a sentence, those for its start and end included.
    pub context: usize,
    /// Tokens of the byte-level BPE, at most, which is learned from the training captions.
    pub vocabulary: usize,
    /// Dropout on the vectors that enter the tower.
    pub dropout: f32,
}

impl Default for NewTowerConfig {
    fn default() -> Self {
        NewTowerConfig {
            layers: 0,
            width: 256,
            heads: 4,
            hidden: 1024,
            context: 64,
            vocabulary: 6000,
            dropout: 0.0,
        }
    }
}

/// Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters behind its blocks, on
/// translations (NLT) and then on captions (LE). The stages' own numbers of epochs and rates stand in for those of `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcquireConfig {
    /// Folder of the English tower, a CLIP checkpoint in Hugging Face's layout; `data.features` then are the vectors of
    /// pictures in its joint space. Without it, a model of the other sections is trained.
    pub tower: Option<PathBuf>,
    /// Folder of the embedding for other languages, an M-BERT checkpoint; only its token embedding and tokenizer are used.
    /// Without it both begin anew, as `fresh` says.
    pub embedding: Option<PathBuf>,
    pub fresh: FreshConfig,
    /// Whether that embedding is trained, or stays as it is.
    pub train_embedding: bool,
    /// Rank of a trained product that is added to an embedding that stays as it is: a small part of its parameters; 0 adds none.
    pub rank: usize,
    /// The tower's language; the other `data.languages` are acquired.
    pub own: String,
    pub shape: AcquirerShape,
    /// Width between the two layers of an MLP.
    pub hidden: usize,
    /// Dropout on the vectors that enter the tower.
    pub dropout: f32,
    /// Compute what the gradient needs a second time instead of keeping it: a third more time, a third of the memory.
    pub recompute: bool,
    /// Sentences whose gradient is computed at a time; the loss still compares all of a batch (gradient caching, Gao et
    /// al. 2021). 0 takes the whole batch.
    pub micro_batch: usize,
    pub nlt: NltConfig,
    pub le: LeConfig,
}

impl Default for AcquireConfig {
    fn default() -> Self {
        AcquireConfig {
            tower: None,
            embedding: None,
            fresh: FreshConfig::default(),
            train_embedding: true,
            rank: 0,
            own: "en".into(),
            shape: AcquirerShape::Mlp,
            hidden: 256,
            dropout: 0.0,
            recompute: false,
            micro_batch: 0,
            nlt: NltConfig::default(),
            le: LeConfig::default(),
        }
    }
}

/// An embedding for other languages that begins anew: a byte-level BPE learned from their training captions and translations,
/// and a random vector for each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FreshConfig {
    /// Tokens of all languages together, at most.
    pub vocabulary: usize,
    /// Width of the vectors.
    pub width: usize,
}

impl Default for FreshConfig {
    fn default() -> Self {
        FreshConfig { vocabulary: 12_000, width: 256 }
    }
}

/// The form of a language acquirer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcquirerShape {
    /// x + W2 · ReLU(W1 · x).
    #[default]
    Mlp,
    /// x + W · x.
    Linear,
}

/// Native language transfer: a sentence near the English teacher's vector of its translation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NltConfig {
    /// Passes over the translations of the language with most of them; 0 leaves the stage out.
    pub epochs: usize,
    /// Translation pairs per batch, all of one language.
    pub batch: usize,
    pub learning_rate: f32,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: f32,
    /// `mse` between the vectors as they are, or `nce` between their directions.
    pub objective: Objective,
    /// For `nce`.
    pub temperature: f32,
    /// File of English sentences, one a line, relative to `data.root`; may hold `{language}`.
    pub source: Option<String>,
    /// File of their translations, e.g. `"task1/train.{language}"`.
    pub target: Option<String>,
}

impl Default for NltConfig {
    fn default() -> Self {
        NltConfig {
            epochs: 10,
            batch: 128,
            learning_rate: 2e-4,
            warmup: 0.1,
            objective: Objective::Mse,
            temperature: 0.01,
            source: None,
            target: None,
        }
    }
}

/// Language exposure: a caption near the vector of its picture, and far from other pictures'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeConfig {
    /// Passes over the training pictures in each language; 0 leaves the stage out.
    pub epochs: usize,
    /// Pictures per batch, with a caption each, all of one language.
    pub batch: usize,
    pub learning_rate: f32,
    /// Share of the steps over which the rate grows from 0.
    pub warmup: f32,
    /// `nce` both ways, or `mse`, between unit vectors.
    pub objective: Objective,
    /// For `nce`; 0.01 is CLIP's scale of 100.
    pub temperature: f32,
    /// Whether the temperature is trained from there.
    pub learn_temperature: bool,
}

impl Default for LeConfig {
    fn default() -> Self {
        LeConfig {
            epochs: 1,
            batch: 128,
            learning_rate: 5e-6,
            warmup: 0.1,
            objective: Objective::Nce,
            temperature: 0.01,
            learn_temperature: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Mean squared difference.
    #[default]
    Mse,
    /// Softmax contrast over the batch.
    Nce,
}
