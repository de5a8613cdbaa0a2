//! tinyglot trains compact text↔image retrieval models for many languages on one GPU, or a CPU.
//!
//! The modules stand on floors: each imports from its own floor and from those above it, and no two import one another
//! (`tests/it/floors.rs`). ARCHITECTURE.md shows the way of the data.

// What everything uses.
pub mod border;
pub mod error;
pub mod finite;
pub mod names;
pub mod seed;
pub mod shard;
pub mod stop;

// Files.
pub mod building;
pub mod cache;
pub mod checksum;
pub mod lock;
pub mod map;
pub mod numbers;
pub mod onnx;
pub mod write;

// What comes in.
pub mod config;
pub mod corpus;
pub mod scenes;
pub mod words;

// Operations with gradients, what updates parameters, and losses.
pub mod device;
pub mod loss;
pub mod ops;
pub mod optim;

// Gradients against finite differences.
pub mod gradcheck;

// Parts that models of several families are made of.
pub mod image;
pub mod init;
pub mod photos;
pub mod pixels;
pub mod tower;

// Training: what a step sees, what it leaves, and what it is worth.
pub mod checkpoint;
pub mod estimate;
pub mod eval;
pub mod grow;
pub mod retrieve;
pub mod sampler;
pub mod train;

// The families of models.
pub mod family;

// What users do: data made ready, and a model of any family.
pub mod published;
pub mod report;
pub mod run;
pub mod setup;
pub mod sweep;

// A trained run for those who only search, and for other programs.
pub mod export;
pub mod serve;

// The command.
pub mod cli;

pub use error::{Error, Result};
