//! The vectors of a teacher: computed once of all that a student is taught, kept by content, and read from the disk.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::{Cache, Content, Entry};
use crate::checkpoint::Which;
use crate::config::{Config, Precision, TeacherLossConfig, same_code};
use crate::corpus::teacher::{
    SAYS_NOTHING, SentenceKey, SentencePlace, each_sentence, opened, places, sentence_key,
};
use crate::corpus::{Corpus, NpyWriter, TeacherVectors};
use crate::finite::first_fault;
use crate::grow::Addition;
use crate::ops::transformer::Pass;
use crate::retrieve::Retriever;
use crate::tower::{Tensors, Tower, TowerTokenizer, by_length};
use crate::train::Progress;
use crate::words::HuggingFace;
use crate::write::write_whole_with;
use crate::{Error, Result};

use super::open;

/// The folder within `data.root` that keeps vectors where no other is given.
const KEPT: &str = "tinyglot.teacher";
/// Sentences that are read at a time.
const SENTENCES: usize = 1024;

/// Takes sentences read and sentences in all.
pub(super) type Read<'a> = &'a mut dyn FnMut(usize, usize) -> Result<()>;

/// Gives a corpus the vectors of its teacher, if the configuration teaches by any. Those of a run or a tower are kept in the folder `cache`,
/// by default one within `data.root`.
///
/// # Errors
/// Data: a teacher that cannot be read, vectors that cannot be used or are of another width than the student's; config, for a language that the
/// teacher does not read; stopped, on request; run, where nothing can be written.
pub(super) fn teach(
    config: &Config,
    corpus: &mut Corpus,
    cache: Option<&Path>,
    stop: &AtomicBool,
    read: Read,
) -> Result<()> {
    let (losses, joint) = (&config.loss().teacher, config.text().joint);
    if !losses.is_on() {
        return Ok(());
    }
    let vectors = vectors_of(config, config.teacher().run.as_deref(), corpus, cache, stop, read)?;
    same_width(losses, joint, &vectors, &format!("set `text.joint = {}`", vectors.width()))?;
    corpus.teacher = Some(Arc::new(vectors));
    Ok(())
}

/// The vectors that teach an added language, by default those of the run itself, which has `joint` numbers a vector.
///
/// # Errors
/// As [`teach`].
pub(super) fn of_addition(
    addition: &Addition,
    sentences: &Corpus,
    joint: usize,
    progress: Progress,
) -> Result<TeacherVectors> {
    let given = addition.given;
    let itself = (!given.teacher().given()).then_some(addition.run);
    let run = given.teacher().run.as_deref().or(itself);
    let read: Read = &mut |done, total| progress("teacher", done, total, 0.0);
    let vectors = vectors_of(given, run, sentences, addition.cache, addition.stop, read)?;
    same_width(&given.grow().teacher, joint, &vectors, "name a teacher of the run's own space")?;
    Ok(vectors)
}

/// Vectors of a corpus' sentences by a run, where one is given, or by the tower or texts of the configuration.
fn vectors_of(
    config: &Config,
    run: Option<&Path>,
    corpus: &Corpus,
    cache: Option<&Path>,
    stop: &AtomicBool,
    read: Read,
) -> Result<TeacherVectors> {
    let teacher = config.teacher();
    match (run, &teacher.tower) {
        (Some(run), _) => made(&OfRun::open(run)?, config, corpus, cache, stop, read),
        (None, Some(tower)) => {
            made(&OfTower::open(tower, &teacher.prefix)?, config, corpus, cache, stop, read)
        }
        (None, None) => TeacherVectors::of_texts(config, corpus),
    }
}

/// Refuses vectors of another width than the student's, `joint`, if a loss compares them number by number; `instead` says what to do.
fn same_width(
    losses: &TeacherLossConfig,
    joint: usize,
    vectors: &TeacherVectors,
    instead: &str,
) -> Result<()> {
    let width = vectors.width();
    match losses.of_equal_width() {
        Some(key) if width != joint => {
            let what = format!("the teacher's vectors have {width} numbers, and `text.joint` is {joint}");
            Err(Error::data(what)
                .at(vectors.file())
                .hint(format!("{instead}, or set of the teacher's losses `relational` alone, not `{key}`")))
        }
        _ => Ok(()),
    }
}

/// What makes vectors of sentences.
trait Reader {
    /// What they follow from, beside the sentences.
    fn name(&self) -> Result<String>;

