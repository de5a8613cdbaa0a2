//! What a model is worth: ranks, recall, cross-lingual consistency.

pub mod recall;
pub mod similarity;

pub use recall::{Recall, Retrieval, TIE_RULE, retrieval, retrieval_in_folds};
