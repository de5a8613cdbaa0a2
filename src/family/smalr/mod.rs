//! SMALR and its rivals: words with vectors of their own or in a shared latent vocabulary, a sentence encoder, an image branch
//! (Burns et al. 2020).

pub mod batch;
pub mod cost;
pub mod embedding;
mod estimate;
mod folder;
pub mod grow;
pub mod inference;
pub mod learner;
pub mod model;
pub mod objective;
mod onnx;
mod pack;
pub mod paired;
mod parts;
pub mod prepare;
pub mod pretrain;
pub mod run;
pub mod sizes;
pub mod start;
mod table;
pub mod taught;
pub mod text;

use std::path::Path;

use super::{Begun, Family, Onnx, Packer, StaticTable};
use crate::Result;
use crate::checkpoint::{Earlier, ReservedFolder, RunFolder, RunInfo};
use crate::config::Config;
use crate::corpus::Corpus;
use crate::corpus::check::Report;
use crate::estimate::Share;
use crate::eval::Growth;
use crate::grow::{Addition, AskTeacher};
use crate::retrieve::Retriever;
use crate::train::{Event, Progress};
use crate::words::Segmenter;

use estimate::Counts;
pub use folder::empty_embedding;
pub use pack::language as language_pack;
pub use run::SmalrRun;

/// The family.
pub struct SmalrFamily;

impl Family for SmalrFamily {
    fn begin(
        &self,
        config: &Config,
        corpus: &Corpus,
        place: ReservedFolder,
        cache: Option<&Path>,
        progress: Progress,
    ) -> Result<Begun> {
        start::begin(config, corpus, place, cache, progress)?.begun()
    }

    fn go_on(&self, earlier: Earlier, corpus: &Corpus) -> Result<Begun> {
        start::go_on(earlier, corpus)?.begun()
    }

    fn open(&self, path: &Path, set: &[String]) -> Result<Box<dyn Retriever>> {
        let mut run = SmalrRun::open(path, set)?;
        run.model.text.fix_recurrent();
        Ok(Box::new(run))
    }

    fn counts_key(&self, config: &Config) -> String {
        format!("{:?}{:?}", config.data(), config.words())
    }

    fn count(&self, config: &Config, corpus: &Corpus) -> Result<Box<dyn crate::estimate::Counts>> {
        Ok(Box::new(Counts::of(config, corpus)?))
    }

    fn shares(&self, config: &Config, corpus: &Corpus) -> Result<Vec<Share>> {
        Ok(Counts::of(config, corpus)?.shares(config))
    }

    fn with_lost(&self, config: &Config, corpus: &Corpus, report: Report) -> Result<Report> {
        let segmenters = Segmenter::all(&corpus.languages, config.words(), config.base())?;
        Ok(report.with_lost(corpus, &|language, text| {
            let tokens = segmenters[language].tokens(text);
            (tokens.cut, tokens.long)
        }))
    }

    fn facts(&self, info: &RunInfo, config: &Config) -> Vec<(String, String)> {
        let own = match config.embedding().top_k {
            0 => "none".into(),
            k => format!("top {k} of each language"),
        };
        vec![
            ("words with own vectors".to_string(), own),
            ("latent tokens".to_string(), format!("{} of {} used", info.latents[1], info.latents[0])),
        ]
    }

    fn add_language(
        &self,
        addition: &Addition,
        ask: AskTeacher,
        progress: Progress,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Growth> {
        grow::add::add(addition, ask, progress, tell)
    }

    fn packer(&self, run: &Path, languages: &[String]) -> Result<Box<dyn Packer>> {
        Ok(Box::new(pack::SmalrPacker::open(run, languages)?))
    }

    fn onnx(&self, run: &Path) -> Result<Onnx> {
        onnx::onnx(&run::SmalrRun::open(run, &[])?)
    }

    fn table(&self, run: &Path, language: &str) -> Result<StaticTable> {
        table::table(&run::SmalrRun::open(run, &[])?, language)
    }

    fn remove_language(&self, run: &Path, code: &str, place: ReservedFolder) -> Result<RunFolder> {
        grow::remove::remove(run, code, place)
    }
}
