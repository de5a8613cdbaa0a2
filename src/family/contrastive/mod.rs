//! A multilingual text encoder and picture vectors in one space, trained on streams of pairs: MURAL (Jain et al. 2021), ETCL (Lee et al. 2022),
//! cl-clip-align (Krasner et al. 2025).

mod encoder;
mod estimate;
mod grow;
pub mod learner;
mod model;
mod objective;
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
use crate::train::{Event, Learner, Progress};
use crate::{Error, Result};

use encoder::Encoder;
pub use learner::ContrastiveLearner;
pub use model::{Contrastive, Meets};
pub use run::ContrastiveRun;

/// The family.
pub struct ContrastiveFamily;

/// What is trained, until a learner takes it.
struct Source(Option<Contrastive>);

impl LearnerSource for Source {
    fn learner<'a>(&'a mut self, config: &'a Config, corpus: &'a Corpus) -> Result<Box<dyn Learner + 'a>> {
        let model = self.0.take().expect("one learner of a run");
        Ok(Box::new(ContrastiveLearner::new(config, corpus, model)))
    }
}

fn begun(ContrastiveRun { folder, config, info, model, .. }: ContrastiveRun) -> Begun {
    Begun { folder, config, info, source: Box::new(Source(Some(model))) }
}

/// What to do in place of removing a language.
const TRAIN_ON: &str = "train a new run with other `data.languages` on it: `contrastive.start` takes this run and trains all of it on";

impl Family for ContrastiveFamily {
    fn begin(
        &self,
        config: &Config,
        corpus: &Corpus,
        place: ReservedFolder,
        _cache: Option<&Path>,
        _progress: Progress,
    ) -> Result<Begun> {
        ContrastiveRun::begin(config, corpus, place).map(begun)
    }

    fn go_on(&self, earlier: Earlier, corpus: &Corpus) -> Result<Begun> {
        ContrastiveRun::go_on(earlier, corpus).map(begun)
    }

    fn complete(&self, folder: &RunFolder, corpus: &Corpus) -> Result<Option<String>> {
        ContrastiveRun::open(&folder.path, &[])?.hand_over(corpus).map(Some)
    }

    fn open(&self, path: &Path, set: &[String]) -> Result<Box<dyn Retriever>> {
        Ok(Box::new(ContrastiveRun::open(path, set)?))
    }

    fn counts_key(&self, config: &Config) -> String {
        estimate::key(config)
    }

    fn count(&self, config: &Config, corpus: &Corpus) -> Result<Box<dyn crate::estimate::Counts>> {
        Ok(Box::new(estimate::Counted::of(config, corpus)?))
    }

    fn shares(&self, config: &Config, corpus: &Corpus) -> Result<Vec<Share>> {
        estimate::shares(config, corpus)
    }

    fn with_lost(&self, config: &Config, corpus: &Corpus, report: Report) -> Result<Report> {
        let tokenizer = Encoder::sized(config, corpus)?.tokenizer;
        let unknown = tokenizer.unknown();
        let lost = |l: usize, text: &str| {
            let encoded = tokenizer.encode(&corpus.languages[l], &[text]);
            let missed = encoded.ids.rows.iter().filter(|id| Some(**id) == unknown).count();
            (!encoded.truncated.is_empty(), missed)
        };
        Ok(report.with_lost(corpus, &lost).with_bound(learner::BOUND))
    }

    fn facts(&self, _info: &RunInfo, config: &Config) -> Vec<(String, String)> {
        let contrastive = config.contrastive();
        let encoder = match (&contrastive.start, &contrastive.checkpoint) {
            (Some(run), _) => format!("of the run {}", run.display()),
            (None, Some(folder)) => format!("the checkpoint {}", folder.display()),
            (None, None) => {
                let fresh = &contrastive.fresh;
                format!("{} blocks of width {}, {} heads, new", fresh.layers, fresh.width, fresh.heads)
            }
        };
        let losses = [
            ("pictures and captions", contrastive.image_text.weight),
            ("sentences", contrastive.text_text.weight),
            ("triples", contrastive.triple.weight),
        ];
        let losses: Vec<String> = losses
            .into_iter()
            .filter(|(_, weight)| *weight > 0.0)
            .map(|(what, weight)| format!("{what} × {weight}"))
            .collect();
        vec![("encoder".to_string(), encoder), ("contrasts".to_string(), losses.join(", "))]
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
        Ok(Box::new(to_pack(run, languages, ContrastiveRun::open)?))
    }

    fn remove_language(&self, run: &Path, _: &str, _: ReservedFolder) -> Result<RunFolder> {
        Err(Error::usage("the run's encoder is shared by all languages: nothing in it belongs to one alone")
            .at(run)
            .hint(TRAIN_ON))
    }
}
