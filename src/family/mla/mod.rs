//! Multilingual acquisition (MLA): a frozen English text tower learns languages from small adapters.
//!
//! English takes the tower's own way and is untouched. Another language: ids of a multilingual tokenizer → its embedding
//! (M-BERT's to begin with) → a linear layer to the tower's width → the tower's blocks, each followed by the language's
//! adapter → the state at the last token → the tower's projection. Sources: the supplement of the MLA paper and its code
//! (AIM3-RUC/MLA). Or all languages, English too, go through a frozen M-BERT with adapters instead ([`bert`]).

pub mod acquirer;
pub mod bert;
pub mod data;
mod encoder;
mod estimate;
pub mod grow;
mod input;
pub mod learner;
mod model;
pub mod objective;
mod pack;
mod readers;
pub mod run;
pub mod sizes;
pub mod words;

use std::path::Path;

use super::{Begun, Family, LearnerSource, Packer};
use crate::Result;
use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo};
use crate::config::{AcquireEncoder, Config};
use crate::corpus::Corpus;
use crate::corpus::check::Report;
use crate::estimate::Share;
use crate::eval::Growth;
use crate::grow::{Addition, AskTeacher};
use crate::retrieve::Retriever;
use crate::train::{Event, Learner, Progress};

pub use acquirer::{Acquirer, Adapter, Form};
pub use bert::Bert;
pub(crate) use estimate::Acquired;
pub use input::{InputEmbedding, LowRank};
pub use learner::MlaLearner;
pub use model::*;
pub use run::MlaRun;

/// The family.
pub struct MlaFamily;

/// What is trained, until a learner takes it.
struct Source(Option<Mla>);

impl LearnerSource for Source {
    fn learner<'a>(&'a mut self, config: &'a Config, corpus: &'a Corpus) -> Result<Box<dyn Learner + 'a>> {
        let mla = self.0.take().expect("one learner of a run");
        Ok(Box::new(MlaLearner::new(config, corpus, mla)?))
    }
}

fn begun(MlaRun { folder, config, info, mla, .. }: MlaRun) -> Begun {
    Begun { folder, config, info, source: Box::new(Source(Some(mla))) }
}

impl Family for MlaFamily {
    fn begin(
        &self,
        config: &Config,
        corpus: &Corpus,
        place: ReservedFolder,
        _cache: Option<&Path>,
        _progress: Progress,
    ) -> Result<Begun> {
        MlaRun::begin(config, corpus, place).map(begun)
    }

    fn go_on(&self, earlier: Earlier, corpus: &Corpus) -> Result<Begun> {
        MlaRun::go_on(earlier, corpus).map(begun)
    }

    fn open(&self, path: &Path, set: &[String]) -> Result<Box<dyn Retriever>> {
        Ok(Box::new(MlaRun::open(path, set)?))
    }

    fn counts_key(&self, config: &Config) -> String {
        estimate::key(config)
    }

    fn count(&self, config: &Config, corpus: &Corpus) -> Result<Box<dyn crate::estimate::Counts>> {
        Ok(Box::new(Acquired::of(config, corpus)?))
    }

    fn shares(&self, config: &Config, corpus: &Corpus) -> Result<Vec<Share>> {
        Ok(estimate::shares(config, corpus))
    }

    fn with_lost(&self, config: &Config, corpus: &Corpus, report: Report) -> Result<Report> {
        let Some(readers) = readers::readers(config, corpus)? else { return Ok(report) };
        let lost = |l: usize, text: &str| (readers[l].cuts(&corpus.languages[l], text), 0);
        Ok(report.with_lost(corpus, &lost).with_bound(learner::BOUND))
    }

    fn facts(&self, _info: &RunInfo, config: &Config) -> Vec<(String, String)> {
        let own = &config.acquire().own;
        let on = match config.acquire().encoder {
            AcquireEncoder::Tower => format!("on an {own} tower"),
            AcquireEncoder::Bert => format!("in a multilingual encoder, beside an {own} tower"),
        };
        vec![("acquired".to_string(), on)]
    }

    fn add_language(
        &self,
        addition: &Addition,
        _: AskTeacher,
        _: Progress,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Growth> {
        grow::add(addition, tell)
    }

    fn packer(&self, run: &Path, languages: &[String]) -> Result<Box<dyn Packer>> {
        Ok(Box::new(pack::to_pack(run, languages)?))
    }

    fn remove_language(&self, run: &Path, code: &str, place: ReservedFolder) -> Result<RunFolder> {
        grow::remove(run, code, place)
    }
}
