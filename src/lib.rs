//! tinyglot trains compact text↔image retrieval models for many languages on one GPU, or a CPU.
//!
//! The modules stand in the order in which data flows; a module imports those above it.
//!
//! ```text
//! captions + features ─ corpus ─ words ─ embedding ─ text ─┐
//!                                                          ├─ model ─ train ─ checkpoint ─ eval ─ report
//! features ───────────────────────────── image ────────────┘                                 └ grow
//! ```

// What everything uses.
pub mod border;
pub mod building;
pub mod checksum;
pub mod config;
pub mod device;
pub mod error;
pub mod finite;
pub mod lock;
pub mod map;
pub mod names;
pub mod stop;
pub mod write;

// What comes in.
pub mod corpus;
pub mod scenes;
pub mod words;

// Operations with gradients, and what updates parameters.
pub mod ops;
pub mod optim;

// The model and its losses.
pub mod embedding;
pub mod image;
pub mod init;
pub mod loss;
pub mod model;
pub mod sizes;
pub mod text;
pub mod tower;

// Training: what a step sees, what it minimises, what comes before it and what it leaves.
pub mod batch;
pub mod cache;
pub mod checkpoint;
pub mod clip;
pub mod mla;
pub mod objective;
pub mod prepare;
pub mod pretrain;
pub mod train;
pub mod work;

// What a model is worth, and what users see.
pub mod cli;
pub mod eval;
pub mod inference;
pub mod report;
pub mod run;
pub mod sweep;

// A new language on a finished model.
pub mod grow;

pub use error::{Error, Result};
