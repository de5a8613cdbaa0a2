//! Pictures and captions of which each language has its own, as WIT, XTD10, Crossmodal-3600, COCO-CN or STAIR.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::{Known, best};
use crate::checksum::sha256;
use crate::config::{Config, Setting, Source};
use crate::corpus::{Corpus, SplitName, Wanted, fingerprint_of};
use crate::error::InFile;
use crate::{Error, Result};

/// The place of a code in the paths of features.
const LANGUAGE: &str = "{language}";

/// Which captions ask, and for which pictures, by the names of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Every caption asks, in one gallery.
    All,
    /// The first five captions of each picture ask.
    FirstFive,
    /// COCO's 1K: 5,000 pictures in five galleries of 1,000, and the mean of them.
    OneK,
}

impl Protocol {
    /// As it is named on a command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::All => "all",
            Protocol::FirstFive => "first-five",
            Protocol::OneK => "1k",
        }
    }
}

/// A corpus for each language.
pub struct Galleries {
    /// What the result is kept by.
    pub name: String,
    /// SHA-256 of captions and pictures.
    pub data: String,
    /// How they ask.
    pub protocol: Protocol,
    /// The split of each corpus that asks.
    pub split: SplitName,
    /// The codes as the model has them, and the corpora, each of its language alone.
    pub corpora: Vec<(String, Corpus)>,
    /// What was passed over, for people.
    pub notes: Vec<String>,
}

impl Galleries {
    /// Reads a configuration whose `data.features` (and `data.image_ids`) have `{language}`: for each of its languages that the model knows the
    /// pictures and captions of `split`, or of the set `other` in its place.
    ///
    /// # Errors
    /// Config: a configuration that cannot be used, or whose pictures are those of all languages; data: captions and pictures that do not fit,
    /// no language that the model knows, or another number of pictures than the protocol is made for.
    pub fn read(
        file: &Path,
        name: Option<&str>,
        known: Known,
        split: SplitName,
        other: Option<String>,
        protocol: Protocol,
    ) -> Result<Galleries> {
        let text = std::fs::read_to_string(file).map_err(|e| Error::reading(file, e))?;
        let table: Table = toml::from_str(&text)
            .map_err(|e| Error::config(format!("is not TOML: {}", e.message())).at(file))?;
        let data = table.get("data").and_then(Value::as_table).cloned().unwrap_or_default();
        let codes: Vec<String> =
            data.get("languages").and_then(|l| l.clone().try_into().ok()).unwrap_or_default();
        if codes.is_empty() || !paths(&data).any(|(_, path)| path.to_string().contains(LANGUAGE)) {
            let what = "has no pictures for each language: `data.features` has no `{language}`, or there is no `data.languages`";
            return Err(Error::config(what).at(file).hint(
                "e.g. `features = [\"{language}/{split}.npy\"]`; where all languages have the same pictures, `--data` and the task `recall` are for them",
            ));
        }
        let there = codes.iter().map(|code| (code.clone(), PathBuf::from(code))).collect();
        let there = best(there, |code| known.data.meant(known.languages, code)).in_file(file)?;
        if there.files.is_empty() {
            let what = format!("the run knows none of the languages `{}`", codes.join("`, `"));
            return Err(Error::data(what).at(file).hint(known.hint()));
        }
        let (mut corpora, mut hash) = (Vec::new(), Sha256::new());
        for (place, theirs) in there.files {
            let (ours, theirs) = (known.languages[place].clone(), theirs.to_string_lossy().into_owned());
            let mut corpus = one(file, &data, &ours, &theirs, split, other.clone())?;
            if protocol == Protocol::FirstFive {
                first_five(&mut corpus, split);
            }
            let pictures = corpus.split(split).features.rows();
            if protocol == Protocol::OneK && pictures != 5000 {
                let what = format!(
                    "the gallery of `{ours}` has {pictures} pictures, and the protocol 1k is of 5,000"
                );
                return Err(Error::data(what).at(file).hint("leave `--protocol 1k` out, or use `--folds`"));
            }
            hash.update(&ours);
            hash.update(fingerprint_of(&corpus, split, Source::Human)?);
            corpora.push((ours, corpus));
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let set = match (&other, split) {
            (None, SplitName::Test) => stem.into_owned(),
            (None, split) => format!("{stem}-{split}"),
            (Some(other), _) => format!("{stem}-{other}"),
        };
        let set = name.map_or(set, String::from);
        let name = if protocol == Protocol::All { set } else { format!("{set}-{}", protocol.name()) };
        let notes = match there.passed_over.is_empty() {
            true => Vec::new(),
            false => {
                vec![format!("`{}` is passed over: the run does not know it", there.passed_over.join("`, `"))]
            }
        };
        Ok(Galleries { name, data: sha256(hash), protocol, split, corpora, notes })
    }
}

/// The keys of paths that a language may stand in, and what they say.
fn paths(data: &Table) -> impl Iterator<Item = (&'static str, &Value)> {
    ["features", "image_ids", "images"].into_iter().filter_map(|key| Some((key, data.get(key)?)))
}

/// The corpus of one language, which the configuration has as `theirs`.
fn one(
    file: &Path,
    data: &Table,
    ours: &str,
    theirs: &str,
    split: SplitName,
    other: Option<String>,
) -> Result<Corpus> {
    let list = |code: &str| Value::Array(vec![Value::String(code.to_string())]);
    let mut set = vec![("languages", list(ours))];
    if ours != theirs {
        set.push(("codes", Value::Table([(ours.to_string(), list(theirs))].into_iter().collect())));
    }
    set.extend(paths(data).map(|(key, path)| (key, of_language(path, theirs))));
    let origin = format!("`{}` for `{theirs}`", file.display());
    let setting = |(key, value)| Setting { key: format!("data.{key}"), value, origin: origin.clone() };
    let config = Config::load_with(file, &set.into_iter().map(setting).collect::<Vec<_>>(), &[])?;
    Corpus::load_part(config.data(), config.base(), Wanted::only(split, other, false)).in_file(file)
}

/// Paths with the code in its place.
fn of_language(paths: &Value, code: &str) -> Value {
    match paths {
        Value::String(path) => Value::String(path.replace(LANGUAGE, code)),
        Value::Array(paths) => Value::Array(paths.iter().map(|path| of_language(path, code)).collect()),
        other => other.clone(),
    }
}

/// Keeps the first five captions of each picture, in the order of the files.
fn first_five(corpus: &mut Corpus, split: SplitName) {
    let captions = match split {
        SplitName::Train => &mut corpus.train.captions,
        SplitName::Val => &mut corpus.val.captions,
        SplitName::Test | SplitName::Distractors => &mut corpus.test.captions,
    };
    for captions in captions {
        let (mut image, mut count) = (u32::MAX, 0);
        captions.retain(|caption| {
            count = if caption.image == image { count + 1 } else { 1 };
            image = caption.image;
            count <= 5
        });
    }
}
