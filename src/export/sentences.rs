//! The encoder of sentences in a folder that sentence-transformers and transformers read.

use std::fs;
use std::path::Path;

use super::{card, folder};
use crate::retrieve::Retriever;
use crate::{Error, Result};

/// The folder within a run that its training writes, where its encoder is a transformer with one linear layer behind it at most.
const KEPT: &str = "sentence_transformer";

/// Writes the encoder of a run into a new folder, with a model card.
///
/// # Errors
/// Usage: a run whose encoder is no transformer, or has a head that sentence-transformers does not read; something is in the folder. Run, where it
/// cannot be written.
pub fn sentence_transformer(run: &dyn Retriever, about: &card::Card, out: &Path) -> Result<()> {
    let kept = run.folder().path.join(KEPT);
    if !kept.is_dir() {
        let family = run.config().family().as_str();
        let what = format!("a run of the family `{family}` has no encoder that sentence-transformers reads");
        return Err(Error::usage(what).at(&run.folder().path).hint(
            "the family `contrastive` with a head of one linear layer writes one as its training ends",
        ));
    }
    folder(out, |folder| {
        copy(&kept, folder)?;
        card::write(run, about, folder)
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::writing(to, e))?;
    for entry in fs::read_dir(from).map_err(|e| Error::reading(from, e))? {
        let path = entry.map_err(|e| Error::reading(from, e))?.path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        match path.is_dir() {
            true => copy(&path, &to)?,
            false => {
                fs::copy(&path, &to).map_err(|e| Error::writing(&to, e))?;
                let synced = fs::File::open(&to).and_then(|file| file.sync_all());
                synced.map_err(|e| Error::writing(&to, e))?;
            }
        }
    }
    Ok(())
}
