//! Token → vector in the universal space: few words of their own per language, and a latent vocabulary shared by all;
//! or words from their characters.

pub mod characters;
pub mod encoder;
pub mod hybrid;
pub mod kmeans;
pub mod lexicon;
pub mod scorer;

pub use hybrid::HybridEmbedding;
pub use lexicon::{Lexicon, Slot, TokenRows};
pub use scorer::Scorer;
