//! A corpus of little pictures, drawn here: to try everything on, without a download.
//!
//! A picture shows one to three groups of things (shape, colour, size, number, place) on a ground. Its captions
//! are written in eleven languages by small grammars; every caption tells its own part of the truth in its own
//! words, as people do, so that captions of two languages are no translations of each other. Beside them stands
//! one sentence per picture that says the same in all languages. The features come from the pixels alone.
//!
//! Everything about a picture follows from the seed, its split and its number: larger splits, other languages
//! or more captions change nothing of what was there.

mod caption;
mod dice;
mod draw;
mod features;
mod grammar;
mod lang;
mod scene;
mod shape;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::building;
use crate::error::{Error, Result};
use crate::lock::Lock;
use caption::caption;
use dice::Dice;
use draw::Picture;
use grammar::Facts;
pub use grammar::LANGUAGES;
use scene::Scene;

/// What to draw and write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenesConfig {
    /// Same seed, same bytes.
    pub seed: u64,
    /// Pictures for training.
    pub train: usize,
    /// Pictures for choosing.
    pub val: usize,
    /// Pictures for reporting.
    pub test: usize,
    /// Captions per picture and language.
    pub captions: usize,
    /// Some of [`LANGUAGES`].
    pub languages: Vec<String>,
}

impl Default for ScenesConfig {
    /// 1500, 200 and 500 pictures, two captions each in all languages but Quechua.
    fn default() -> Self {
        let languages = LANGUAGES.iter().take(10).map(|l| l.to_string()).collect();
        ScenesConfig { seed: 1, train: 1500, val: 200, test: 500, captions: 2, languages }
    }
}

/// Pictures drawn between two reports of progress.
const BATCH: usize = 64;

// What the throws of a picture are for; each language has its own beside them.
const CONTENT: u64 = 0;
const GRAIN: u64 = 1;
const SHARED_FACTS: u64 = 2;

/// Draws the pictures and writes the corpus into the folder `out`:
///
/// - `images/{id}.png` (96×96 RGB), `image_splits/{split}.txt` (ids, one a line)
/// - `features/{split}.npy` (f32, one row per picture, in the order of the ids)
/// - `captions/{split}.{n}.{language}` (line i = picture i; n from 1)
/// - `parallel/{split}.{language}` (the same, one sentence that says the same in all languages)
/// - `README.md`
///
/// `progress` hears how many pictures of how many are done.
///
/// # Errors
/// A folder that is not empty, a language that is not in [`LANGUAGES`], no pictures or captions, or a file that
/// cannot be written.
pub fn write(out: &Path, config: &ScenesConfig, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
    check(config)?;
    fs::create_dir_all(out).map_err(|e| Error::writing(out, e))?;
    let _alone = Lock::take(&out.join(LOCK), out)?;
    building::recover(out, README)?;
    refuse_files(out)?;
    building::build(out, README, |out| write_all(out, config, progress))
}

/// The lock of a folder that is being written; the file that comes last.
const LOCK: &str = "scenes.lock";
const README: &str = "README.md";

fn write_all(out: &Path, config: &ScenesConfig, progress: &mut dyn FnMut(usize, usize)) -> Result<()> {
    make_folders(out)?;
    let total = config.train + config.val + config.test;
    let mut done = 0;
    for (number, (split, pictures)) in splits(config).into_iter().enumerate() {
        let mut rows = Vec::with_capacity(pictures);
        for first in (0..pictures).step_by(BATCH) {
            let last = (first + BATCH).min(pictures);
            let batch: Result<Vec<Row>> = (first..last)
                .into_par_iter()
                .map(|index| draw_and_tell(out, config, split, [config.seed, number as u64, index as u64]))
                .collect();
            rows.extend(batch?);
            done += last - first;
            progress(done, total);
        }
        write_split(out, config, split, &rows)?;
    }
    save(&out.join(README), readme(config).as_bytes())
}

/// What is known of one picture once it is on the disk.
struct Row {
    id: String,
    features: Vec<f32>,
    /// Per language, then per caption; the last is the parallel sentence.
    captions: Vec<Vec<String>>,
}

fn splits(config: &ScenesConfig) -> [(&'static str, usize); 3] {
    [("train", config.train), ("val", config.val), ("test", config.test)]
}

fn check(config: &ScenesConfig) -> Result<()> {
    for (split, pictures) in splits(config) {
        if pictures == 0 {
            return Err(Error::usage(format!("the split `{split}` would have no pictures"))
                .hint("ask for at least 1 picture in every split"));
        }
    }
    if config.captions == 0 {
        return Err(Error::usage("0 captions per picture").hint("ask for at least 1"));
    }
    if config.languages.is_empty() {
        return Err(Error::usage("no language").hint(format!("choose some of {}", LANGUAGES.join(", "))));
    }
    let mut seen = BTreeSet::new();
    for language in &config.languages {
        if lang::grammar(language).is_none() {
            return Err(Error::usage(format!("the picture corpus has no language `{language}`"))
                .hint(format!("choose some of {}", LANGUAGES.join(", "))));
        }
        if !seen.insert(language) {
            return Err(
                Error::usage(format!("the language `{language}` is named twice")).hint("name it once")
            );
        }
    }
    Ok(())
}

fn refuse_files(out: &Path) -> Result<()> {
    let mut entries = fs::read_dir(out).map_err(|e| Error::writing(out, e))?;
    match entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)) {
        true => Err(Error::usage("the folder is not empty").at(out).hint("give a new or an empty folder")),
        false => Ok(()),
    }
}

