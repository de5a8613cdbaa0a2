//! The configuration that is written: short, each key with its reason.

use std::fmt::Write as _;
use std::path::Path;

use toml::Value;

use super::columns::Text;
use super::found::Found;
use super::is_features;
use crate::config::{CaptionFormat, CaptionKeys};
use crate::photos::template;
use crate::{Error, Result};

/// What a configuration says, beside what its table holds.
pub(super) struct Written<'a> {
    /// The folder that it will be in.
    pub folder: &'a Path,
    /// Its name there.
    pub name: &'a str,
    pub photographs: &'a Path,
    pub features: &'a Path,
    /// What made them of photographs.
    pub tower: Option<&'a Path>,
    pub ids: Option<&'a Path>,
    pub table: &'a Path,
    pub format: CaptionFormat,
    pub found: &'a Found,
    /// Places of the languages that are trained.
    pub languages: &'a [usize],
    /// Photographs to train on.
    pub train: usize,
    /// A file beside it, or elsewhere.
    pub splits: &'a str,
    /// Whether captions speak of pictures that have no features.
    pub unknown: bool,
}

impl Written<'_> {
    /// The text of the configuration.
    ///
    /// # Errors
    /// Config, for a path that is not Unicode.
    pub(super) fn text(&self) -> Result<String> {
        let Written { folder, name, found, .. } = self;
        let path = |path: &Path| self.path(path);
        let all = |languages: &[usize]| -> Value {
            let used = languages.iter().filter(|place| self.languages.contains(place));
            Value::Array(used.map(|&place| string(&found.languages[place].code)).collect())
        };
        let (shown, config) = (folder.display(), folder.join(format!("{name}.toml")));
        let captions: u32 = found.languages.iter().flat_map(|spoken| &spoken.captions).sum();
        let mut text = String::new();
        let _ = write!(
            text,
            "\
# {captions} captions of `{}` about photographs of `{}`, as `tinyglot init` found them.
#
#     tinyglot train {} --out runs/{name}
#     tinyglot evaluate runs/{name} --split test
#     tinyglot search runs/{name} --language {} --gallery {} \"{}\"
#
# Paths are relative to this folder, {shown}. `tinyglot config schema` describes every key.

[data]
languages = {}
features = [{}]
",
            self.table.display(),
            self.photographs.display(),
            config.display(),
            found.languages[self.languages[0]].code,
            self.features.display(),
            self.question(),
            all(self.languages),
            path(self.features)?,
        );
        if let Some(ids) = self.ids {
            let _ = writeln!(text, "image_ids = {}", path(ids)?);
        }
        let _ = writeln!(
            text,
            "# Which photograph is in train, val or test, {}. Photographs of one `group` in it show the same.\nsplit = {}",
            match &found.columns.split {
                Some(column) => format!("as `{column}` of the table says (what it lacks is drawn by `init`)"),
                None => "drawn by `init`".into(),
            },
            string(self.splits)
        );
        if let (false, Some(images)) = (is_features(self.photographs), template(self.photographs)) {
            let _ = writeln!(text, "# For the report.\nimages = {}", path(Path::new(&images))?);
        }
        if let Some(tower) = self.tower {
            let _ = writeln!(
                text,
                "# What made the features: `tinyglot index RUN --photos` takes it.\ntower = {}",
                path(tower)?
            );
        }
        for (spoken, column) in found.texts.iter().zip(&found.columns.texts) {
            if !spoken.iter().any(|place| self.languages.contains(place)) {
                continue;
            }
            let _ = write!(
                text,
                "\n[[data.captions]]\nformat = {}\nlanguages = {}\nfiles = [{}]\nkeys = {}\n",
                string(format_name(self.format)),
                all(spoken),
                path(self.table)?,
                self.keys(column)
            );
            if self.unknown {
                text += "# Captions of pictures that have no features are left out.\nskip_unknown = true\n";
            }
        }
        text += &choices(self.train, found.words);
        Ok(text)
    }

    fn keys(&self, column: &Text) -> Value {
        let CaptionKeys { image, text, language, source, split: _ } = self.found.columns.keys(column);
        let named = [("image", image), ("text", text), ("language", language), ("source", source)];
        Value::Table(named.into_iter().filter_map(|(key, name)| Some((key.into(), string(&name?)))).collect())
    }

    /// A caption that a shell takes as it is, to search by.
    fn question(&self) -> &str {
        let text = &self.found.languages[self.languages[0]].example.1;
        let plain = text.len() < 80 && !text.contains(['"', '\\', '$', '`', '!', '\n', '\r']);
        if plain { text } else { "…" }
    }

    /// A path as the configuration has it: from its folder, where it leads into that, else in full.
    fn path(&self, path: &Path) -> Result<Value> {
        let full = |path: &Path| std::path::absolute(path).map_err(|e| Error::reading(path, e));
        let (whole, folder) = (full(path)?, full(self.folder)?);
        let path = whole.strip_prefix(&folder).unwrap_or(&whole);
        let text = path.to_str().ok_or_else(|| {
            Error::config("cannot be written into a configuration: it is not Unicode")
                .at(path)
                .hint("rename it")
        })?;
        Ok(string(text))
    }
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn format_name(format: CaptionFormat) -> &'static str {
    match format {
        CaptionFormat::Json => "json",
        CaptionFormat::Jsonl => "jsonl",
        CaptionFormat::Parquet => "parquet",
        _ => "csv",
    }
}

/// Photographs to train on below which single words are learnt best.
const FEW: usize = 3000;
/// Different words below which word vectors are small.
const FEW_WORDS: usize = 3000;
/// Steps that few photographs are learnt in, where epochs are not too many.
const STEPS: usize = 640;

/// The sizes of a model for so much data.
fn choices(train: usize, words: usize) -> String {
    let images = (train / 32).clamp(8, 128).min(train);
    let (width, mut text) = match words < FEW_WORDS {
        true => (100, SMALL_VECTORS.to_string()),
        false => (300, String::new()),
    };
    let _ = match train < FEW {
        true => write!(
            text,
            "
# So few photographs teach single words best: frequent ones have vectors of their own, and a sentence is the mean of its words.
[embedding]
top_k = 5000
word_width = {width}
latents = {}

[embedding.pretrain]
epochs = 2
learning_rate = 1e-4

[text]
encoder = \"average\"

[loss.info_nce]
weight = 1.0

# Some {STEPS} steps; the epoch that is best on val counts.
[train]
epochs = {}
images = {images}
learning_rate = 2e-3
",
            (words / 32).clamp(40, 2000),
            (STEPS * images / train.max(1)).clamp(20, 60),
        ),
        false => write!(
            text,
            "
# So many photographs teach sentences: all words share {latents} latent ones, and their mean stands beside the recurrent network's state.
[embedding]
top_k = 0
latents = {latents}

[text]
bag = true

[loss.triplet]
margin = 0.1

# The epoch that is best on val counts.
[train]
epochs = {}
images = {images}
",
            (144_000 / train).clamp(12, 60),
            latents = (words / 8).clamp(40, 5000),
        ),
    };
    text + COMMON
}

const SMALL_VECTORS: &str = "
# Few words: small vectors, more often seen.
[words.fasttext]
width = 100
epochs = 20
buckets = 20_000
";

const COMMON: &str = "\
average = 0.99
precision = \"bf16\"

[image]
input_dropout = 0.2
";
