//! Captions, languages, splits and picture features, read as they are published.
//!
//! Pictures are rows of features; a caption names its picture by row. Where the features have ids, caption files
//! name pictures by id or file name; otherwise line, list or row number n is picture n of the split.

pub mod check;
pub mod features;
pub mod leak;
pub mod overlap;
pub mod teacher;
pub mod text;

mod bitext;
mod captions;
mod fingerprint;
mod harvest;
mod header;
mod ids;
pub(crate) mod input;
mod layout;
mod made_by;
mod npy;
mod parallel;
mod paths;
mod pictures;
mod source;
mod split;
mod splits;
mod tensors;
mod translations;
mod wanted;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{CaptionSource, CaptionSplit, Config, DataConfig, Source, same_code};
use crate::error::{InFile, Kind};
use crate::{Error, Result};

pub use bitext::{Bitext, SentencePairs};
pub use captions::{Row, Table};
pub(crate) use captions::{keys, split_named};
pub use features::{Features, check_rows, write_npy, write_npy_f16};
pub use fingerprint::{fingerprint, fingerprint_of};
pub use ids::{Names, read_ids};
pub use made_by::MadeBy;
pub(crate) use made_by::same_maker;
pub use npy::NpyWriter;
pub use parallel::Parallel;
pub use source::PictureSource;
pub(crate) use source::same_width;
pub use split::SplitName;
pub use splits::{Assigned, Splits};
pub use teacher::TeacherVectors;
pub use translations::{Asked, Translations};
pub use wanted::Wanted;

use harvest::Harvest;
use paths::Paths;
use pictures::Pictures;

/// What someone, or a machine, wrote about a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Row of the picture within its split.
    pub image: u32,
    /// As in the file, without the white space around it; never empty.
    pub text: String,
    /// Who wrote it.
    pub source: Source,
}

/// Pictures with their captions.
#[derive(Debug, Clone, Default)]
pub struct Split {
    /// One row a picture.
    pub features: Features,
    /// One id a picture: as given, else its row.
    pub image_ids: Vec<String>,
    /// The captions of each language, in the order of the languages; sorted by picture, then as in the files. In `val` and
    /// `test` those by people alone, of a language that people wrote some in.
    pub captions: Vec<Vec<Caption>>,
    /// What machines wrote in such a language, of `val` and `test`.
    pub machine: Vec<Vec<Caption>>,
}

/// The captions of a language that ask for their pictures; people wrote all of them, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queries<'a> {
    /// Sorted by picture.
    pub captions: Cow<'a, [Caption]>,
    /// Whether people wrote them.
    pub human: bool,
}

impl Split {
    /// The captions of a language that an evaluation asks with. [`Source::Human`]: those by people, or by machines where people wrote none in
    /// this split. [`Source::Machine`]: those by machines where people wrote some too, for a comparison (Burns et al. 2020, table 17); else none.
    pub fn queries(&self, language: usize, by: Source) -> Queries<'_> {
        let all = &self.captions[language];
        let human = all.iter().any(|c| c.source == Source::Human);
        let of = |source| all.iter().filter(move |c| c.source == source);
        let captions = match by {
            Source::Human if human && of(Source::Machine).next().is_some() => {
                of(Source::Human).cloned().collect()
            }
            Source::Human => Cow::Borrowed(&all[..]),
            Source::Machine if !human => Cow::Borrowed(&[][..]),
            // Training keeps them together.
            Source::Machine => match self.machine.get(language) {
                Some(apart) => Cow::Borrowed(&apart[..]),
                None => of(Source::Machine).cloned().collect(),
            },
        };
        Queries { captions, human: human && by == Source::Human }
    }

    /// By language, whether people wrote the captions that ask.
    pub fn human(&self) -> Vec<bool> {
        (0..self.captions.len()).map(|l| self.queries(l, Source::Human).human).collect()
    }

    /// Takes what machines wrote out of the languages that people wrote some captions in.
    fn set_machines_apart(&mut self) {
        let apart = |captions: &mut Vec<Caption>| -> Vec<Caption> {
            match captions.iter().any(|c| c.source == Source::Human) {
                true => captions.extract_if(.., |c| c.source == Source::Machine).collect(),
                false => Vec::new(),
            }
        };
        self.machine = self.captions.iter_mut().map(apart).collect();
    }
}

/// Queries in a language that the model does not know, translated into one that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// Its code, as the configuration has it.
    pub language: String,
    /// The place of the language that they are in.
    pub reader: usize,
    /// Sorted by picture; by people alone, where people wrote some.
    pub val: Vec<Caption>,
    /// Those of test.
    pub test: Vec<Caption>,
}

