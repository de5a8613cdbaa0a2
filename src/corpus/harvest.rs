//! Captions as they are gathered from the sources, before they become splits.

use std::collections::BTreeMap;

use super::pictures::Pictures;
use super::{Caption, Split, SplitName, Wanted};
use crate::config::{CaptionSource, DataConfig, Source};
use crate::{Error, Result};

/// Captions as the sources give them: by split and language, in the order of the files.
pub(super) struct Harvest<'a> {
    pub(super) data: &'a DataConfig,
    pub(super) languages: &'a [String],
    /// How many of them are trained; the others are translated.
    trained: usize,
    captions: [Vec<Vec<Caption>>; 3],
    /// Whether a source has the language, or may have it.
    named: Vec<bool>,
    /// Captions in languages that the configuration does not name.
    pub(super) foreign: BTreeMap<String, usize>,
    /// What else was left out.
    pub(super) remarks: Vec<String>,
    pub(super) wanted: &'a Wanted,
}

impl<'a> Harvest<'a> {
    pub(super) fn new(
        languages: &'a [String],
        trained: usize,
        data: &'a DataConfig,
        wanted: &'a Wanted,
    ) -> Self {
        let empty = || vec![Vec::new(); languages.len()];
        let named = languages.iter().map(|l| data.captions.iter().any(|s| data.names(s, l))).collect();
        Harvest {
            data,
            languages,
            trained,
            captions: [empty(), empty(), empty()],
            named,
            foreign: BTreeMap::new(),
            remarks: Vec::new(),
            wanted,
        }
    }

    pub(super) fn language(&self, source: &CaptionSource, code: &str) -> Option<usize> {
        let place = self.languages.iter().position(|l| self.data.same_language(l, code))?;
        (source.read_as.is_some() == (place >= self.trained)).then_some(place)
    }

    pub(super) fn add(&mut self, split: SplitName, language: usize, caption: Caption) {
        self.captions[split as usize][language].push(caption);
    }

    pub(super) fn human(&self) -> Vec<bool> {
        let human = |l: usize| self.captions.iter().flat_map(|c| &c[l]).any(|c| c.source == Source::Human);
        (0..self.languages.len()).map(human).collect()
    }

    pub(super) fn check_training(&self) -> Result<()> {
        // One that no source names is there because it was added to a trained run.
        let taught = |l: usize| self.named[l] && !self.wanted.untaught.contains(&self.languages[l]);
        let bare = |l: usize| self.captions[0][l].is_empty() && taught(l);
        match (0..self.trained).find(|&l| bare(l)) {
            None => Ok(()),
            Some(bare) => {
                let foreign: Vec<_> = self.foreign.keys().map(|c| format!("`{c}`")).collect();
                let seen = if foreign.is_empty() {
                    String::new()
                } else {
                    format!("; the files also hold {}", foreign.join(", "))
                };
                let language = &self.languages[bare];
                let sources = self.data.captions.iter().filter(|source| self.data.names(source, language));
                let files: Vec<_> = sources.flat_map(|s| &s.files).map(|file| format!("`{file}`")).collect();
                let files = files.join(", ");
                Err(Error::data(format!("language `{language}` has no training caption in {files}{seen}"))
                    .hint(match foreign.is_empty() {
                        true => "add a `[[data.captions]]` source for it, or take it out of `data.languages`",
                        false => "if one of these is it, say so in `data.codes`; else add a `[[data.captions]]` source for it",
                    }))
            }
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let note = |(code, n): (&String, &usize)| {
            format!("{n} captions in `{code}` were left out: it is not in `data.languages`")
        };
        self.remarks.iter().cloned().chain(self.foreign.iter().map(note)).collect()
    }

    /// Sorts the captions by picture; where splits share their features, picks the rows of each.
    pub(super) fn splits(self, pictures: &Pictures) -> Result<[Split; 3]> {
        let mut splits = [Split::default(), Split::default(), Split::default()];
        for ((split, name), mut captions) in splits.iter_mut().zip(SplitName::CAPTIONED).zip(self.captions) {
            let gallery = pictures.of(name);
            split.features = gallery.features.clone();
            split.image_ids = gallery.ids();
            if pictures.shared() {
                let mut rows: Vec<u32> = captions.iter().flatten().map(|c| c.image).collect();
                rows.sort_unstable();
                rows.dedup();
                if rows.is_empty() && self.wanted.has(name) && self.wanted.has_pictures(name) {
                    return Err(Error::data(format!("split `{name}` has no captions, so it has no pictures"))
                        .hint("without `{split}` in `data.features` the captions say which picture is in which split"));
                }
                for caption in captions.iter_mut().flatten() {
                    caption.image = rows.binary_search(&caption.image).expect("collected above") as u32;
                }
                split.features = gallery.features.select(&rows);
                split.image_ids = rows.iter().map(|&r| split.image_ids[r as usize].clone()).collect();
            }
            for language in &mut captions {
                language.sort_by_key(|c| c.image);
            }
            split.captions = captions;
        }
        Ok(splits)
    }
}
