//! Queries in several languages at once: their texts in the corpus, and what validation teaches of joining them.

use crate::Result;
use crate::config::Source;
use crate::corpus::{Asked, Corpus, SplitName};
use crate::eval::Scope;
use crate::eval::{ByLanguage, Consistency, Coverage, Evaluation, Fitted, ParallelScores};
use crate::family::smalr::SmalrRun;
use crate::image::embed_features;

/// Queries of a split, the same ones in each of several languages.
pub(crate) struct Together<'a> {
    /// The place of the language whose captions they are; nothing for parallel captions.
    pub language: Option<usize>,
    /// Places of the languages.
    pub languages: Vec<usize>,
    pub image_of: Vec<u32>,
    /// For each language the text of each query.
    pub texts: Vec<Vec<&'a str>>,
}

/// What asks in several languages in `val` or `test`: captions with their translations by language, else the parallel captions. Nothing
/// where there is nothing in two languages.
pub(crate) fn together<'a>(corpus: &'a Corpus, split: SplitName) -> Vec<Together<'a>> {
    if let Some(translations) = &corpus.translations {
        let set = |(language, asked): (usize, &'a Asked)| Together {
            language: Some(language),
            languages: translations.languages.clone(),
            image_of: asked.image_of.clone(),
            texts: asked.texts.iter().map(|of| of.iter().map(String::as_str).collect()).collect(),
        };
        return translations.split(split).map(set).collect();
    }
    let Some(parallel) = &corpus.parallel else { return Vec::new() };
    let Some(texts) = parallel.split(split) else { return Vec::new() };
    let both = |l: &usize| parallel.val[*l].is_some() && parallel.test[*l].is_some();
    let languages: Vec<usize> = (0..corpus.languages.len()).filter(both).collect();
    if languages.len() < 2 {
        return Vec::new();
    }
    vec![Together {
        language: None,
        image_of: (0..corpus.split(split).features.rows() as u32).collect(),
        texts: languages.iter().map(|&l| texts[l].iter().flatten().map(String::as_str).collect()).collect(),
        languages,
    }]
}

/// The captions by people of a language among queries in several languages.
struct Covered {
    captions: usize,
    /// The place of the queries.
    set: usize,
    /// The rows of those captions that are there.
    rows: Vec<usize>,
}

/// Nothing where no query is in the language.
fn covered(corpus: &Corpus, split: SplitName, language: usize, sets: &[Together]) -> Option<Covered> {
    let own: Vec<_> =
        corpus.split(split).captions[language].iter().filter(|c| c.source == Source::Human).collect();
    let asks = |set: &Together| set.language.map_or(set.languages.contains(&language), |of| of == language);
    let set = sets.iter().position(asks)?;
    let rows = match sets[set].language {
        Some(_) => (0..own.len()).collect(),
        // Parallel captions translate those captions that they are.
        None => {
            let place = sets[set].languages.iter().position(|&l| l == language)?;
            let of_picture = own.iter().map(|c| (c.image as usize, &c.text));
            of_picture
                .filter(|(row, text)| sets[set].texts[place][*row] == **text)
                .map(|(row, _)| row)
                .collect()
        }
    };
    Some(Covered { captions: own.len(), set, rows })
}

impl SmalrRun {
    /// Fits the joining of languages on validation and keeps it in the run's folder. Nothing where the corpus has no queries in
    /// several languages.
    ///
    /// # Errors
    /// Data, where features or queries cannot be used; run, where the file cannot be written.
    pub fn fit_consistency(&self, corpus: &Corpus) -> Result<Option<Fitted>> {
        let fitted = self.fitted(corpus)?;
        fitted.iter().try_for_each(|fitted| self.folder.write_fitted(fitted, self.state.step))?;
        Ok(fitted)
    }

