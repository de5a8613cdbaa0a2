//! Drives the real command.

mod acquire;
mod acquire_more;
#[path = "../shared/acquisition.rs"]
mod acquisition;
mod benchmarks;
mod clip_sizes;
mod command;
mod config;
mod configs;
mod contrastive;
#[path = "../shared/contrastive.rs"]
mod contrastive_config;
mod corpus;
mod cross_modal;
mod examples;
mod export;
mod floors;
#[cfg(feature = "cuda")]
mod gpu;
mod grow;
mod guide;
mod index;
mod init;
mod inputs_captions;
mod inputs_features;
mod inputs_text;
mod interrupt;
mod keys;
mod lay_out;
mod pack;
mod pages;
mod paper;
mod paths;
mod photographs;
#[path = "../shared/program.rs"]
mod program;
mod refusals;
mod resume;
mod rivals;
mod serve;
#[path = "../shared/server.rs"]
mod server;
mod sweep;
mod sweep_machines;
mod tasks;
mod teacher;
mod together;
mod tower_texts;
mod whole;

use program::{Ran, ended, printed, run, text, tinyglot, without_checksum};
