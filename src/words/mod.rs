//! words
mod vocabulary;
pub use vocabulary::Vocabulary;
