//! From what people have, photographs and a table of captions, to a configuration that trains on them.
//!
//! The photographs are looked at for near duplicates, become features by a picture tower, and are shared out among training, validation and
//! test. What was guessed is told.

mod columns;
mod found;
mod languages;
mod sides;
mod written;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::building;
use crate::config::{Config, Precision};
use crate::corpus::{Assigned, Corpus, Features, Names, SplitName, Splits, Table, read_ids};
use crate::error::Kind;
use crate::lock::Lock;
use crate::photos::{self, Photographs, alike, embed};
use crate::pixels::Decoding;
use crate::write::write_whole;
use crate::{Error, Result};

pub use columns::{Asked, Columns, Text, Told as LanguageTold};
pub use found::{Examples, Found, Spoken};
pub use sides::{Pictured, Sizes, sides};

/// How a configuration is made.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The folder that it is written into, with the splits, and the features where they are made.
    pub out: &'a Path,
    /// The picture tower that makes the features of photographs.
    pub tower: Option<&'a Path>,
    /// The ids of features that do not hold them; by default the file beside them that ends in `.ids`.
    pub ids: Option<&'a Path>,
    /// What the user says of the table.
    pub asked: &'a Asked,
    /// How photographs are shared out.
    pub sizes: Sizes,
    /// Raised to stop.
    pub stop: &'a AtomicBool,
}

/// What is told on the way.
pub enum Told<'a> {
    /// A line for everyone.
    Line(&'a str),
    /// Something that is probably not as the user wants it.
    Warning(&'a str),
    /// So many photographs are looked at for near duplicates.
    Comparing(usize),
    /// So many more are.
    Compared(usize),
    /// Of the making of features.
    Embedding(photos::Told<'a>),
}

/// What photographs are given as.
enum Pictures {
    Photographs(Photographs),
    /// Their features, and where the ids are from, if from a file of their own.
    Features(Features, Option<PathBuf>),
}

/// Whether a file is one of features, by its ending.
pub fn is_features(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npy" || ending == "safetensors")
}

/// Makes a configuration `OUT/NAME.toml`, NAME being the name of the folder, for photographs and a table of captions: with `OUT/splits.tsv`, and
/// where a tower makes them, `OUT/features.npy` and what goes with it. Gives the path of the configuration. `pictures` are a folder, a list or a tar
/// of photographs, or a file of features.
///
/// The configuration and its splits appear together or not at all. Features that were begun stay, and the same call goes on with them.
///
/// # Errors
/// Usage, where there is a configuration already, photographs come without a tower, or something must be said of the table; data, for a table or
/// photographs that cannot be used; stopped, on request; run, where nothing can be written.
pub fn init(pictures: &Path, table: &Path, options: &Options, tell: &mut dyn FnMut(Told)) -> Result<PathBuf> {
    let folder = std::path::absolute(options.out).map_err(|e| Error::writing(options.out, e))?;
    let name = folder.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::usage("names no folder that a configuration can be called by").at(options.out)
    })?;
    let file = format!("{name}.toml");
    refuse_other(options.out, &file)?;
    let (given, names) = Pictures::open(pictures, options.ids)?;
    let (count, shown) = (names.ids().len(), pictures.display());
    match &given {
        Pictures::Photographs(photographs) => {
            tell(Told::Line(&format!("`{shown}`: {count} photographs")));
            photographs.notes.iter().for_each(|note| tell(Told::Line(note)));
        }
        Pictures::Features(features, _) => {
            tell(Told::Line(&format!(
                "`{shown}`: features of {count} pictures, {} numbers each",
                features.width()
            )));
        }
    }
    let table = Table::open(table)?;
    let found = Found::read(&table, &names, options.asked)?;
    tell_found(&table, &found, tell);
    if let (Pictures::Photographs(_), None) = (&given, options.tower) {
        return Err(Error::usage("are photographs, and without a picture tower there are no features of them").at(pictures).hint(format!(
            "give a CLIP, SigLIP, DINOv2 or ViT as Hugging Face lays it out: `tinyglot init {shown} {} --tower MODEL`; or in place of the \
             photographs a file of their features, `.npy` with names in `.ids` beside it",
            table.file.display()
        )));
    }
    let made = !options.out.exists();
    fs::create_dir_all(options.out).map_err(|e| Error::writing(options.out, e))?;
    let done = write(pictures, &given, &names, &table, &found, name, options, tell);
    if done.is_err() && made {
        // Unless there are features to go on with; the first error is the one to tell.
        let _ = fs::remove_dir(options.out);
    }
    done.map(|()| options.out.join(file))
}

