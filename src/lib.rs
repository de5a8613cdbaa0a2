//! tinyglot trains compact text↔image retrieval models for many languages on one GPU, or a CPU.
//!
//! The modules in the order in which data flows; a module imports only those above it.

pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod corpus;
pub mod device;
pub mod embedding;
pub mod error;
pub mod eval;
pub mod image;
pub mod inference;
pub mod loss;
pub mod model;
pub mod objective;
pub mod ops;
pub mod optim;
pub mod prepare;
pub mod pretrain;
pub mod report;
pub mod run;
pub mod scenes;
pub mod text;
pub mod train;
pub mod words;

pub use error::{Error, Result};