fn make_folders(out: &Path) -> Result<()> {
    for folder in ["images", "image_splits", "features", "captions", "parallel"] {
        let path = out.join(folder);
        fs::create_dir_all(&path).map_err(|e| Error::writing(&path, e))?;
    }
    Ok(())
}

/// Draws one picture, saves it, looks at its pixels and tells of it.
fn draw_and_tell(
    out: &Path,
    config: &ScenesConfig,
    split: &str,
    [seed, number, index]: [u64; 3],
) -> Result<Row> {
    let throws = |purpose: u64| Dice::new([seed, number, index, purpose]);
    let scene = Scene::sample(&mut throws(CONTENT));
    let picture = Picture::draw(&scene, &mut throws(GRAIN));
    let id = format!("{split}_{:05}", index + 1);
    picture.write(&out.join("images").join(format!("{id}.png")))?;
    let shared = Facts::sample(&scene, &mut throws(SHARED_FACTS));
    let captions = config.languages.iter().map(|language| {
        // Every language has its own throws, whichever others are written.
        let place = LANGUAGES.iter().position(|l| l == language).expect("languages are checked") as u64;
        let own = (place + 1) << 32;
        let mut told: Vec<String> = Vec::with_capacity(config.captions + 1);
        for n in 0..config.captions {
            let text = fresh(&scene, language, &mut throws(own + 1 + n as u64), &told);
            told.push(text);
        }
        told.push(caption(&shared, language, &mut throws(own)).expect("languages are checked"));
        told
    });
    Ok(Row { id, features: features::features(&picture), captions: captions.collect() })
}

/// A caption unlike those already told, as far as a few tries find one.
fn fresh(scene: &Scene, language: &str, dice: &mut Dice, told: &[String]) -> String {
    let mut text = String::new();
    for _ in 0..50 {
        let facts = Facts::sample(scene, dice);
        text = caption(&facts, language, dice).expect("languages are checked");
        if !told.contains(&text) {
            break;
        }
    }
    text
}

fn write_split(out: &Path, config: &ScenesConfig, split: &str, rows: &[Row]) -> Result<()> {
    let lines = |line: &dyn Fn(&Row) -> String| {
        rows.iter().fold(String::new(), |all, row| all + &line(row) + "\n").into_bytes()
    };
    save(&out.join("image_splits").join(format!("{split}.txt")), &lines(&|row| row.id.clone()))?;
    for (l, language) in config.languages.iter().enumerate() {
        for n in 0..config.captions {
            let file = out.join("captions").join(format!("{split}.{}.{language}", n + 1));
            save(&file, &lines(&|row| row.captions[l][n].clone()))?;
        }
        let file = out.join("parallel").join(format!("{split}.{language}"));
        save(&file, &lines(&|row| row.captions[l][config.captions].clone()))?;
    }
    let values: Vec<f32> = rows.iter().flat_map(|row| row.features.iter().copied()).collect();
    write_npy(&out.join("features").join(format!("{split}.npy")), rows.len(), features::WIDTH, &values)
}

/// A matrix of f32 in NumPy's format, version 1.0: rows × width, row by row.
fn write_npy(file: &Path, rows: usize, width: usize, values: &[f32]) -> Result<()> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    // Magic, version and length are 10 bytes; the data starts at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    save(file, &bytes)
}

fn save(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).map_err(|e| Error::writing(file, e))
}

fn readme(config: &ScenesConfig) -> String {
    let mut text = format!(
        "# Little pictures\n\nDrawn and captioned by tinyglot {} from seed {}; the same seed gives the same bytes.\n\n",
        env!("CARGO_PKG_VERSION"),
        config.seed
    );
    for (split, pictures) in splits(config) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {split}: {pictures} pictures");
    }
    let _ = write!(
        text,
        "\nLanguages: {}. Captions per picture and language: {}.\n\n\
         - `images/ID.png`: 96×96 pixels, RGB\n\
         - `image_splits/SPLIT.txt`: the ids; line i of every other file of the split speaks of the same picture\n\
         - `features/SPLIT.npy`: {} numbers per picture, computed from its pixels alone\n\
         - `captions/SPLIT.N.LANGUAGE`: each tells its own part of the truth; no translations of each other\n\
         - `parallel/SPLIT.LANGUAGE`: one sentence per picture, the same facts in every language\n",
        config.languages.join(", "),
        config.captions,
        features::WIDTH
    );
    text
}

#[cfg(test)]
mod tests;
