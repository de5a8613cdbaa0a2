//! FastText's crawl vectors, unpacked, under the names that configurations have (`cc.{language}.300.bin`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::download::Download;
use super::laid::Laid;
use crate::corpus::input;
use crate::words::WordVectors;
use crate::write::write_whole_with;
use crate::{Error, Result};

/// Numbers of each vector.
const WIDTH: usize = 300;

/// The languages of the papers' tables.
const PAPER: [&str; 10] = ["en", "de", "fr", "cs", "zh", "ja", "ar", "af", "ko", "ru"];

pub(super) fn write(from: &Download, laid: &mut Laid, stop: &AtomicBool) -> Result<()> {
    // By name without `.gz`: a file that is there packed and unpacked is taken as it is.
    let mut found: BTreeMap<String, &Path> = BTreeMap::new();
    for (path, file) in from.files() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let plain = name.strip_suffix(".gz").unwrap_or(name);
        let language = plain.strip_prefix("cc.").and_then(|rest| {
            rest.strip_suffix(".300.bin")
                .or_else(|| rest.strip_suffix(".300.vec"))
                .filter(|code| !code.is_empty())
        });
        if language.is_some() && (name == plain || !found.contains_key(plain)) {
            found.insert(plain.to_string(), file);
        }
    }
    if found.is_empty() {
        return Err(from.missing("cc.LANGUAGE.300.bin"));
    }
    for (name, file) in &found {
        laid.copied(name, format!("vectors of {WIDTH}"), |to| {
            copy(file, to, stop)?;
            match WordVectors::width_in(to).map_err(|e| e.at(file))? {
                WIDTH => Ok(()),
                width => {
                    let what = format!("holds vectors of {width} numbers; {WIDTH} were published");
                    Err(Error::data(what).at(file).hint(from.again()))
                }
            }
        })?;
    }
    let binary = |language: &&str| found.contains_key(&format!("cc.{language}.300.bin"));
    let missing: Vec<&str> = PAPER.into_iter().filter(|language| !binary(language)).collect();
    if !missing.is_empty() {
        laid.note(format!(
            "configurations with the papers' ten languages also read cc.LANGUAGE.300.bin of {}; they take .vec by --set \
             'words.vectors={}/cc.{{language}}.300.vec'",
            missing.join(", "),
            laid.out().display()
        ));
    }
    Ok(())
}

/// Unpacks a file; one that is not packed gets a further name where the disk allows, as it may have seven gigabytes.
fn copy(file: &Path, to: &Path, stop: &AtomicBool) -> Result<()> {
    if file.extension().is_none_or(|ending| ending != "gz") && fs::hard_link(file, to).is_ok() {
        return Ok(());
    }
    let mut reader = input::open(file)?;
    let mut broken = None;
    let written = write_whole_with(to, |out| {
        loop {
            if stop.load(Ordering::Relaxed) {
                broken = Some(Error::stopped("stopped while vectors were unpacked"));
                break;
            }
            let count = match reader.fill_buf() {
                Ok(bytes) => {
                    out.write_all(bytes)?;
                    bytes.len()
                }
                Err(e) => {
                    broken = Some(
                        Error::reading(file, e).hint("the file is cut off or damaged: download it again"),
                    );
                    break;
                }
            };
            if count == 0 {
                break;
            }
            reader.consume(count);
        }
        Ok(())
    });
    match broken {
        Some(error) => Err(error),
        None => written,
    }
}
