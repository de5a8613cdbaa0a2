//! Pictures that were found, as the report shows them.

use std::collections::HashMap;

use crate::config::DataConfig;
use crate::corpus::{Corpus, SplitName};
use crate::photos::Files;
use crate::report::{Picture, ReportHit};
use crate::retrieve::Hit;
use crate::{Error, Result, names};

/// Bytes of the pictures in a page: more would make it slow to open.
const MOST: usize = 8 << 20;

/// The test pictures as a page shows them; each is read once.
pub(super) struct Album<'a> {
    data: &'a DataConfig,
    corpus: &'a Corpus,
    files: Files,
    /// By row.
    shown: HashMap<u32, Picture>,
    /// Of all that are shown, each once, as the page has it.
    bytes: usize,
    /// Why pictures are shown by their ids only, of the first that is.
    pub note: Option<String>,
}

impl<'a> Album<'a> {
    pub(super) fn new(data: &'a DataConfig, corpus: &'a Corpus) -> Album<'a> {
        Album { data, corpus, files: Files::default(), shown: HashMap::new(), bytes: 0, note: None }
    }

    /// A picture found for a query about the picture in row `own`.
    pub(super) fn hit(&mut self, own: u32, found: &Hit) -> ReportHit {
        ReportHit { picture: self.picture(found.row), score: found.score, right: found.row == own }
    }

    fn picture(&mut self, row: u32) -> Picture {
        if let Some(picture) = self.shown.get(&row) {
            return picture.clone();
        }
        let id = self.corpus.test.image_ids[row as usize].as_str();
        let mut picture = self.read(row, id).unwrap_or_else(|error| {
            // One note for all that are missing.
            self.note.get_or_insert_with(|| format!("a picture is shown by its id only: {error}"));
            Picture::named(id)
        });
        let bytes = picture.source().map_or(0, str::len);
        if self.bytes + bytes > MOST {
            let what = "further pictures are shown by their ids only: the page has";
            self.note.get_or_insert_with(|| format!("{what} {} MiB of them", MOST >> 20));
            picture = Picture::named(id);
        } else {
            self.bytes += bytes;
        }
        self.shown.insert(row, picture.clone());
        picture
    }

    fn read(&mut self, row: u32, id: &str) -> Result<Picture> {
        let Some(template) = &self.data.images else { return Ok(Picture::named(id)) };
        if !names::stays_inside(id) {
            let what = format!("the picture id `{id}` leads out of the folder of the pictures");
            return Err(Error::data(what).at(self.corpus.test.features.place(row as usize).0));
        }
        let file = template.replace("{split}", &SplitName::Test.to_string()).replace("{id}", id);
        let file = self.data.root.join(file);
        Picture::new(id, &self.files.bytes(&file)?).map_err(|e| e.at(&file))
    }
}
