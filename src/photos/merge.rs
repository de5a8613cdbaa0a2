//! Features of all photographs from those of their shards.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Whole;
use super::embed::{Summary, beside, check_name, take, write_errors, write_rows};
use super::tower::HEAD;
use super::work::folder_of;
use crate::checksum::sha256;
use crate::corpus::{Features, read_ids};
use crate::shard;
use crate::stop::Saves;
use crate::{Error, Result};

/// A file of features of one shard.
struct Part {
    file: PathBuf,
    ids: Vec<String>,
    left_out: u64,
    /// What the features of all shards have in common.
    common: Value,
    whole: Whole,
}

/// Writes the features of all photographs from those of every shard, in any order: the same files, to the bit, that one command would have
/// written without shards.
///
/// # Errors
/// Usage, where `out` is one of the files, or an unfinished work stands there; data, where a file is no shard, is of another tower, preprocessing or
/// set of photographs than the first, or they are not every shard once; run, where nothing can be written.
pub fn merge(files: &[PathBuf], out: &Path) -> Result<Summary> {
    check_name(out)?;
    let is_out = |file: &&PathBuf| match (file.canonicalize(), out.canonicalize()) {
        (Ok(file), Ok(out)) => file == out,
        _ => file.as_path() == out,
    };
    if let Some(file) = files.iter().find(is_out) {
        return Err(Error::usage("is one of the shards").at(file).hint("give another `--out`"));
    }
    let parts = files.iter().map(|file| Part::open(file)).collect::<Result<Vec<Part>>>()?;
    let Some(first) = parts.first() else { return Err(Error::usage("no shards are given")) };
    parts.iter().try_for_each(|part| part.check_like(first))?;
    let parts =
        shard::in_order(parts.iter().map(|part| (part.whole.shard, part.file.as_path(), part)).collect())?;
    let whole = &parts[0].whole;
    let ids: String = parts.iter().flat_map(|part| &part.ids).map(|id| id.clone() + "\n").collect();
    let left_out: u64 = parts.iter().map(|part| part.left_out).sum();
    let features = Features::open(&parts.iter().map(|part| part.file.clone()).collect::<Vec<_>>())?;
    let rows = features.rows();
    if rows as u64 + left_out != whole.photographs as u64
        || left_out == 0 && sha256(Sha256::new().chain_update(&ids)) != whole.names_sha256
    {
        let what = format!(
            "the shards have {rows} rows and left out {left_out} of {} photographs",
            whole.photographs
        );
        return Err(
            Error::data(what).hint("the names are not those that were divided: make the shards again")
        );
    }
    let mut about = parts[0].common.clone();
    about["photographs"] = whole.photographs.into();
    about["names_sha256"] = whole.names_sha256.clone().into();
    about["rows"] = rows.into();
    about["left_out"] = left_out.into();
    let bad = parts.iter().map(|part| part.bad()).collect::<Result<String>>()?;

    let _lock = take(out)?;
    if folder_of(out).exists() {
        return Err(Error::usage("holds an unfinished work").at(folder_of(out)).hint("give another `--out`"));
    }
    let _saves = Saves::begin();
    write_errors(out, (left_out > 0).then(|| format!("{HEAD}{bad}")).as_deref().map(str::as_bytes))?;
    write_rows(out, &about, &ids, rows, &mut |row, values| features.copy_row(row, values))?;
    Ok(Summary { rows, width: features.width(), left_out: left_out as usize })
}

impl Part {
    fn open(file: &Path) -> Result<Part> {
        let noted = beside(file, "json");
        let text = fs::read(&noted).map_err(|e| Error::reading(&noted, e))?;
        let no_shard = || {
            Error::data("does not speak of a shard")
                .at(&noted)
                .hint("make shards by `tinyglot embed-images … --shard I/N`")
        };
        let mut common: Value = serde_json::from_slice(&text).map_err(|e| no_shard().because(e))?;
        let fields = common.as_object_mut().ok_or_else(no_shard)?;
        let whole = fields.remove("shard").ok_or_else(no_shard)?;
        let whole: Whole = serde_json::from_value(whole).map_err(|e| no_shard().because(e))?;
        let left_out = fields.remove("left_out").and_then(|n| n.as_u64()).ok_or_else(no_shard)?;
        let rows = fields.remove("rows").and_then(|n| n.as_u64()).ok_or_else(no_shard)?;
        for own in ["photographs", "names_sha256"] {
            fields.remove(own);
        }
        let list = beside(file, "ids");
        let ids = read_ids(&list)?;
        if ids.len() as u64 != rows {
            let what = format!("has {} names for {rows} rows", ids.len());
            return Err(Error::data(what).at(list).hint("make this shard again"));
        }
        Ok(Part { file: file.to_path_buf(), ids, left_out, common, whole })
    }

    /// Refuses features that were made otherwise, or are of other photographs.
    fn check_like(&self, first: &Part) -> Result<()> {
        let (own, others) = (&self.common, &first.common);
        let keys = own.as_object().into_iter().chain(others.as_object()).flat_map(|fields| fields.keys());
        let other = keys.into_iter().find(|&key| own.get(key) != others.get(key));
        let what = match other {
            Some(key) => format!("another `{key}`"),
            None if (self.whole.photographs, &self.whole.names_sha256)
                != (first.whole.photographs, &first.whole.names_sha256) =>
            {
                "other photographs".into()
            }
            None => return Ok(()),
        };
        let first = beside(&first.file, "json");
        Err(Error::data(format!("has {what} than `{}`", first.display()))
            .at(beside(&self.file, "json"))
            .hint("shards of one set of photographs are made by one model in one way"))
    }

    /// The lines of its list of photographs that were left out.
    fn bad(&self) -> Result<String> {
        if self.left_out == 0 {
            return Ok(String::new());
        }
        let list = beside(&self.file, "errors.tsv");
        let text = fs::read_to_string(&list).map_err(|e| Error::reading(&list, e))?;
        let lines = text.strip_prefix(HEAD).filter(|lines| lines.lines().count() as u64 == self.left_out);
        let what = || format!("does not list the {} photographs that were left out", self.left_out);
        lines.map(String::from).ok_or_else(|| Error::data(what()).at(&list).hint("make this shard again"))
    }
}
