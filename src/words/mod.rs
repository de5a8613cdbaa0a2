//! Words: how text becomes tokens, which tokens are known, and the vector of each.
//!
//! [`Segmenter`] cuts a caption into words, [`Vocabulary`] counts those of the training captions,
//! [`WordVectors`] gives a FastText vector for each (trained here, or read from `.bin` or `.vec`), and [`Pca`] reduces them.

mod clip;
mod dictionary;
mod fasttext;
mod language;
mod ngrams;
mod normalise;
mod pca;
mod procrustes;
mod segment;
mod tokenizer;
mod unicode;
mod vec;
mod vectors;
mod vocabulary;

pub use dictionary::Dictionary;
pub use language::with_dotless;
pub use pca::Pca;
pub use procrustes::procrustes;
pub use segment::{LONGEST, Segmenter, Tokens};
pub use tokenizer::HuggingFace;
pub use vectors::WordVectors;
pub use vocabulary::Vocabulary;
