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
pub mod error;
pub mod finite;
pub mod names;
pub mod seed;
pub mod stop;

// Files.
pub mod building;
pub mod cache;
pub mod checksum;
pub mod lock;
pub mod map;
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

// Parts that models of several families are made of.
pub mod image;
pub mod init;
pub mod tower;

// Training: what a step sees, what it leaves, and what it is worth.
pub mod checkpoint;
pub mod estimate;
pub mod eval;
pub mod grow;
pub mod retrieve;
pub mod sampler;
pub mod train;

// The families, and what users do with any of them.
pub mod cli;
pub mod family;
pub mod report;
pub mod run;
pub mod sweep;

pub use error::{Error, Result};
