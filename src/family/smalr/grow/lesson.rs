//! What the new language learns from: its sentences, and what the frozen model says of the pictures they describe and
//! of known captions with the same meaning. All of that is computed once.

use crate::grow::same_pictures;
use rayon::prelude::*;

use crate::corpus::Corpus;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::batch::Captions;
use crate::family::smalr::cost::Cost;
use crate::family::smalr::embedding::Slot;
use crate::family::smalr::inference::{embed_features_with_noise, embed_sentences};
use crate::image::embed_features;
use crate::ops::linear::unit_row;
use crate::sampler::CaptionIndex;
use crate::seed::derive;
use crate::words::{Segmenter, Vocabulary};
use crate::{Error, Result};

/// Sentences of the new language in groups, one group for each picture, or for each line of a translation.
pub struct Lesson {
    /// The group of each sentence, ascending.
    pub group_of: Vec<u32>,
    /// Each sentence's words.
    pub words: Vec<Vec<String>>,
    /// By sentence the row of the teacher's vector that teaches it, where one does; empty, where nobody was asked.
    pub taught: Vec<Option<u32>>,
    /// What is known of the groups.
    pub known: Known,
}

/// The frozen side of a lesson.
pub struct Known {
    /// How many there are.
    pub groups: usize,
    /// Vectors of the groups' pictures (groups, joint); none for translations.
    pub images: Option<Vec<f32>>,
    /// The same vectors with the noise of training, several times over, for the training to take in turn.
    pub views: Vec<Vec<f32>>,
    /// By base language: captions that mean the same, and their vectors (captions, joint).
    pub captions: Vec<(Captions, Vec<f32>)>,
    /// By base language: the mean of the words of all the group's captions, mapped by the scorer's layer
    /// (groups, universal width), at unit length; zeros where there is no caption.
    pub means: Vec<Vec<f32>>,
}

/// The base languages' words in the scorer's space.
struct KnownWords<'a> {
    segmenters: &'a [Segmenter],
    vocabularies: &'a [Vocabulary],
    /// By base language: (vocabulary, universal width).
    mapped: Vec<Vec<f32>>,
}

impl<'a> KnownWords<'a> {
    fn new(run: &'a SmalrRun, base: &[usize]) -> Self {
        let encoder = &run.encoder;
        let mapped = |&l: &usize| {
            let table =
                crate::family::smalr::prepare::table(&encoder.lexicon.vocabularies[l], &encoder.vectors[l]);
            encoder.scorer.map(l, &table)
        };
        KnownWords {
            segmenters: &encoder.segmenters,
            vocabularies: &encoder.lexicon.vocabularies,
            mapped: base.iter().map(mapped).collect(),
        }
    }

    /// The mean of the mapped words of some texts in base language number `n`, which is language `l`.
    fn mean(&self, n: usize, l: usize, texts: &[&str], out: &mut [f32]) {
        for text in texts {
            let words = self.segmenters[l].segment(text);
            for id in words.iter().filter_map(|w| self.vocabularies[l].id(w)) {
                let row = &self.mapped[n][id as usize * out.len()..][..out.len()];
                out.iter_mut().zip(row).for_each(|(o, x)| *o += x);
            }
        }
        unit_row(out);
    }
}

/// Texts in the base languages, by language and group.
type Texts<'t> = Vec<Vec<Vec<&'t str>>>;

