//! Photographs that a configuration names in place of features (`data.photos`, `data.tower`): their features are made once, and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::Photographs;
use super::embed::{Options, Told, embed};
use super::files::template;
use super::work::folder_of;
use crate::cache::Content;
use crate::config::{Config, Precision};
use crate::error::Kind;
use crate::lock::Lock;
use crate::pixels::{Decoding, Preprocessing};
use crate::tower::Tensors;
use crate::{Error, Result};

/// The folder within `data.root` that keeps features where no other is given.
const KEPT: &str = "tinyglot.features";

/// The configuration with the features of its photographs in their place, and where it does not say where pictures are, with the photographs as those
/// (`data.images`); as it is, where it names none. Features are kept in the folder `cache`, by
/// default one within `data.root`, under a name that says what they follow from: the weights and preprocessing of the tower, and of each photograph
/// its name, size and time. Where another process is making them, this one waits.
///
/// # Errors
/// Data: photographs that cannot be used, which are listed in a file beside the features, or a tower that cannot. Stopped, on request; the next
/// call goes on. Run, where nothing can be written.
pub fn featured(
    config: &Config,
    cache: Option<&Path>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Told),
) -> Result<Config> {
    let Some(Made { photographs, photos, tower, file }) = made(config, cache)? else {
        return Ok(config.clone());
    };
    photographs.notes.iter().for_each(|note| tell(Told::Line(note)));
    if !file.exists() {
        let folder = file.parent().expect("a file in a folder");
        fs::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        let _alone = Lock::wait(&file.with_extension("making"))?;
        let options = Options {
            out: &file,
            decoding: Decoding::default(),
            precision: Precision::F32,
            unit: false,
            resume: true,
            skip_bad: false,
            stop,
        };
        embed(&tower, &photographs, &options, tell).map_err(|e| match e.kind() {
            Kind::Stopped => e.hint("the same command goes on from there"),
            Kind::Data => {
                // Mended photographs are other ones, and go by another name. The first error is the one to tell.
                let _ = fs::remove_dir_all(folder_of(&file));
                e.hint("mend these photographs, or move them and their captions away")
            }
            _ => e,
        })?;
    }
    let mut raw = config.raw().clone();
    raw.data.photos = None;
    // Photographs that are searched later go through the same one.
    raw.data.tower = Some(text(&std::path::absolute(&tower).map_err(|e| Error::reading(&tower, e))?)?);
    raw.data.features = vec![text(&file)?];
    raw.data.image_ids = Some(text(&file.with_extension("ids"))?);
    // The report shows them.
    raw.data.images = raw.data.images.take().or_else(|| template(&photos));
    raw.check(config.base().to_path_buf()).map_err(|problems| problems.into_error())
}

/// Whether there is nothing that [`featured`] would have to make.
///
/// # Errors
/// Data: photographs or a tower that cannot be read.
pub fn is_featured(config: &Config, cache: Option<&Path>) -> Result<bool> {
    Ok(made(config, cache)?.is_none_or(|made| made.file.exists()))
}

/// Features that a configuration wants made, and of what.
struct Made {
    photographs: Photographs,
    photos: PathBuf,
    tower: PathBuf,
    /// Where they are, or will be.
    file: PathBuf,
}

/// Nothing, where a configuration names features, or pictures have none.
fn made(config: &Config, cache: Option<&Path>) -> Result<Option<Made>> {
    let data = config.data();
    let (Some(photos), Some(tower)) = (&data.photos, &data.tower) else { return Ok(None) };
    let (photos, tower) = (data.root.join(photos), data.root.join(tower));
    let folder = cache.map_or_else(|| data.root.join(KEPT), Path::to_path_buf);
    let folder = std::path::absolute(&folder).map_err(|e| Error::writing(&folder, e))?;
    let photographs = Photographs::open(&photos, None)?;
    let file = folder.join(format!("features-{}.npy", content(&photographs, &tower)?));
    Ok(Some(Made { photographs, photos, tower, file }))
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(String::from);
    text.ok_or_else(|| Error::config("is not Unicode").at(path).hint("give another folder by `--cache`"))
}

/// A name for all that features follow from.
fn content(photographs: &Photographs, tower: &Path) -> Result<String> {
    let about = Preprocessing::open(tower)?.to_json();
    let mut content = Content::new(&format!("{about}")).and(Tensors::open(tower)?.sha256().as_bytes());
    for n in 0..photographs.len() {
        // One that is not there is told when it is read.
        content = content.and(format!("{} {:?}", photographs.name(n), photographs.stamp(n)).as_bytes());
    }
    Ok(content.name())
}
