//! From a configuration to a trained run: little pictures with captions in three languages, a few seconds.
//!
//!     cargo run --release --example 01-train

use std::path::Path;

use tinyglot::Result;
use tinyglot::config::Config;
use tinyglot::corpus::{Corpus, SplitName};
use tinyglot::eval::Scope;
use tinyglot::run::train;
use tinyglot::scenes::{self, ScenesConfig};

const FOLDER: &str = "runs/examples";
const CONFIG: &str = r#"
[data]
root = "data"
languages = ["en", "de", "cs"]
[[data.captions]]
languages = ["en", "de", "cs"]
files = ["captions/{split}.1.{language}"]
[words.fasttext]
width = 64
buckets = 2_000
[embedding]
top_k = 50
latents = 60
width = 64
[text]
hidden = 64
joint = 64
pooling = "max"
[image]
hidden = 64
input = "standard"
[train]
epochs = 15
images = 30
learning_rate = 4e-3
[loss.info_nce]
weight = 1.0
"#;

fn main() -> Result<()> {
    let folder = Path::new(FOLDER);
    // French and Quechua are for the example that adds a language.
    let languages = ["en", "de", "cs", "fr", "qu"].map(String::from).to_vec();
    let pictures = ScenesConfig { seed: 1, train: 400, val: 50, test: 50, captions: 1, languages };
    scenes::write(&folder.join("data"), &pictures, &mut |_, _| ())?;
    std::fs::write(folder.join("config.toml"), CONFIG).expect("a folder to write to");

    let config = Config::load(&folder.join("config.toml"), &[])?;
    let run = train(&config, &folder.join("run"))?; // the best checkpoint
    let evaluation = run.evaluate(&Corpus::of(&config)?, Scope::whole(SplitName::Test))?;
    println!("{evaluation}\nmean recall {:.1} % on test", evaluation.a);
    Ok(())
}