impl Lesson {
    /// From the captions of pictures. Where the pictures are those of the base run, its captions of them are known too;
    /// otherwise the captions of the picture that the frozen model finds most like each stand in for the alignment alone.
    ///
    /// # Errors
    /// Data, where the features of the new pictures, or of the run's, are of another width than the model's; as [`Segmenter::new`].
    pub fn of_pictures(
        run: &mut SmalrRun,
        base: &[usize],
        trained_on: &Corpus,
        new: &Corpus,
        per_picture: usize,
        (views, seed): (usize, u64),
        work: &mut Cost,
    ) -> Result<Lesson> {
        let captions = &new.train.captions[0];
        let mut pictures: Vec<u32> = captions.iter().map(|c| c.image).collect();
        pictures.dedup();
        let features = &new.train.features;
        let all = embed_features(&run.model.image, features, run.info.features)?;
        work.pictures(features.rows());
        let joint = run.config.text().joint;
        let rows = |of: &[u32], from: &[f32]| -> Vec<f32> {
            of.iter().flat_map(|&p| from[p as usize * joint..][..joint].iter().copied()).collect()
        };
        let images = rows(&pictures, &all);
        let same = same_pictures(&trained_on.train.features, features);
        let alike = match same {
            true => pictures.clone(),
            false => {
                let seen = &trained_on.train.features;
                let theirs = embed_features(&run.model.image, seen, run.info.features)?;
                work.pictures(seen.rows());
                crate::family::smalr::embedding::kmeans::nearest(&images, &theirs, joint).0
            }
        };
        let captions_of = |l: usize| {
            let of = &trained_on.train.captions[l];
            let texts = |p: &u32| {
                let (from, to) =
                    (of.partition_point(|c| c.image < *p), of.partition_point(|c| c.image <= *p));
                of[from..to].iter().map(|c| c.text.as_str()).collect()
            };
            alike.iter().map(texts).collect()
        };
        let texts: Texts = base.iter().map(|&l| captions_of(l)).collect();
        let per_group = if same { per_picture } else { 0 };
        let mut known = Known::new(run, base, &texts, Some(images), per_group, work);
        known.views = (0..views as u64)
            .map(|n| {
                work.pictures(features.rows());
                let batch = run.config.train().images;
                rows(
                    &pictures,
                    &embed_features_with_noise(&run.model, features, batch, derive(seed, "view", n)),
                )
            })
            .collect();
        let segmenter = segmenter(run, &new.languages[0])?;
        let group_of = captions.iter().map(|c| pictures.partition_point(|&p| p < c.image) as u32).collect();
        let words = captions.iter().map(|c| segmenter.segment(&c.text)).collect();
        Ok(Lesson { group_of, words, taught: Vec::new(), known })
    }

    /// From pairs (known sentence, the same in the new language) in base language number `n`.
    ///
    /// # Errors
    /// As [`Segmenter::new`].
    pub fn of_translations(
        run: &mut SmalrRun,
        base: &[usize],
        n: usize,
        code: &str,
        pairs: &[(String, String)],
        work: &mut Cost,
    ) -> Result<Lesson> {
        let mut texts: Texts = vec![vec![Vec::new(); pairs.len()]; base.len()];
        texts[n] = pairs.iter().map(|(known, _)| vec![known.as_str()]).collect();
        let known = Known::new(run, base, &texts, None, 1, work);
        let segmenter = segmenter(run, code)?;
        let words = pairs.iter().map(|(_, new)| segmenter.segment(new)).collect();
        let group_of = (0..pairs.len() as u32).collect();
        Ok(Lesson { group_of, words, taught: Vec::new(), known })
    }

    /// The lesson with the given groups alone, which ascend.
    pub fn select(&self, groups: &[u32]) -> Lesson {
        let known = self.known.select(groups);
        let mut lesson = Lesson { group_of: Vec::new(), words: Vec::new(), taught: Vec::new(), known };
        for (s, (group, words)) in self.group_of.iter().zip(&self.words).enumerate() {
            if let Ok(place) = groups.binary_search(group) {
                lesson.group_of.push(place as u32);
                lesson.words.push(words.clone());
                lesson.taught.extend(self.taught.get(s));
            }
        }
        lesson
    }

    /// The sentences by group.
    pub fn index(&self) -> CaptionIndex {
        CaptionIndex::new(self.group_of.iter().copied(), self.known.groups)
    }
}

fn segmenter(run: &SmalrRun, code: &str) -> Result<crate::words::Segmenter> {
    crate::words::Segmenter::new(code, run.config.words(), &run.folder.path)
}