    /// Its folder.
    fn place(&self) -> &Path;

    /// Numbers of a vector.
    fn width(&self) -> usize;

    /// The languages that it knows; none, where it takes any.
    fn languages(&self) -> Option<Vec<String>>;

    /// Sentences of a language as vectors (sentences, width), and the places of those that it knows nothing of.
    fn read(&self, language: &str, sentences: &[&str]) -> Result<(Vec<f32>, Vec<usize>)>;
}

/// A trained run.
struct OfRun(Box<dyn Retriever>);

impl OfRun {
    fn open(path: &Path) -> Result<OfRun> {
        open(path, &[]).map(OfRun).map_err(|e| e.or_hint("`teacher.run` is a trained run"))
    }
}

impl Reader for OfRun {
    fn name(&self) -> Result<String> {
        self.0.folder().sentences_by(Which::Best)
    }

    fn place(&self) -> &Path {
        &self.0.folder().path
    }

    fn width(&self) -> usize {
        self.0.joint()
    }

    fn languages(&self) -> Option<Vec<String>> {
        Some(self.0.languages())
    }

    fn read(&self, language: &str, sentences: &[&str]) -> Result<(Vec<f32>, Vec<usize>)> {
        let read = self.0.sentences(self.0.language(language)?, sentences);
        Ok((read.vectors, read.unknown))
    }
}

/// A text tower in Hugging Face's layout, and what is put before each sentence.
struct OfTower {
    folder: PathBuf,
    tower: Tower,
    tokenizer: TowerTokenizer,
    prefix: String,
}

impl OfTower {
    fn open(folder: &Path, prefix: &str) -> Result<OfTower> {
        let tower = Tower::open(folder)?;
        let tokenizer = TowerTokenizer::open(&folder.join("tokenizer.json"), &tower.config)?;
        Ok(OfTower { folder: folder.to_path_buf(), tower, tokenizer, prefix: prefix.to_string() })
    }
}

impl Reader for OfTower {
    fn name(&self) -> Result<String> {
        let tokenizer = HuggingFace::read(&self.folder.join("tokenizer.json"))?;
        let weights = Tensors::open(&self.folder)?.sha256();
        let about = format!("{weights} {:?} {}", self.tower.config, self.prefix);
        Ok(Content::new(&about).and(&tokenizer).name())
    }

    fn place(&self) -> &Path {
        &self.folder
    }

    fn width(&self) -> usize {
        self.tower.outputs()
    }

    fn languages(&self) -> Option<Vec<String>> {
        None
    }

