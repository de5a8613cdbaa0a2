//! Features of photographs in a file: kept as they are finished, written when all are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use super::Photographs;
use super::tower::{EmbeddedPhoto, EmbeddingOptions, PictureTower, list_of_bad};
use super::work::{Work, folder_of};
use crate::config::Precision;
use crate::corpus::NpyWriter;
use crate::lock::Lock;
use crate::pixels::Decoding;
use crate::stop::Saves;
use crate::write::{clear_partial_of, write_whole, write_whole_with};
use crate::{Error, Result};

/// How features are made, and where.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The file of features, `.npy`; what goes with it stands beside it.
    pub out: &'a Path,
    /// How files become pixels.
    pub decoding: Decoding,
    /// Of the tower's products.
    pub precision: Precision,
    /// Whether vectors are brought to unit length.
    pub unit: bool,
    /// Goes on with an unfinished work on the same photographs, where there is one; without it such a work is refused.
    pub resume: bool,
    /// Leaves photographs out that cannot be used, instead of an error.
    pub skip_bad: bool,
    /// Raised to stop; what is finished is kept.
    pub stop: &'a AtomicBool,
}

/// What the work tells.
pub enum Told<'a> {
    /// A line for everyone.
    Line(&'a str),
    /// Something that is probably not as the user wants it.
    Warning(&'a str),
    /// `done` of `total` photographs were finished before.
    Begun {
        /// Photographs that have their row.
        done: usize,
        /// All there are.
        total: usize,
    },
    /// So many more are.
    Done(usize),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Photographs in the file of features.
    pub rows: usize,
    /// Numbers of a row.
    pub width: usize,
    /// Photographs that were left out.
    pub left_out: usize,
}

/// Makes the features of photographs by the picture tower of a checkpoint's folder: `FEATURES.npy`, one row a photograph as f32; beside it
/// `FEATURES.ids`, their names, one a line, and `FEATURES.json`, what they were made by. Photographs that cannot be used are listed in
/// `FEATURES.errors.tsv`. Their folder is made where it is not there.
///
/// Each of these files is whole or not there. Until all photographs are done, what is finished stands in the folder `FEATURES.npy.part`.
///
/// # Errors
/// Data: a checkpoint or preprocessing that cannot be used; photographs that cannot, unless they are skipped. Config: `resume`, where the
/// interrupted work is another one; usage, where there is one without `resume`. Stopped, on request. Run, where nothing can be written.
pub fn embed(
    model: &Path,
    photographs: &Photographs,
    options: &Options,
    tell: &mut dyn FnMut(Told),
) -> Result<Summary> {
    let out = options.out;
    check_name(out)?;
    let Options { decoding, precision, unit, .. } = *options;
    let tower = PictureTower::open(model, EmbeddingOptions { decoding, precision, unit })?;
    let about = about(&tower, photographs);
    let _lock = take(out)?;
    if let Some(summary) = finished(&about, options) {
        tell(Told::Line("all of them are done"));
        return Ok(summary);
    }
    let _saves = Saves::begin();
    let mut work = Work::open(folder_of(out), &about, tower.outputs(), photographs.len(), options.resume)?;
    let left = work.left();
    tell(Told::Begun { done: photographs.len() - left.len(), total: photographs.len() });
    let (mut turned, mut animated) = (0, 0);
    let whole = tower.each(photographs, &left, &(), options.stop, &mut |through| {
        turned += through.iter().filter(|one| one.turned).count();
        animated += through.iter().filter(|one| one.animated).count();
        let finished: Vec<_> = through.iter().map(row_of).collect();
        work.keep(&finished)?;
        tell(Told::Done(finished.len()));
        Ok(())
    })?;
    if !whole {
        let done = work.state.iter().flatten().count();
        let what = format!("stopped after {done} of {} photographs", photographs.len());
        return Err(Error::stopped(what).hint("`--resume` goes on from there"));
    }
    if turned > 0 {
        tell(Told::Line(&format!("{turned} photographs were turned upright, as EXIF says")));
    }
    if animated > 0 {
        tell(Told::Line(&format!("of {animated} animations the first frame was taken")));
    }
    finish(work, about, photographs, options, tell)
}

/// Refuses a name of no `.npy`.
pub(super) fn check_name(out: &Path) -> Result<()> {
    match out.extension().is_some_and(|ending| ending == "npy") {
        true => Ok(()),
        false => Err(Error::usage(format!("`{}` does not end in `.npy`", out.display()))),
    }
}

/// Takes the place of features for this process alone, and clears what a killed one has left half written; its folder is made where it is not there.
pub(super) fn take(out: &Path) -> Result<Lock> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    }
    let lock = Lock::take(&beside(out, "npy.lock"), out)?;
    for ending in ["npy", "ids", "json", "errors.tsv"] {
        clear_partial_of(&beside(out, ending))?;
    }
    Ok(lock)
}