impl Known {
    /// `per_group`: captions of each language that are embedded as sentences.
    fn new(
        run: &SmalrRun,
        base: &[usize],
        texts: &Texts,
        images: Option<Vec<f32>>,
        per_group: usize,
        work: &mut Cost,
    ) -> Known {
        let groups = texts.first().map_or(0, Vec::len);
        let words = KnownWords::new(run, base);
        let width = run.config.embedding().width;
        let (mut captions, mut means) = (Vec::new(), Vec::new());
        for (n, &l) in base.iter().enumerate() {
            let mut mean = vec![0.0; groups * width];
            let rows = texts[n].par_iter().zip(mean.par_chunks_mut(width));
            rows.for_each(|(texts, out)| words.mean(n, l, texts, out));
            means.push(mean);
            let mut chosen = Captions::default();
            let mut slots = run.encoder.encode_all(l, &texts[n].concat()).into_iter();
            for (group, texts) in texts[n].iter().enumerate() {
                let all: Vec<Vec<Slot>> = slots.by_ref().take(texts.len()).collect();
                for slots in all.into_iter().filter(|s| !s.is_empty()).take(per_group) {
                    chosen.image_of.push(group as u32);
                    chosen.slots.push(slots);
                }
            }
            chosen.index = CaptionIndex::new(chosen.image_of.iter().copied(), groups);
            work.sentences(&chosen.slots);
            let precision = run.config.train().precision;
            let vectors = embed_sentences(&run.model, &run.encoder.lexicon, l, &chosen.slots, precision);
            captions.push((chosen, vectors));
        }
        Known { groups, images, views: Vec::new(), captions, means }
    }
}

impl Known {
    fn select(&self, groups: &[u32]) -> Known {
        let rows = |x: &Vec<f32>| -> Vec<f32> {
            let width = x.len() / self.groups.max(1);
            groups.iter().flat_map(|&g| x[g as usize * width..][..width].iter().copied()).collect()
        };
        let captions = |(all, vectors): &(Captions, Vec<f32>)| {
            let width = vectors.len() / all.slots.len().max(1);
            let (mut some, mut kept) = (Captions::default(), Vec::new());
            for (place, &group) in groups.iter().enumerate() {
                for c in all.index.starts[group as usize]..all.index.starts[group as usize + 1] {
                    some.image_of.push(place as u32);
                    some.slots.push(all.slots[c as usize].clone());
                    kept.extend_from_slice(&vectors[c as usize * width..][..width]);
                }
            }
            some.index = CaptionIndex::new(some.image_of.iter().copied(), groups.len());
            (some, kept)
        };
        Known {
            groups: groups.len(),
            images: self.images.as_ref().map(rows),
            views: self.views.iter().map(rows).collect(),
            captions: self.captions.iter().map(captions).collect(),
            means: self.means.iter().map(rows).collect(),
        }
    }
}

/// The lines of two files that say the same.
///
/// # Errors
/// Data, with file and line: unequal numbers of lines, an empty one, no text at all.
pub fn read_translations(known: &std::path::Path, new: &std::path::Path) -> Result<Vec<(String, String)>> {
    let read = |file: &std::path::Path| -> Result<Vec<String>> {
        let text = std::fs::read_to_string(file).map_err(|e| Error::reading(file, e))?;
        let lines: Vec<String> = text.lines().map(|l| l.trim().to_string()).collect();
        match lines.iter().position(String::is_empty) {
            Some(n) => {
                let e = Error::data("is an empty line").at(file).line(n + 1);
                Err(e.hint("remove the line from both files"))
            }
            None => Ok(lines),
        }
    };
    let (one, other) = (read(known)?, read(new)?);
    if one.len() != other.len() {
        let what = format!("has {} lines, but `{}` has {}", other.len(), known.display(), one.len());
        return Err(Error::data(what).at(new).hint("line n of both must say the same"));
    }
    Ok(one.into_iter().zip(other).collect())
}