    fn read(&self, language: &str, sentences: &[&str]) -> Result<(Vec<f32>, Vec<usize>)> {
        let texts: Vec<String> = sentences.iter().map(|s| format!("{}{s}", self.prefix)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ids = self.tokenizer.encode(language, &texts).ids;
        let pass = Pass { precision: Precision::F32, recompute: false };
        Ok((by_length(&ids, self.width(), |some| self.tower.encode(some, pass)), Vec::new()))
    }
}

/// The sentences of a language that are taught, each once.
struct LanguageSentences {
    /// The place of the language.
    language: usize,
    sentences: Vec<SentencePlace>,
}

/// Takes the vectors from where they are kept, or makes them.
fn made(
    reader: &dyn Reader,
    config: &Config,
    corpus: &Corpus,
    cache: Option<&Path>,
    stop: &AtomicBool,
    read: Read,
) -> Result<TeacherVectors> {
    let languages = asked(reader, config, corpus)?;
    let (mut rows, mut sentences) = (Vec::new(), Vec::new());
    let mut content = Content::new("teacher 1").and(reader.name()?.as_bytes());
    for &language in &languages {
        let one = sentences_of(corpus, language, &mut rows)?;
        sentences.push(one);
    }
    for (key, _) in &rows {
        content = content.and(key);
    }
    let name = content.name();
    let folder = cache.map_or_else(|| config.data().root.join(KEPT), Path::to_path_buf);
    // Both are called once at most, one after the other.
    let read = std::cell::RefCell::new(read);
    let entry = Entry {
        name: format!("teacher-{name}.npy"),
        make: &|| Ok(()),
        save: &|_: &(), path: &Path| {
            write(reader, corpus, &sentences, rows.len(), path, stop, &mut **read.borrow_mut())
        },
        open: &|_: &Path| Ok(()),
    };
    Cache::new(&folder).get(&entry)?;
    let file = folder.join(&entry.name);
    let vectors = opened(&[file])?;
    Ok(TeacherVectors::new(languages, rows, vectors, name))
}

/// The languages that a teacher is asked in, by their places: those that are named, or all that it knows.
fn asked(reader: &dyn Reader, config: &Config, corpus: &Corpus) -> Result<Vec<usize>> {
    let named = places(config.teacher(), corpus)?;
    let Some(known) = reader.languages() else { return Ok(named) };
    let knows = |l: &usize| known.iter().any(|code| same_code(code, &corpus.languages[*l]));
    if let Some(l) = named.iter().find(|l| !knows(l)) {
        let what =
            format!("`teacher.languages` names `{}`, which the teacher does not know", corpus.languages[*l]);
        return Err(Error::config(what).hint(format!("it knows {}", known.join(", "))));
    }
    let asked: Vec<usize> = match named.is_empty() {
        true => (0..corpus.languages.len()).filter(knows).collect(),
        false => named,
    };
    match asked.is_empty() {
        true => Err(Error::config("the teacher knows none of the languages that it is asked in")
            .hint(format!("it knows {}", known.join(", ")))),
        false => Ok(asked),
    }
}

/// The sentences of a language; each has the next row, and its key goes to `rows`.
fn sentences_of(
    corpus: &Corpus,
    language: usize,
    rows: &mut Vec<(SentenceKey, u32)>,
) -> Result<LanguageSentences> {
    let mut known = HashSet::new();
    let mut sentences = Vec::new();
    each_sentence(corpus, language, |place, sentence| {
        let key = sentence_key(&corpus.languages[language], &sentence);
        if known.insert(key) {
            rows.push((key, rows.len() as u32));
            sentences.push(place);
        }
    });
    match rows.len() > u32::MAX as usize {
        true => Err(Error::data(format!("{} sentences are more than 32 bits count", rows.len()))),
        false => Ok(LanguageSentences { language, sentences }),
    }
}

/// Writes the vectors of all sentences, one after the other.
fn write(
    reader: &dyn Reader,
    corpus: &Corpus,
    sentences: &[LanguageSentences],
    rows: usize,
    path: &Path,
    stop: &AtomicBool,
    told: Read,
) -> Result<()> {
    let (width, mut done, mut failed) = (reader.width(), 0, None);
    let written = write_whole_with(path, |out| {
        let mut npy = NpyWriter::new(out, rows, width)?;
        for one in sentences {
            for places in one.sentences.chunks(SENTENCES) {
                let vectors = vectors(reader, corpus, one.language, places);
                done += places.len();
                let stopped = stop.load(Ordering::SeqCst);
                let vectors = vectors.and_then(|vectors| match stopped {
                    true => Err(Error::stopped("stopped while the teacher read")
                        .hint("the same command begins again")),
                    false => told(done, rows).map(|()| vectors),
                });
                match vectors {
                    Ok(vectors) => npy.write(&vectors)?,
                    Err(error) => {
                        failed = Some(error);
                        return Err(std::io::Error::other("the teacher cannot be used"));
                    }
                }
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

/// Vectors of some sentences (sentences, width).
fn vectors(
    reader: &dyn Reader,
    corpus: &Corpus,
    language: usize,
    places: &[SentencePlace],
) -> Result<Vec<f32>> {
    let sentences: Vec<_> = places.iter().map(|place| place.sentence(corpus, language)).collect();
    let sentences: Vec<&str> = sentences.iter().map(AsRef::as_ref).collect();
    let (mut vectors, unknown) = reader.read(&corpus.languages[language], &sentences)?;
    for (row, sentence) in vectors.chunks(reader.width()).zip(&sentences) {
        let zero = row.iter().all(|x| *x == 0.0);
        if zero || first_fault(row).is_some() {
            let fault = if zero { "is zero" } else { "is not finite" };
            let what = format!("the teacher's vector of `{sentence}` {fault}");
            return Err(Error::data(what)
                .at(reader.place())
                .hint("its weights are damaged, or it has diverged: give another teacher"));
        }
    }
    for n in unknown {
        let row = &mut vectors[n * reader.width()..][..reader.width()];
        row.fill(0.0);
        row[0] = SAYS_NOTHING;
    }
    Ok(vectors)
}