impl Translated {
    /// Those of a split; only `val` and `test` have some.
    pub fn captions(&self, split: SplitName) -> Option<&[Caption]> {
        match split {
            SplitName::Val => Some(&self.val),
            SplitName::Test => Some(&self.test),
            SplitName::Train | SplitName::Distractors => None,
        }
    }

    /// Whether people wrote the texts of a split.
    pub fn human(&self, split: SplitName) -> bool {
        self.captions(split).is_some_and(|c| c.iter().any(|c| c.source == Source::Human))
    }

    fn note(&self, languages: &[String]) -> String {
        let (val, test) = (self.val.len(), self.test.len());
        format!(
            "`{}` is read as `{}`: {val} captions of val, {test} of test",
            self.language, languages[self.reader]
        )
    }
}

/// Everything a model is trained and measured on.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// Language codes in the order of the configuration.
    pub languages: Vec<String>,
    /// Whether a language has a human caption in any split. What counts for HA is who wrote the captions of the split that is
    /// evaluated, [`Split::human`].
    pub human: Vec<bool>,
    /// What models learn from.
    pub train: Split,
    /// What choices are made on.
    pub val: Split,
    /// What is reported.
    pub test: Split,
    /// Further pictures for a gallery, where there are any.
    pub distractors: Option<Features>,
    /// Captions with one meaning in several languages, where `data.parallel` has some.
    pub parallel: Option<Parallel>,
    /// Captions with their translations, where `data.translations` has some.
    pub translations: Option<Translations>,
    /// Queries in further languages, translated into one of these.
    pub translated: Vec<Translated>,
    /// Sentences without pictures that say the same, where `data.pairs` has some; what is only evaluated reads none.
    pub pairs: Arc<SentencePairs>,
    /// What a teacher makes of the training captions and sentence pairs, where it was asked; that is no part of reading a corpus.
    pub teacher: Option<Arc<TeacherVectors>>,
    /// Files of further monolingual text of each language, one sentence a line; `None` where there is none.
    pub texts: Vec<Option<Vec<PathBuf>>>,
    /// Whether pictures have ids of their own, rather than row numbers.
    pub has_ids: bool,
    /// What was left out while reading, to be told to the user.
    pub notes: Vec<String>,
    /// The file that says which picture is in which split, where there is one (`data.split`).
    pub splits_by: Option<PathBuf>,
    distractor_split: Split,
}

impl Corpus {
    /// Reads captions, maps features and checks that they fit each other.
    ///
    /// `base` is the folder of the configuration file. Every feature row is read once.
    ///
    /// # Errors
    /// Kind `Config` for settings that contradict each other, kind `Data` for files that cannot be used; the message names file and line.
    pub fn load(config: &DataConfig, base: &Path) -> Result<Corpus> {
        Corpus::read(config, base, Wanted::everything())
    }

    /// Reads the corpus of a configuration. Languages that were added to a run, one that is to be added from translations, and those whose sentences
    /// a teacher teaches may have captions to be measured by alone; of these, the splits that no source of captions has are not read.
    ///
    /// # Errors
    /// As [`Corpus::load`].
    pub fn of(config: &Config) -> Result<Corpus> {
        let (data, mut wanted) = (config.data(), Wanted::everything());
        wanted.untaught = config.added().keys().cloned().collect();
        if config.loss().teacher.is_on() {
            let paired = |l: &&String| {
                data.pairs
                    .iter()
                    .any(|source| source.languages.iter().any(|code| data.same_language(l, code)))
            };
            wanted.untaught.extend(data.languages.iter().filter(paired).cloned());
            let training = |source: &CaptionSource| source.splits.contains(&CaptionSplit::Train);
            if !data.captions.iter().any(training) {
                // Sentences alone are learnt.
                wanted.pictures.retain(|split| *split != SplitName::Train);
            }
        }
        if !config.grow().translations.is_empty() {
            wanted.untaught.extend(data.languages.clone());
            let named = |split: &SplitName| {
                data.captions
                    .iter()
                    .flat_map(|source| &source.splits)
                    .any(|&named| SplitName::from(named) == *split)
            };
            wanted.splits.retain(named);
            wanted.pictures.retain(named);
            wanted.pairs = true;
            // The run joins languages, not the configuration of a new one.
            wanted.parallel &= wanted.has(SplitName::Val) && wanted.has(SplitName::Test);
        }
        config.names(Corpus::read(data, config.base(), wanted))
    }

    /// Sentences without pictures, by language, as training captions: what a teacher is asked of that teaches an added language.
    pub fn of_sentences(languages: Vec<String>, sentences: Vec<Vec<String>>) -> Corpus {
        let caption = |text| Caption { image: 0, text, source: Source::Human };
        let of = |texts: Vec<String>| texts.into_iter().map(caption).collect();
        let captions = sentences.into_iter().map(of).collect();
        Corpus { languages, train: Split { captions, ..Split::default() }, ..Corpus::default() }
    }