/// Refuses a folder that has a configuration of the name.
fn refuse_other(out: &Path, file: &str) -> Result<()> {
    for file in [file, SPLITS] {
        if out.join(file).exists() {
            return Err(Error::usage("is there already")
                .at(out.join(file))
                .hint("give another folder by `--out`, or remove the file to make it anew"));
        }
    }
    Ok(())
}

const SPLITS: &str = "splits.tsv";
const FEATURES: &str = "features.npy";

/// What is done in the folder, by one at a time.
#[allow(clippy::too_many_arguments)]
fn write(
    pictures: &Path,
    given: &Pictures,
    names: &Names,
    table: &Table,
    found: &Found,
    name: &str,
    options: &Options,
    tell: &mut dyn FnMut(Told),
) -> Result<()> {
    let (out, file) = (options.out, format!("{name}.toml"));
    let _lock = Lock::take(&out.join("init.lock"), out)?;
    building::recover(out, &file)?;
    refuse_other(out, &file)?;
    let (first, mut usable) = compare(given, names, options.stop, tell)?;
    // What cannot be shared out is told before features are made, which may take hours.
    let share = |usable: &[bool]| {
        let all: Vec<Pictured> = names
            .ids()
            .iter()
            .enumerate()
            .map(|(n, id)| Pictured {
                id,
                first: first[n],
                given: found.splits[n],
                captioned: found.has(n),
                usable: usable[n],
            })
            .collect();
        sides(&all, &options.sizes)
    };
    let mut split = share(&usable)?;
    let (features, ids) = match (given, options.tower) {
        (Pictures::Photographs(photographs), Some(tower)) => {
            let features = out.join(FEATURES);
            make(tower, photographs, &features, options.stop, tell)?;
            let ids = features.with_extension("ids");
            let there = read_ids(&ids)?;
            let there: std::collections::HashSet<&str> = there.iter().map(String::as_str).collect();
            let before = usable.clone();
            usable.iter_mut().zip(names.ids()).for_each(|(usable, id)| *usable = there.contains(id.as_str()));
            if usable != before {
                split = share(&usable)?;
            }
            (features, Some(ids))
        }
        (Pictures::Features(_, ids), _) => (pictures.to_path_buf(), ids.clone()),
        (Pictures::Photographs(_), None) => unreachable!("refused before"),
    };
    let languages = trained(found, &split, tell);
    tell_split(names, found, &split, &first, tell);
    let train = split.iter().filter(|&&side| side == Some(SplitName::Train)).count();
    let without = |n: usize| found.has(n) && !usable[n];
    let written = written::Written {
        folder: out,
        name,
        photographs: pictures,
        features: &features,
        tower: options.tower.filter(|_| !is_features(pictures)),
        ids: ids.as_deref(),
        table: &table.file,
        format: table.format,
        found,
        languages: &languages,
        train,
        splits: SPLITS,
        unknown: found.missing.count > 0 || (0..usable.len()).any(without),
    };
    let text = written.text()?;
    building::build(out, &file, |folder| {
        Splits::write(&folder.join(SPLITS), &assigned(names, &split, &first))?;
        write_whole(&folder.join(&file), text.as_bytes())?;
        check(&text, &out.join(&file), &folder.join(SPLITS))
    })
}

impl Pictures {
    /// Opens what is there, with its names.
    fn open(path: &Path, ids: Option<&Path>) -> Result<(Pictures, Names)> {
        if !is_features(path) {
            let photographs = Photographs::open(path, None)?;
            let names = (0..photographs.len()).map(|n| photographs.name(n).to_string()).collect();
            return Ok((Pictures::Photographs(photographs), Names::new(names, path)?));
        }
        let features = Features::open(&[path.to_path_buf()])?;
        let beside = path.with_extension("ids");
        let file = ids
            .map(Path::to_path_buf)
            .or_else(|| (features.ids().is_none() && beside.exists()).then_some(beside));
        let ids = file.as_deref().map(read_ids).transpose()?.or_else(|| features.ids()).ok_or_else(|| {
            Error::usage("has no names of its pictures")
                .at(path)
                .hint("give them by `--ids FILE`, one a line, in the order of the rows; or put them beside it, in a file that ends in `.ids`")
        })?;
        if ids.len() != features.rows() {
            let what = format!("holds {} ids, but there are {} rows of features", ids.len(), features.rows());
            return Err(Error::data(what)
                .at(file.as_deref().unwrap_or(path))
                .hint("one id a line, in the order of the rows"));
        }
        let names = Names::new(ids, file.as_deref().unwrap_or(path))?;
        Ok((Pictures::Features(features, file), names))
    }
}

