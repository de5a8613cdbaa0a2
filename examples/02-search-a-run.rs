//! A trained run as a library: one sentence, the nearest pictures of a gallery.
//!
//!     cargo run --release -- demo
//!     cargo run --release --example 02-search-a-run -- runs/demo/run en runs/demo/data/features/test.npy "two red stars"

use std::path::Path;

use tinyglot::Result;
use tinyglot::corpus::Features;
use tinyglot::run::open;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [run, language, gallery, query] = &args[..] else {
        println!("usage: 02-search-a-run RUN LANGUAGE GALLERY QUERY");
        return Ok(());
    };
    let mut run = open(Path::new(run), &[])?;
    let language = run.language(language)?;
    let gallery = Features::open(&[gallery.into()])?;
    let query = run.sentences(language, &[query]).vectors;
    for found in &run.search(&gallery, &query, 5)?[0] {
        println!("{:.3}  row {}", found.score, found.row);
    }
    Ok(())
}