    /// Reads what an evaluation needs. With parallel captions of the pictures to test on, those of `val` are needed too, to
    /// fit how languages are joined; where their pictures are not there, that is noted and left out.
    ///
    /// # Errors
    /// As [`Corpus::load`].
    pub fn load_part(config: &DataConfig, base: &Path, mut wanted: Wanted) -> Result<Corpus> {
        let paths = Paths::new(base, &config.root);
        let mut left_out = None;
        let together = config.parallel.is_some() || !config.translations.is_empty();
        if together && wanted.has(SplitName::Test) {
            let files: Result<Vec<PathBuf>> =
                config.features.iter().map(|f| paths.resolve(f, Some(SplitName::Val), None)).collect();
            match files?.iter().find(|file| !file.is_file()) {
                None => {
                    wanted.pictures.push(SplitName::Val);
                    // Those that are translated.
                    wanted.splits.extend((!config.translations.is_empty()).then_some(SplitName::Val));
                    wanted.parallel = true;
                }
                Some(file) => {
                    let file = file.display();
                    left_out = Some(format!(
                        "languages are not joined (CLC), which is fitted on `val`: there is no file `{file}`"
                    ));
                }
            }
        }
        let mut corpus = Corpus::read(config, base, wanted)?;
        corpus.notes.extend(left_out);
        Ok(corpus)
    }

    /// Reads the pictures of a run's training split, to compare others with them ([`overlap`]). Whether there are any.
    ///
    /// # Errors
    /// As [`Corpus::load`].
    pub fn add_training_pictures(&mut self, config: &DataConfig, base: &Path) -> Result<bool> {
        let Some((train, has_ids)) = pictures::training(config, &Paths::new(base, &config.root))? else {
            return Ok(false);
        };
        self.train = train;
        self.has_ids &= has_ids;
        Ok(true)
    }

    fn read(config: &DataConfig, base: &Path, wanted: Wanted) -> Result<Corpus> {
        // Of the configuration only its reader knows the file.
        Self::read_parts(config, base, wanted).in_file_if(Kind::Data, base.join(&config.root))
    }

    fn read_parts(config: &DataConfig, base: &Path, wanted: Wanted) -> Result<Corpus> {
        check_languages(&config.languages)?;
        let paths = Paths::new(base, &config.root).with_test(wanted.test.clone());
        let pictures = Pictures::open(config, &paths, &wanted)?;
        let unknown = translated_languages(config)?;
        let codes: Vec<String> =
            config.languages.iter().chain(unknown.iter().map(|(code, _)| code)).cloned().collect();
        let mut harvest = Harvest::new(&codes, config.languages.len(), config, &wanted);
        for (n, source) in config.captions.iter().enumerate() {
            captions::read(n, source, &paths, &pictures, &mut harvest)?;
        }
        let mut human = harvest.human();
        if wanted.has(SplitName::Train) {
            harvest.check_training()?;
        }
        let mut notes = pictures.notes();
        notes.extend(harvest.notes());
        // What is only evaluated learns from no text.
        let texts = match wanted.has(SplitName::Train) {
            true => texts(config, &paths, &mut notes)?,
            false => vec![None; config.languages.len()],
        };
        let pairs = match wanted.has(SplitName::Train) || wanted.pairs {
            true => SentencePairs::read(config, &paths, &mut notes)?,
            false => SentencePairs::default(),
        };
        let shared = pictures.shared();
        let [mut train, mut val, mut test] = harvest.splits(&pictures)?;
        let count = config.languages.len();
        train.captions.truncate(count);
        for (name, split) in [(SplitName::Val, &mut val), (SplitName::Test, &mut test)] {
            split.set_machines_apart();
            split.machine.truncate(count);
            notes.extend(config.languages.iter().zip(&split.machine).filter(|(_, m)| !m.is_empty()).map(
                |(language, m)| {
                    let n = m.len();
                    format!(
                        "{n} captions of `{name}` in `{language}` by machines do not count: people wrote some too \
                         (`evaluate --captions machine` asks with them)"
                    )
                },
            ));
        }
        let asked = val.captions.split_off(count).into_iter().zip(test.captions.split_off(count));
        let translated: Vec<Translated> = unknown
            .into_iter()
            .zip(asked)
            .map(|((language, reader), (val, test))| Translated { language, reader, val, test })
            .collect();
        human.truncate(count);
        notes.extend(translated.iter().map(|t| t.note(&config.languages)));
        let parallel = match &config.parallel {
            Some(template) if wanted.parallel => {
                Some(Parallel::read(template, &config.languages, &paths, &pictures, &mut notes)?)
            }
            _ => None,
        };
        let translations = match wanted.parallel {
            true => Translations::read(config, &paths, [&val, &test], &mut notes)?,
            false => None,
        };
        let distractor_split = Split {
            features: pictures.distractors.as_ref().map(|g| g.features.clone()).unwrap_or_default(),
            image_ids: pictures.distractors.as_ref().map(|g| g.ids()).unwrap_or_default(),
            captions: vec![Vec::new(); config.languages.len()],
            machine: Vec::new(),
        };
        Ok(Corpus {
            languages: config.languages.clone(),
            human,
            train,
            val,
            test,
            distractors: pictures.distractors.map(|g| g.features),
            parallel,
            translations,
            translated,
            pairs: Arc::new(pairs),
            teacher: None,
            texts,
            has_ids: pictures.has_ids || shared,
            notes,
            splits_by: config.split.as_ref().map(|file| paths.resolve(file, None, None)).transpose()?,
            distractor_split,
        })
    }

