//! The trainings of an added language's acquirer: on all of its sentences, and on fewer for a learning curve.

use crate::checkpoint::Which;
use crate::config::{AddedConfig, Config, Problems};
use crate::corpus::{Corpus, SplitName};
use crate::eval::Growth;
use crate::eval::Scope;
use crate::eval::task::recall;
use crate::family::mla::data::{Source, StageData, Translations};
use crate::family::mla::learner::MlaLearner;
use crate::family::mla::run::MlaRun;
use crate::family::mla::{Acquirer, Form, Mla};
use crate::grow::LEAST;
use crate::grow::addition::{Addition, REPORTED, code};
use crate::grow::some_groups;
use crate::init::Init;
use crate::optim::freeze;
use crate::seed::derive;
use crate::train::{Event, Trainer};
use crate::{Error, Result};

use crate::family::mla::grow::cost::Cost;

/// What the new language is taught, stage by stage, and where its dice come from.
pub(crate) struct Lessons {
    /// NLT and LE.
    data: [Option<StageData>; 2],
    seed: u64,
}

impl Lessons {
    /// Reads sentences and computes the teachers' vectors.
    pub(crate) fn new(
        run: &MlaRun,
        new: Option<&Corpus>,
        sources: &[Source],
        growth: &mut Growth,
    ) -> Result<Lessons> {
        let seed = derive(run.config.seed(), &format!("grow {}", growth.language), 0);
        let translations = match sources {
            [] => None,
            _ => Some(Translations::read(&run.mla, &[&growth.language], &[sources.to_vec()])?),
        };
        growth.translations = translations.as_ref().map_or(0, |t| t.languages[0].rows.len());
        growth.captions = new.map_or(0, |corpus| corpus.train.captions[0].len());
        let sentences = growth.captions + growth.translations;
        if sentences < LEAST {
            return Err(Error::data(format!("`{}` has {sentences} training sentences", growth.language))
                .hint(format!("give {LEAST} captions or translations at least")));
        }
        if let Some(translations) = &translations {
            growth.products += Cost::of_teachers(&run.mla, translations).products;
        }
        let nlt = translations.map(|t| t.taught(&run.mla, run.config.train().precision));
        let le = match new.filter(|_| growth.captions > 0) {
            Some(corpus) => {
                let unit = run.config.acquire().le.at_unit_length();
                Some(StageData::captions(&run.mla, corpus, &[&growth.language], unit)?)
            }
            None => None,
        };
        Ok(Lessons { data: [nlt, le], seed })
    }

    /// A share of the sentences of each stage.
    pub(crate) fn some(&self, share: f64) -> Lessons {
        let of = |(n, data): (usize, &Option<StageData>)| {
            let StageData { languages, vectors, .. } = data.as_ref()?;
            let groups = some_groups(languages[0].distinct(), share, derive(self.seed, "curve", n as u64));
            let languages = vec![languages[0].some(&groups)];
            Some(StageData { languages, vectors: vectors.clone(), truncated: 0 })
        };
        let [nlt, le] = [0, 1].map(|n| of((n, &self.data[n])));
        Lessons { data: [nlt, le], seed: self.seed }
    }
}

/// What all trainings of the language have in common.
pub(crate) struct AcquirerTraining<'a> {
    code: &'a str,
    /// The run's, with the language's own stages.
    config: Config,
    /// Its pictures and captions, if it has any.
    corpus: Option<&'a Corpus>,
    addition: &'a Addition<'a>,
}

impl<'a> AcquirerTraining<'a> {
    pub(crate) fn new(
        addition: &'a Addition<'a>,
        config: &Config,
        corpus: Option<&'a Corpus>,
    ) -> Result<AcquirerTraining<'a>> {
        let code = code(addition.given)?;
        let mut raw = config.raw().clone();
        raw.acquire = own(addition.given).over(&raw.acquire);
        // The run may have left out the stage that names them; they are not read.
        let nlt = &mut raw.acquire.nlt;
        for file in [&mut nlt.source, &mut nlt.target] {
            file.get_or_insert_with(|| "{language}".into());
        }
        let config = raw.check(config.base().into()).map_err(Problems::into_error)?;
        Ok(AcquirerTraining { code, config, corpus, addition })
    }

    /// Trains an acquirer in a folder of its own, from the beginning or on; `sentences` names it, or it has all.
    pub(crate) fn teach(
        &self,
        lessons: Lessons,
        mut mla: Mla,
        sentences: Option<usize>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<TrainedAcquirer> {
        let (config, acquire) = (&self.config, self.config.acquire());
        let mut init = Init::new(derive(lessons.seed, "model", 0));
        let acquirer = Acquirer::new(self.code, &Form::of(acquire), mla.size(), &mut init);
        freeze(&mut mla, |_| true);
        mla.acquirers = vec![acquirer];
        let folder = self.addition.training_folder(sentences)?;
        let validated = self.corpus.filter(|corpus| !corpus.val.captions[0].is_empty());
        let learner = MlaLearner::of(config, lessons.seed, validated, mla, lessons.data);
        let truncated = learner.truncated;
        let mut trainer = Trainer::new(config, &folder, learner);
        self.addition.train(&mut trainer, &folder, sentences, tell)?;
        let state = trainer.state.clone();
        let work = Cost::of_stages(&trainer.learner.mla, &trainer.learner.shown(), state.step);
        let best_epoch = trainer.epochs_at(state.best_step) as usize;
        let mut mla = trainer.learner.mla;
        folder.read_model(Which::Best, &mut mla.acquirers)?;
        Ok(TrainedAcquirer { mla, work, truncated, best_epoch, seconds: state.seconds })
    }

    /// Mean recall of the language on its own pictures.
    pub(crate) fn recalls(&self, mla: &mut Mla) -> Result<[Option<f64>; 2]> {
        let precision = self.config.train().precision;
        let mut on = |split: SplitName| -> Result<Option<f64>> {
            let Some(corpus) = self.corpus.filter(|c| !c.split(split).captions[0].is_empty()) else {
                return Ok(None);
            };
            let scope = Scope { translated: false, ..Scope::whole(split) };
            let parameters = mla.parameters();
            let all = recall::evaluate(&mla.encoder(precision), corpus, scope, parameters)?.languages;
            Ok(all.iter().find(|(language, _)| language == self.code).map(|(_, r)| r.mr))
        };
        Ok([on(REPORTED[0])?, on(REPORTED[1])?])
    }
}

/// The language's own stages.
pub(crate) fn own(given: &Config) -> AddedConfig {
    let (nlt, le) = (given.grow().nlt.clone(), given.grow().le.clone());
    AddedConfig { nlt, le, ..AddedConfig::default() }
}

/// What a training has come to: the model has the new language's acquirer alone.
pub(crate) struct TrainedAcquirer {
    pub(crate) mla: Mla,
    work: Cost,
    truncated: usize,
    best_epoch: usize,
    seconds: f64,
}

impl TrainedAcquirer {
    /// Notes what it took, and gives the acquirer.
    pub(crate) fn record(mut self, growth: &mut Growth) -> Acquirer {
        let acquirer = self.mla.acquirers.remove(0);
        growth.parameters = vec![("acquirer".into(), acquirer.parameters() as u64)];
        growth.truncated = self.truncated;
        growth.products += self.work.products;
        growth.sentences_shown = self.work.sentences;
        growth.seconds = vec![("training".into(), self.seconds)];
        growth.best_epoch = self.best_epoch;
        acquirer
    }
}
