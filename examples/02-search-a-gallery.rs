//! A trained run as a library: sentences of two languages, the nearest pictures of a gallery.
//!
//!     cargo run --release --example 01-train
//!     cargo run --release --example 02-search-a-gallery

use std::path::Path;

use tinyglot::Result;
use tinyglot::corpus::Features;
use tinyglot::retrieve::Gallery;
use tinyglot::run::open;

fn main() -> Result<()> {
    let folder = Path::new("runs/examples");
    let run = open(&folder.join("run"), &[])?;
    let gallery = Gallery::new(&*run, &Features::open(&[folder.join("data/features/test.npy")])?)?;
    for (language, query) in [("en", "two red stars"), ("de", "zwei rote Sterne")] {
        let language = run.language(language)?;
        let query_vectors = run.sentences(language, &[query]).vectors; // (1, joint)
        println!("{query}");
        for found in &gallery.search(&query_vectors, 3)[0] {
            println!("  {:.3}  picture {}", found.score, found.row);
        }
    }
    Ok(())
}
