//! Pictures that were found, as the report shows them.

use crate::config::DataConfig;
use crate::corpus::{Corpus, SplitName};
use crate::report::{Picture, ReportHit};
use crate::retrieve::Hit;
use crate::{Error, names};

/// A picture found for a query about the picture in row `own`.
pub(super) fn hit(
    data: &DataConfig,
    corpus: &Corpus,
    own: u32,
    found: &Hit,
    notes: &mut Vec<String>,
) -> ReportHit {
    let id = &corpus.test.image_ids[found.row as usize];
    let picture = data.images.as_ref().map(|template| {
        if !names::stays_inside(id) {
            let what = format!("the picture id `{id}` leads out of the folder of the pictures");
            return Err(Error::data(what).at(corpus.test.features.place(found.row as usize).0));
        }
        let file = template.replace("{split}", &SplitName::Test.to_string()).replace("{id}", id);
        Picture::read(id, &data.root.join(file))
    });
    let picture = match picture {
        Some(Ok(picture)) => picture,
        Some(Err(error)) => {
            // One note for all that are missing.
            if notes.is_empty() {
                notes.push(format!("a picture is shown by its id only: {error}"));
            }
            Picture::named(id)
        }
        None => Picture::named(id),
    };
    ReportHit { picture, score: found.score, right: found.row == own }
}