/// By picture, the first that shows the same, and whether it can be used.
fn compare(
    given: &Pictures,
    names: &Names,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Told),
) -> Result<(Vec<usize>, Vec<bool>)> {
    let example = |first: &[usize]| {
        let found = first.iter().enumerate().find(|&(n, &first)| first != n);
        found.map_or(String::new(), |(n, &first)| {
            format!("e.g. `{}` and `{}`", names.ids()[first], names.ids()[n])
        })
    };
    match given {
        Pictures::Photographs(photographs) => {
            tell(Told::Comparing(photographs.len()));
            let found = alike(photographs, stop, &mut |more| tell(Told::Compared(more)))?;
            let mut usable = vec![true; photographs.len()];
            found.faults.iter().for_each(|(n, _)| usable[*n] = false);
            if let Some((n, why)) = found.faults.first() {
                let count = found.faults.len();
                tell(Told::Warning(&format!(
                    "{count} photographs cannot be used, e.g. `{}`: {why}",
                    names.ids()[*n]
                )));
            }
            if found.copies + found.near > 0 {
                tell(Told::Line(&format!(
                    "{} photographs are copies of others, {} nearly so, {}: those that show the same go into one split",
                    found.copies,
                    found.near,
                    example(&found.first)
                )));
            }
            Ok((found.first, usable))
        }
        Pictures::Features(features, _) => {
            let first = features.first_equal();
            let copies = first.iter().enumerate().filter(|&(n, &first)| first != n).count();
            match copies {
                0 => tell(Told::Line(
                    "no two rows of the features are equal; photographs that are only nearly the same are not told by features",
                )),
                _ => tell(Told::Line(&format!(
                    "{copies} rows of the features equal others, {}: they go into one split",
                    example(&first)
                ))),
            }
            let count = first.len();
            Ok((first, vec![true; count]))
        }
    }
}

/// Makes the features of photographs, or goes on with them.
fn make(
    tower: &Path,
    photographs: &Photographs,
    out: &Path,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Told),
) -> Result<()> {
    let options = photos::Options {
        out,
        decoding: Decoding::default(),
        precision: Precision::F32,
        unit: false,
        resume: true,
        skip_bad: true,
        stop,
    };
    let made = embed(tower, photographs, &options, &mut |told| tell(Told::Embedding(told)));
    made.map(drop).map_err(|e| match e.kind() {
        Kind::Stopped => e.hint("the same command goes on from there"),
        _ => e,
    })
}

/// The places of the languages that have captions to train on.
fn trained(found: &Found, split: &[Option<SplitName>], tell: &mut dyn FnMut(Told)) -> Vec<usize> {
    let mut trained = Vec::new();
    for (place, spoken) in found.languages.iter().enumerate() {
        let taught =
            spoken.captions.iter().zip(split).any(|(&n, &side)| n > 0 && side == Some(SplitName::Train));
        match taught {
            true => trained.push(place),
            false => tell(Told::Warning(&format!(
                "`{}` is left out: no caption of it is in training",
                spoken.code
            ))),
        }
    }
    trained
}

/// The lines of the file of splits. Those that show the same are a group, named by its first; in each split one of its own, where the table parts
/// them.
fn assigned(names: &Names, split: &[Option<SplitName>], first: &[usize]) -> Vec<Assigned> {
    let listed = || (0..first.len()).filter_map(|n| Some((n, (first[n], split[n]?))));
    let mut groups: HashMap<(usize, SplitName), Vec<usize>> = HashMap::new();
    listed().for_each(|(n, group)| groups.entry(group).or_default().push(n));
    let of = |(n, group): (usize, (usize, SplitName))| {
        let members = &groups[&group];
        let name = (members.len() > 1).then(|| names.ids()[members[0]].clone());
        Assigned { picture: names.ids()[n].clone(), split: group.1, group: name }
    };
    listed().map(of).collect()
}

