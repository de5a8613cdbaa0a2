//! The options that name data of others for tasks.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::Result;
use crate::corpus::SplitName;
use crate::eval::given::{Bitext, Cxc, Galleries, Given, Groups, Known, Nli, Protocol, Sources, Sts};
use crate::retrieve::Retriever;

/// Data sets by pattern, by folder, or file by file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GivenArgs {
    /// Parallel sentences for the task `bitext`: a folder in Tatoeba's or Flores's layout, a pattern such as 'flores/{language}.devtest' or
    /// 'tatoeba.{pair}.{language}', or each file as CODE=FILE
    #[arg(long, value_name = "SET", num_args = 1..)]
    pub bitext: Vec<String>,
    /// Scored pairs of sentences for the task `sts`, CSV, TSV or JSON lines: a pattern such as 'stsb-{language}-test.csv' or
    /// 'sts17/{pair}.tsv', or CODE=FILE and CODE-CODE=FILE
    #[arg(long, value_name = "SET", num_args = 1..)]
    pub sts: Vec<String>,
    /// Configuration whose `data.features` have `{language}`, for the task `galleries`: each language among its own pictures
    #[arg(long, value_name = "CONFIG")]
    pub galleries: Option<PathBuf>,
    /// Which captions ask in `galleries`, and for which pictures
    #[arg(long, value_enum, default_value_t = Asked::All, requires = "galleries")]
    pub protocol: Asked,
    /// Premises and hypotheses to learn from, for the task `nli`: MultiNLI's or XNLI's files, CODE=FILE, a pattern, or with a column `language`
    #[arg(long, value_name = "SET", num_args = 1.., requires_all = ["nli_dev", "nli_test"])]
    pub nli_train: Vec<String>,
    /// Those to stop training by, in the same languages
    #[arg(long, value_name = "SET", num_args = 1.., requires = "nli_train")]
    pub nli_dev: Vec<String>,
    /// Those to measure on, in any languages
    #[arg(long, value_name = "SET", num_args = 1.., requires = "nli_train")]
    pub nli_test: Vec<String>,
    /// Folder of Crisscrossed Captions, for the task `cxc`: sts_SPLIT.csv, sis_SPLIT.csv and sits_SPLIT.csv
    #[arg(long, value_name = "DIR", requires_all = ["cxc_captions", "cxc_images"])]
    pub cxc: Option<PathBuf>,
    /// Their captions: Karpathy's dataset_coco.json, or MSCOCO's captions_val2014.json
    #[arg(long, value_name = "FILE", requires = "cxc")]
    pub cxc_captions: Option<PathBuf>,
    /// Features of their pictures, with ids in them or beside them (.ids): the names of MSCOCO's files
    #[arg(long, value_name = "FILE", requires = "cxc")]
    pub cxc_images: Option<PathBuf>,
    /// Groups of languages to take means over, as TOML: `seen = ["en", "de"]`
    #[arg(long, value_name = "FILE")]
    pub groups: Option<PathBuf>,
}

/// A protocol by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Asked {
    /// Every caption, in one gallery (or `--folds`)
    #[default]
    All,
    /// The first five captions of each picture
    FirstFive,
    /// COCO's 1K: 5,000 pictures in five galleries
    #[value(name = "1k")]
    OneK,
}

impl From<Asked> for Protocol {
    fn from(asked: Asked) -> Protocol {
        match asked {
            Asked::All => Protocol::All,
            Asked::FirstFive => Protocol::FirstFive,
            Asked::OneK => Protocol::OneK,
        }
    }
}

impl GivenArgs {
    /// Reads them, for a run, which knows the languages. `split`, or the set `other` in place of test, is that of the galleries, which are cut into
    /// `folds`.
    pub fn read(
        &self,
        name: Option<&str>,
        run: &dyn Retriever,
        (split, other): (SplitName, Option<String>),
        folds: usize,
    ) -> Result<Given> {
        let languages = run.languages();
        let known = Known { languages: &languages, data: run.config().data() };
        let some = |specs: &[String]| !specs.is_empty();
        let galleries =
            |file: &PathBuf| Galleries::read(file, name, known, split, other.clone(), self.protocol.into());
        Ok(Given {
            labelled: None,
            cxc: self.cxc(name, split, known, run)?,
            galleries: self.galleries.as_ref().map(galleries).transpose()?,
            folds,
            bitext: some(&self.bitext).then(|| Bitext::read(&self.bitext, name, known)).transpose()?,
            sts: some(&self.sts).then(|| Sts::read(&self.sts, name, known)).transpose()?,
            nli: some(&self.nli_train)
                .then(|| Nli::read([&self.nli_train, &self.nli_dev, &self.nli_test], name, known))
                .transpose()?,
            groups: self
                .groups
                .as_deref()
                .map_or_else(|| Ok(Groups::default()), |file| Groups::read(file, known))?,
        })
    }

    fn cxc(
        &self,
        name: Option<&str>,
        split: SplitName,
        known: Known,
        run: &dyn Retriever,
    ) -> Result<Option<Cxc>> {
        let (Some(folder), Some(captions), Some(images)) = (&self.cxc, &self.cxc_captions, &self.cxc_images)
        else {
            return Ok(None);
        };
        let cxc = Cxc::read(Sources { folder, captions, images }, &split.to_string(), name, known)?;
        run.check_pictures(&*cxc.pictures)?;
        Ok(Some(cxc))
    }
}
