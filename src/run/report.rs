//! What the report of a run shows, gathered from its folder and, where they are there, its data.

use std::path::Path;

use super::compared::compared;
use super::errors::errors;
use super::hits::Album;
use super::open;
use crate::checkpoint::{RunFolder, RunInfo, Which, metrics};
use crate::config::Config;
use crate::corpus::{Corpus, SplitName, Wanted};
use crate::error::InFile;
use crate::eval::similarity::check_finite;
use crate::eval::task::Measure;
use crate::eval::task::consistency::Joint;
use crate::eval::{Evaluation, TaskResult};
use crate::report::{Compared, Errors, Example, Measured, Part, RunReport};
use crate::retrieve::{Gallery, Retriever};
use crate::{Result, family};

/// Example queries of each language, and pictures shown for each.
const EXAMPLES: usize = 2;
const HITS: usize = 5;

/// The report of a run, and what could not be shown in it, for the user.
///
/// # Errors
/// Data, where there is no run, one that is not whole, or test pictures of another width than its own.
pub fn report(path: &Path) -> Result<(RunReport, Vec<String>)> {
    let folder = RunFolder::new(path);
    let (info, config) = (folder.info()?, folder.config()?);
    let metrics = folder.metrics();
    let mut notes = Vec::new();
    let Queried { examples, compared, errors } = match folder.has(Which::Best) {
        true => queried(path, &mut notes)?,
        false => Queried::default(),
    };
    let report = RunReport {
        name: name(path),
        facts: facts(&folder, &info, &config)?,
        evaluations: folder.evaluations()?,
        growths: folder.growths(&info.languages)?,
        metrics: if metrics.exists() { metrics::read(&metrics)? } else { Vec::new() },
        parts: info.parameters.iter().map(|(name, n)| part(name, *n as u64)).collect(),
        examples,
        compared,
        errors,
        config: config.to_toml(),
        ..RunReport::default()
    };
    let consistency = report.evaluations.iter().find_map(|e| e.consistency.clone());
    // What queries find in several languages is shown with the recall of the same name.
    let of = |e: &Evaluation, r: &TaskResult| {
        e.by_language.is_some() && (e.name(), &e.data) == (r.name.clone(), &r.data)
    };
    let shown = |r: &TaskResult| r.task == Joint::NAME && report.evaluations.iter().any(|e| of(e, r));
    let results = folder.results()?.into_iter().filter(|result| !shown(result)).collect();
    Ok((RunReport { consistency, results, ..report }, notes))
}

/// What is known of a run for the table of models, under a name.
///
/// # Errors
/// Data, where there is no run, or a result in it cannot be read.
pub fn measured(path: &Path, name: String) -> Result<Measured> {
    let folder = RunFolder::new(path);
    let info = folder.info()?;
    let parameters = [info.parameters_train as u64, info.parameters_test as u64];
    let (run, results) = (path.display().to_string(), folder.all_results()?);
    Ok(Measured { name, run, seed: info.seed, parameters, results })
}

/// The folder's name and that of the one it is in, as `run` or `2` alone say little.
pub fn name(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let names: Vec<_> = full.iter().skip(1).map(|name| name.to_string_lossy()).collect();
    names[names.len().saturating_sub(2)..].join("/")
}

fn facts(folder: &RunFolder, info: &RunInfo, config: &Config) -> Result<Vec<(String, String)>> {
    let mut facts = vec![
        ("languages".to_string(), info.languages.join(", ")),
        ("seed".to_string(), info.seed.to_string()),
        ("picture features".to_string(), format!("{} numbers", info.features)),
    ];
    facts.extend(family::of(config).facts(info, config));
    if folder.has(Which::Best) && folder.has(Which::Latest) {
        let (best, latest) = (folder.read_state(Which::Best)?, folder.read_state(Which::Latest)?);
        let minutes = format!("{:.1} min", latest.seconds / 60.0);
        facts.push(("steps".to_string(), format!("{}, best after {}", latest.step, best.best_step)));
        facts.push(("training time".to_string(), minutes));
    }
    facts.push(("device".to_string(), info.device.clone()));
    facts.push(("tinyglot".to_string(), info.tinyglot.clone()));
    Ok(facts)
}