    fn fitted(&self, corpus: &Corpus) -> Result<Option<Fitted>> {
        let sets = together(corpus, SplitName::Val);
        if sets.is_empty() {
            return Ok(None);
        }
        let images = embed_features(&self.model.image, &corpus.val.features, self.info.features)?;
        let scores = |set: &Together| {
            ParallelScores::new(&self.vectors(corpus, set), &set.image_of, &images, self.config.text().joint)
        };
        let validation = sets.iter().map(scores).collect::<Result<Vec<ParallelScores>>>()?;
        let (config, triplet) = (self.config.consistency(), &self.config.loss().triplet);
        let fitted = Fitted::fit(config, triplet, &validation, self.config.seed())?;
        Ok(Some(fitted))
    }

    /// Adds to an evaluation on test what its queries find in several languages. On validation, where the joining is fitted, it would
    /// say nothing.
    pub(crate) fn ask_together(
        &self,
        corpus: &Corpus,
        scope: Scope,
        evaluation: &mut Evaluation,
    ) -> Result<()> {
        let Some(fitted) = self.fitted(corpus)? else { return Ok(()) };
        // Where it cannot be kept, neither can the evaluation, which is printed before that is told.
        if scope.keep {
            let _ = self.folder.write_fitted(&fitted, self.state.step);
        }
        let joint = self.config.text().joint;
        let mut images = embed_features(&self.model.image, &corpus.test.features, self.info.features)?;
        let (queried, own) = (corpus.test.features.rows(), images.len());
        if let Some(further) = corpus.distractors.as_ref().filter(|_| scope.distractors) {
            images.extend(embed_features(&self.model.image, further, self.info.features)?);
        }
        let sets = together(corpus, SplitName::Test);
        let vectors: Vec<_> = sets.iter().map(|set| self.vectors(corpus, set)).collect();
        let mut languages = Vec::new();
        let human = evaluation.languages.iter().zip(&evaluation.human).filter(|(_, human)| **human);
        for ((code, retrieval), _) in human {
            // Languages that are read as another one have no place, and no translations.
            let place = corpus.languages.iter().position(|l| l == code);
            let covered = place.and_then(|place| covered(corpus, SplitName::Test, place, &sets));
            let coverage = match covered {
                None => Coverage::lacking(retrieval.captions, 0),
                Some(c) if c.rows.len() < c.captions => Coverage::lacking(c.captions, c.rows.len()),
                Some(c) => {
                    let image_of: Vec<u32> = c.rows.iter().map(|&row| sets[c.set].image_of[row]).collect();
                    let queries = rows(&vectors[c.set], &c.rows, joint);
                    let scores = ParallelScores::new(&queries, &image_of, &images, joint)?;
                    Coverage::measure(&fitted, code, &scores.in_folds(queried, evaluation.folds)?)?
                }
            };
            languages.push((code.clone(), coverage));
        }
        if let Some(n) = sets.iter().position(|set| set.language.is_none()) {
            let scores = ParallelScores::new(&vectors[n], &sets[n].image_of, &images[..own], joint)?;
            evaluation.consistency = Some(Consistency::measure(&fitted, &scores)?);
        }
        evaluation.by_language = Some(ByLanguage::new(&fitted, languages));
        Ok(())
    }

    /// For each language its code and the vectors of the queries.
    pub(crate) fn vectors(&self, corpus: &Corpus, set: &Together) -> Vec<(String, Vec<f32>)> {
        let of = |(&l, texts): (&usize, &Vec<&str>)| {
            (corpus.languages[l].clone(), self.sentences(l, texts).vectors)
        };
        set.languages.iter().zip(&set.texts).map(of).collect()
    }
}

/// The given rows of each language's vectors.
fn rows(vectors: &[(String, Vec<f32>)], rows: &[usize], width: usize) -> Vec<(String, Vec<f32>)> {
    let some = |all: &[f32]| rows.iter().flat_map(|&row| &all[row * width..][..width]).copied().collect();
    vectors.iter().map(|(code, all)| (code.clone(), some(all))).collect()
}