/// What an earlier command has written, where this one would make the same.
fn finished(about: &Value, options: &Options) -> Option<Summary> {
    let out = options.out;
    if !options.resume || !out.exists() || folder_of(out).exists() {
        return None;
    }
    let mut before: Value = serde_json::from_slice(&std::fs::read(beside(out, "json")).ok()?).ok()?;
    let mut count = |key: &str| before.as_object_mut()?.remove(key)?.as_u64().map(|n| n as usize);
    let (rows, left_out) = (count("rows")?, count("left_out")?);
    let width = about["width"].as_u64()? as usize;
    (before == *about && (left_out == 0 || options.skip_bad)).then_some(Summary { rows, width, left_out })
}

/// A file that goes with the features: their name with another ending.
pub(super) fn beside(out: &Path, ending: &str) -> PathBuf {
    out.with_extension(ending)
}

/// The number of a photograph, and its row.
fn row_of(through: &EmbeddedPhoto<()>) -> (usize, std::result::Result<&[f32], String>) {
    let features = through.features.as_ref().map_err(String::clone);
    (through.n, features.map(|row| row.as_deref().expect("all go through the tower")))
}

/// What makes the rows what they are.
fn about(tower: &PictureTower, photographs: &Photographs) -> Value {
    let mut about = tower.about();
    about["photographs"] = photographs.len().into();
    about["names_sha256"] = photographs.names_sha256().into();
    if let Some(whole) = &photographs.whole {
        about["shard"] = serde_json::to_value(whole).expect("plain data");
    }
    about
}