/// At test time the embedding is a table computed beforehand, and only the encoders remain.
fn part(name: &str, train: u64) -> Part {
    let stays = ["text.", "image.", "acquirer.", "tower.", "bert."].iter().any(|part| name.starts_with(part));
    let stays = stays && name != "tower.tokens";
    Part { name: name.into(), train, test: if stays { train } else { 0 } }
}

/// What test captions and pictures find.
#[derive(Default)]
struct Queried {
    examples: Vec<Example>,
    compared: Vec<Compared>,
    errors: Errors,
}

/// Some test captions and pictures and what they find; nothing, and a note, where the data cannot be read.
fn queried(path: &Path, notes: &mut Vec<String>) -> Result<Queried> {
    let run = open(path, &[])?;
    let test = Wanted::only(SplitName::Test, None, false);
    let corpus = match Corpus::load_part(run.config().data(), run.config().base(), test) {
        Ok(corpus) => corpus,
        Err(error) => {
            notes.push(format!("no example queries, because the data cannot be used: {error}"));
            return Ok(Queried::default());
        }
    };
    run.check_pictures(&corpus.test.features)?;
    let config = run.config().clone();
    let mut album = Album::new(config.data(), &corpus);
    let examples = examples(&*run, &corpus, &mut album)?;
    let compared = compared(&*run, &corpus, &mut album, notes)?;
    let errors = errors(&*run, &corpus, &mut album)?;
    notes.extend(album.note);
    Ok(Queried { examples, compared, errors })
}

/// Some captions of each language.
fn examples(run: &dyn Retriever, corpus: &Corpus, album: &mut Album) -> Result<Vec<Example>> {
    let (gallery, mut examples) = (Gallery::new(run, &corpus.test.features)?, Vec::new());
    for language in 0..corpus.languages.len() {
        let queries = queries(corpus, language);
        let place = run.language(&corpus.languages[language])?;
        let texts: Vec<&str> = queries.iter().map(|q| q.text).collect();
        let vectors = run.sentences(place, &texts).vectors;
        check_finite(&vectors, run.joint(), "query").in_file(&run.folder().path)?;
        let found = gallery.search(&vectors, gallery.len());
        for (query, found) in queries.iter().zip(found) {
            let rank = found.iter().position(|found| found.row == query.image);
            let missed = rank.filter(|&rank| rank >= HITS);
            examples.push(Example {
                language: corpus.languages[language].clone(),
                query: query.text.into(),
                translation: query.translation.map(String::from),
                hits: found.iter().take(HITS).map(|found| album.hit(query.image, found)).collect(),
                missed: missed.map(|rank| (rank + 1, album.hit(query.image, &found[rank]))),
            });
        }
    }
    Ok(examples)
}

/// A test caption and its picture.
struct Query<'a> {
    text: &'a str,
    translation: Option<&'a str>,
    image: u32,
}

/// Queries spread over the test pictures, other pictures for each language. Parallel captions come first, as they
/// have a translation to show.
fn queries(corpus: &Corpus, language: usize) -> Vec<Query<'_>> {
    let place = |n: usize, of: usize| (2 * n + 1) * of / (2 * EXAMPLES) + language;
    let code = corpus.languages[language].as_str();
    let test = |l: usize| corpus.parallel.as_ref().and_then(|p| p.test[l].as_deref());
    let english = corpus.languages.iter().position(|l| l == "en").and_then(test);
    if let (Some(texts), Some(english)) = (test(language), english) {
        let at = |n: usize| place(n, texts.len()) % texts.len();
        let query = |i: usize| Query {
            text: &texts[i],
            translation: (code != "en").then_some(&english[i]),
            image: i as u32,
        };
        return (0..EXAMPLES.min(texts.len())).map(at).map(query).collect();
    }
    let captions = &corpus.test.captions[language];
    let chosen =
        (0..EXAMPLES.min(captions.len())).map(|n| &captions[place(n, captions.len()) % captions.len()]);
    chosen.map(|c| Query { text: &c.text, translation: None, image: c.image }).collect()
}
