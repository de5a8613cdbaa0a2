//! A language added to a trained run, from captions of pictures and translations of English; the others keep every bit.
//!
//!     cargo run --release --example 01-train
//!     cargo run --release --example 03-add-a-language

use std::path::Path;
use std::sync::atomic::AtomicBool;

use tinyglot::Result;
use tinyglot::config::Config;
use tinyglot::grow::Addition;
use tinyglot::run::add_language;

const CONFIG: &str = r#"
[data]
root = "data"
languages = ["fr"]
[[data.captions]]
languages = ["fr"]
files = ["captions/{split}.1.{language}"]
[grow]
top_k = 50
rank = 8
epochs = 12
images = 30
[[grow.translations]]
language = "en"
known = "parallel/train.en"
new = "parallel/train.fr"
"#;

fn main() -> Result<()> {
    let folder = Path::new("runs/examples");
    let config = Config::from_toml(CONFIG, &folder.join("french.toml"))?; // paths are relative to its folder
    let addition = Addition {
        run: &folder.join("run"),
        given: &config,
        cache: None,
        curve: &[200], // measured with so many sentences, too
        out: &folder.join("run-fr"),
        resume: false,
        stop: &AtomicBool::new(false),
    };
    let growth = add_language(&addition, &mut |_, _, _, _| Ok(()), &mut |_| ())?;
    println!("{growth}");
    assert!(growth.unchanged());
    Ok(())
}