/// Writes everything, and removes the folder of the work; with photographs that cannot be used only the list of them, unless they are
/// to be left out.
fn finish(
    work: Work,
    mut about: Value,
    photographs: &Photographs,
    options: &Options,
    tell: &mut dyn FnMut(Told),
) -> Result<Summary> {
    let out = options.out;
    let (mut order, mut bad) = (Vec::new(), Vec::new());
    for (n, state) in work.state.iter().enumerate() {
        match state {
            Some(Ok(row)) => order.push((n, *row)),
            Some(Err(reason)) => bad.push((photographs.name(n), reason.as_str())),
            None => unreachable!("all were looked at"),
        }
    }
    let list = list_of_bad(bad.iter().copied());
    let bad = bad.len();
    let errors = write_errors(out, (bad > 0).then_some(list.as_bytes()))?;
    let total = photographs.len();
    let Some(rows) = work.rows()?.filter(|_| bad == 0 || options.skip_bad) else {
        let advice = match order.is_empty() {
            true => "no photograph can be used",
            false => {
                "mend or remove them, then `--resume`; or leave them out with `--resume --skip-bad`. The others are done"
            }
        };
        let what = format!("lists {bad} of {total} photographs that cannot be used");
        return Err(Error::data(what).at(errors).hint(advice));
    };
    if bad > 0 {
        let list = errors.display();
        tell(Told::Warning(&format!("{bad} of {total} photographs are left out, which `{list}` lists")));
    }
    let width = about["width"].as_u64().expect("set above") as usize;
    about["rows"] = order.len().into();
    about["left_out"] = bad.into();
    let ids: String = order.iter().map(|&(n, _)| photographs.name(n).to_string() + "\n").collect();
    write_rows(out, &about, &ids, order.len(), &mut |n, row| {
        let bytes = work.row(&rows, order[n].1).chunks_exact(4);
        row.iter_mut().zip(bytes).for_each(|(x, b)| *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    })?;
    drop(rows);
    work.remove()?;
    Ok(Summary { rows: order.len(), width, left_out: bad })
}

/// Writes the list of photographs that cannot be used, or removes what stands there in its place; gives its name.
pub(super) fn write_errors(out: &Path, list: Option<&[u8]>) -> Result<PathBuf> {
    let errors = beside(out, "errors.tsv");
    match list {
        Some(list) => write_whole(&errors, list)?,
        None if errors.exists() => std::fs::remove_file(&errors).map_err(|e| Error::writing(&errors, e))?,
        None => {}
    }
    Ok(errors)
}

/// Writes features and what goes with them: `row` gives the n-th.
pub(super) fn write_rows(
    out: &Path,
    about: &Value,
    ids: &str,
    rows: usize,
    row: &mut dyn FnMut(usize, &mut [f32]),
) -> Result<()> {
    // What stands there is of other photographs: its rows must not be taken for these names.
    if out.exists() {
        std::fs::remove_file(out).map_err(|e| Error::writing(out, e))?;
    }
    write_whole(&beside(out, "ids"), ids.as_bytes())?;
    let text = serde_json::to_string_pretty(about).expect("plain data") + "\n";
    write_whole(&beside(out, "json"), text.as_bytes())?;
    let width = about["width"].as_u64().expect("every tower has one") as usize;
    write_whole_with(out, |file| {
        let mut npy = NpyWriter::new(file, rows, width)?;
        let mut values = vec![0f32; width];
        (0..rows).try_for_each(|n| {
            row(n, &mut values);
            npy.write(&values)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::Ordering;

    use super::super::tower::BATCH;
    use super::*;

    fn golden(name: &str) -> PathBuf {
        let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder");
        Path::new(&root).join("tests/golden/vision").join(name)
    }

    #[test]
    fn a_work_that_was_stopped_goes_on_to_the_same_bits() {
        let place = tempfile::tempdir().unwrap();
        let photos = place.path().join("photos");
        fs::create_dir(&photos).unwrap();
        // A file for each photograph, every third another one.
        for n in 0..3 * BATCH {
            let from = if n % 3 == 0 { "photo.jpg" } else { "photo.png" };
            fs::copy(golden(from), photos.join(format!("{n:03}.{}", &from[6..]))).unwrap();
        }
        let photographs = Photographs::open(&photos, None).unwrap();
        let stop = AtomicBool::new(false);
        let (whole, out) = (place.path().join("whole.npy"), place.path().join("out.npy"));
        let options = |out, resume| Options {
            out,
            decoding: Decoding::default(),
            precision: Precision::F32,
            unit: true,
            resume,
            skip_bad: false,
            stop: &stop,
        };
        let summary = embed(&golden("siglip"), &photographs, &options(&whole, false), &mut |_| {}).unwrap();
        assert_eq!(summary, Summary { rows: 3 * BATCH, width: 16, left_out: 0 });
        let stopped = embed(&golden("siglip"), &photographs, &options(&out, false), &mut |told| {
            if let Told::Done(_) = told {
                stop.store(true, Ordering::SeqCst);
            }
        });
        let error = stopped.unwrap_err();
        assert_eq!(error.exit_status(), crate::error::STOPPED);
        assert!(
            error.to_string().starts_with("stopped after 32 of 96 photographs\nhint: `--resume`"),
            "{error}"
        );
        assert!(!out.exists() && !beside(&out, "ids").exists() && folder_of(&out).exists());
        stop.store(false, Ordering::SeqCst);
        let mut before = 0;
        embed(&golden("siglip"), &photographs, &options(&out, true), &mut |told| {
            if let Told::Begun { done, .. } = told {
                before = done;
            }
        })
        .unwrap();
        assert_eq!(before, BATCH);
        // Once more there is nothing to do.
        let again = embed(&golden("siglip"), &photographs, &options(&out, true), &mut |told| {
            assert!(!matches!(told, Told::Begun { .. }));
        });
        assert_eq!(again.unwrap(), summary);
        assert_eq!(fs::read(&whole).unwrap(), fs::read(&out).unwrap());
        assert!(!folder_of(&out).exists());
        let unit: f32 = {
            let bytes = fs::read(&out).unwrap();
            let row = bytes[bytes.len() - 64..].chunks_exact(4);
            row.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).powi(2)).sum()
        };
        assert!((unit - 1.0).abs() < 1e-5);
    }
}
