//! What a user writes (TOML), and the checked type that everything else takes.

mod sections;

pub use sections::*;