    /// A split by name. The distractors are a split without captions, and without rows where there are none.
    pub fn split(&self, name: SplitName) -> &Split {
        match name {
            SplitName::Train => &self.train,
            SplitName::Val => &self.val,
            SplitName::Test => &self.test,
            SplitName::Distractors => &self.distractor_split,
        }
    }

    /// The splits with captions that were read.
    pub fn read_splits(&self) -> impl Iterator<Item = &Split> {
        SplitName::CAPTIONED
            .into_iter()
            .map(|name| self.split(name))
            .filter(|split| split.features.rows() > 0)
    }

    /// Numbers per picture: those of the training pictures, or where only sentences are learnt from, of others.
    pub fn width(&self) -> usize {
        self.read_splits().next().map_or(0, |split| split.features.width())
    }

    /// Whether there is a training caption.
    pub fn has_captions(&self) -> bool {
        self.train.captions.iter().any(|captions| !captions.is_empty())
    }

    /// What made the features, where it is noted beside any of them.
    pub fn made_by(&self) -> Option<&MadeBy> {
        let all = SplitName::CAPTIONED.into_iter().chain([SplitName::Distractors]);
        all.map(|name| &self.split(name).features).find_map(Features::made_by)
    }

    /// The place of a language in every list of this corpus.
    ///
    /// # Errors
    /// Usage, where the corpus does not have it.
    pub fn language(&self, code: &str) -> Result<usize> {
        self.languages.iter().position(|l| same_code(l, code)).ok_or_else(|| {
            Error::usage(format!("there is no language `{code}`"))
                .hint(format!("the languages are `{}`", self.languages.join("`, `")))
        })
    }
}

fn check_languages(languages: &[String]) -> Result<()> {
    if languages.is_empty() {
        return Err(
            Error::config("`data.languages` is empty").hint("for example `languages = [\"en\", \"de\"]`")
        );
    }
    for (n, language) in languages.iter().enumerate() {
        if languages[..n].iter().any(|l| same_code(l, language)) {
            return Err(Error::config(format!("`data.languages` names `{language}` twice")));
        }
    }
    Ok(())
}

/// The languages of sources with `read_as`, and the place of the language that each is read as.
fn translated_languages(config: &DataConfig) -> Result<Vec<(String, usize)>> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for source in &config.captions {
        let Some(code) = &source.read_as else { continue };
        let Some(reader) = config.languages.iter().position(|l| same_code(l, code)) else {
            return Err(Error::config(format!(
                "captions are read as `{code}`, which is not in `data.languages`"
            ))
            .hint("correct `read_as`, or add the language"));
        };
        for language in &source.languages {
            match found.iter().find(|(known, _)| config.same_language(known, language)) {
                None => found.push((language.clone(), reader)),
                Some((_, other)) if *other != reader => {
                    let what =
                        format!("`{language}` is read as `{}` and as `{code}`", config.languages[*other]);
                    return Err(Error::config(what).hint("give one of them in `read_as`"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(found)
}

/// Resolves `data.text` to the files that exist.
fn texts(config: &DataConfig, paths: &Paths, notes: &mut Vec<String>) -> Result<Vec<Option<Vec<PathBuf>>>> {
    let languages = &config.languages;
    let Some(template) = &config.text else { return Ok(vec![None; languages.len()]) };
    if !paths::has_language(template) && languages.len() > 1 {
        return Err(Error::config(format!("`data.text` is `{template}`, the same file for every language"))
            .hint("put `{language}` into the path"));
    }
    let mut texts = Vec::new();
    for language in languages {
        let file = paths.resolve(template, None, Some(language))?;
        if !file.is_file() {
            notes.push(format!("`{language}` has no further text: there is no file `{}`", file.display()));
        }
        texts.push(file.is_file().then(|| vec![file]));
    }
    if texts.iter().all(Option::is_none) {
        return Err(Error::data(format!("no file of `data.text`, `{template}`, exists"))
            .hint("correct the path, which is relative to `data.root`, or leave it out"));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests;