/// Reads what was written as a training does. The splits are not in their place yet.
fn check(text: &str, config: &Path, splits: &Path) -> Result<()> {
    let config = Config::from_toml(text, config)?;
    let mut raw = config.raw().clone();
    let splits = std::path::absolute(splits).map_err(|e| Error::reading(splits, e))?;
    raw.data.split = splits.to_str().map(String::from).or(raw.data.split);
    let config = raw.check(config.base().to_path_buf()).map_err(|problems| problems.into_error())?;
    Corpus::of(&config).map(drop)
}

fn tell_found(table: &Table, found: &Found, tell: &mut dyn FnMut(Told)) {
    let columns = &found.columns;
    let texts: Vec<String> = columns.texts.iter().map(|text| format!("`{}`", text.key)).collect();
    let language =
        columns.language.as_ref().map_or(String::new(), |column| format!(", their language in `{column}`"));
    let split =
        columns.split.as_ref().map_or(String::new(), |column| format!(", their splits in `{column}`"));
    tell(Told::Line(&format!(
        "`{}`: photographs are named in `{}`, captions are in {}{language}{split}",
        table.file.display(),
        columns.picture,
        texts.join(", ")
    )));
    let each = found.languages.iter().map(|spoken| {
        let pictures = spoken.captions.iter().filter(|&&n| n > 0).count();
        format!("{} {} of {pictures} pictures", spoken.code, spoken.captions.iter().sum::<u32>())
    });
    tell(Told::Line(&format!("captions: {}", each.collect::<Vec<_>>().join(", "))));
    if found.passed_over > 0 {
        tell(Told::Line(&format!("{} captions in other languages are passed over", found.passed_over)));
    }
    let Examples { count, examples } = &found.missing;
    if *count > 0 {
        tell(Told::Warning(&format!(
            "{count} captions speak of pictures that are not there, e.g. {}; they are left out",
            examples.join(", ")
        )));
    }
    let Examples { count, examples } = &found.empty;
    if *count > 0 {
        tell(Told::Warning(&format!(
            "{count} captions are empty, e.g. in {}; they are left out",
            examples.join(", ")
        )));
    }
}

fn tell_split(
    names: &Names,
    found: &Found,
    split: &[Option<SplitName>],
    first: &[usize],
    tell: &mut dyn FnMut(Told),
) {
    let bare: Vec<&String> =
        names.ids().iter().enumerate().filter(|(n, _)| !found.has(*n)).map(|(_, id)| id).collect();
    let count = |wanted| split.iter().filter(|&&side| side == Some(wanted)).count();
    if let Some(example) = bare.first() {
        tell(Told::Line(&format!("{} photographs have no caption, e.g. `{example}`", bare.len())));
    }
    let mut sizes = vec![0; first.len()];
    (0..first.len()).filter(|&n| split[n].is_some()).for_each(|n| sizes[first[n]] += 1);
    let largest = sizes.into_iter().max().unwrap_or_default();
    let apart: Vec<usize> = (0..first.len())
        .filter(|&n| split[n].is_some() && split[first[n]].is_some() && split[n] != split[first[n]])
        .collect();
    if let Some(&n) = apart.first() {
        tell(Told::Warning(&format!(
            "{} photographs show nearly the same as one in another split, e.g. `{}` ({}) and `{}` ({}), as the table has them; \
             `--columns split=` draws splits in which they are together",
            apart.len(),
            names.ids()[n],
            split[n].expect("in a split"),
            names.ids()[first[n]],
            split[first[n]].expect("in a split"),
        )));
    }
    let further = match count(SplitName::Distractors) {
        0 => String::new(),
        n => format!(", and {n} without captions to make the gallery larger (`evaluate --distractors`)"),
    };
    tell(Told::Line(&format!(
        "splits: {} to train on, {} to validate, {} to test{further}",
        count(SplitName::Train),
        count(SplitName::Val),
        count(SplitName::Test)
    )));
    if largest > 20 {
        tell(Told::Warning(&format!(
            "{largest} photographs show nearly the same, and are in one split: see `group` in `{SPLITS}`"
        )));
    }
}
