//! A text tower and the image branch, trained from scratch beside each other (Radford et al. 2021).

mod estimate;
pub mod learner;
mod model;
pub mod run;

use std::path::Path;

use super::packing::to_pack;
use super::{Begun, Family, LearnerSource, Packer};
use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::corpus::check::Report;
use crate::estimate::Share;
use crate::eval::Growth;
use crate::grow::{Addition, AskTeacher};
use crate::retrieve::Retriever;
use crate::tower::TowerTokenizer;
use crate::train::{Event, Learner, Progress};
use crate::{Error, Result};

pub(crate) use estimate::NewTower;
pub use learner::TowerLearner;
pub use model::*;
pub use run::TowerRun;

/// The family.
pub struct TowerFamily;

/// What is trained, until a learner takes it.
struct Source(Option<Clip>);

impl LearnerSource for Source {
    fn learner<'a>(&'a mut self, config: &'a Config, corpus: &'a Corpus) -> Result<Box<dyn Learner + 'a>> {
        let clip = self.0.take().expect("one learner of a run");
        Ok(Box::new(TowerLearner::new(config, corpus, clip)))
    }
}

fn begun(TowerRun { folder, config, info, clip, .. }: TowerRun) -> Begun {
    Begun { folder, config, info, source: Box::new(Source(Some(clip))) }
}

impl Family for TowerFamily {
    fn begin(
        &self,
        config: &Config,
        corpus: &Corpus,
        place: ReservedFolder,
        _cache: Option<&Path>,
        _progress: Progress,
    ) -> Result<Begun> {
        TowerRun::begin(config, corpus, place).map(begun)
    }

    fn go_on(&self, earlier: Earlier, corpus: &Corpus) -> Result<Begun> {
        TowerRun::go_on(earlier, corpus).map(begun)
    }

    fn complete(&self, folder: &RunFolder, corpus: &Corpus) -> Result<Option<String>> {
        let tower = TowerRun::open(&folder.path, &[])?.hand_over(corpus)?;
        Ok(Some(format!("the tower, for `acquire.tower`: {}", tower.display())))
    }

    fn open(&self, path: &Path, set: &[String]) -> Result<Box<dyn Retriever>> {
        Ok(Box::new(TowerRun::open(path, set)?))
    }

    fn counts_key(&self, config: &Config) -> String {
        estimate::key(config)
    }

    fn count(&self, config: &Config, corpus: &Corpus) -> Result<Box<dyn crate::estimate::Counts>> {
        Ok(Box::new(NewTower::of(config, corpus)?))
    }

    fn shares(&self, config: &Config, corpus: &Corpus) -> Result<Vec<Share>> {
        Ok(estimate::shares(config, corpus))
    }

    fn with_lost(&self, config: &Config, corpus: &Corpus, report: Report) -> Result<Report> {
        let (words, sizes) = vocabulary(config, corpus)?;
        let reader = TowerTokenizer::new(words, Path::new("tokenizer.json"), &sizes)?;
        let lost = |l: usize, text: &str| (reader.cuts(&corpus.languages[l], text), 0);
        Ok(report.with_lost(corpus, &lost).with_bound(learner::BOUND))
    }

    fn facts(&self, _info: &RunInfo, config: &Config) -> Vec<(String, String)> {
        let tower = config.tower();
        let what = format!("{} blocks of width {}, {} heads", tower.layers, tower.width, tower.heads);
        vec![("tower".to_string(), what)]
    }

    fn add_language(
        &self,
        addition: &Addition,
        _: AskTeacher,
        _: Progress,
        _: &mut dyn FnMut(Event),
    ) -> Result<Growth> {
        Err(Error::usage("the run is a tower of one language")
            .at(addition.run)
            .hint("train a run with `acquire.tower` on it, and add languages to that"))
    }

    fn packer(&self, run: &Path, languages: &[String]) -> Result<Box<dyn Packer>> {
        Ok(Box::new(to_pack(run, languages, TowerRun::open)?))
    }

    fn remove_language(&self, run: &Path, _: &str, _: ReservedFolder) -> Result<RunFolder> {
        Err(Error::usage("the run is a tower of one language").at(run).hint("a run needs a language"))
    }
}
