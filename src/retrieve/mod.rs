//! A trained model in use: sentences and pictures as vectors of one space, and what follows from them.

mod cost;
mod gallery;
mod index;
mod pictures;

use std::fs;
use std::path::PathBuf;

use crate::checkpoint::{RunFolder, RunInfo};
use crate::config::{Config, same_code};
use crate::corpus::{Corpus, PictureSource, SplitName, write_npy};
use crate::device::Shareable;
use crate::eval::encoder::{add_pictures, place};
use crate::eval::similarity::check_finite;
use crate::eval::task::{consistency, recall};
use crate::eval::{DualEncoder, Evaluation, Fitted, Parameters, Scope};
use crate::{Error, Result};

pub use crate::eval::Sentences;
pub use cost::UseCost;
pub use gallery::{Embedding, Gallery, Hit, Join, PictureVectors, search, search_joined};
pub use index::{Among, Changes, Following, Index, Stored, follow};
pub use pictures::PictureFile;

/// A trained run of any family: texts and pictures as vectors of one space, and what follows from them. On the CPU it is `Send + Sync`.
pub trait Retriever: Shareable {
    /// The folder of the run.
    fn folder(&self) -> &RunFolder;
    /// The configuration that it was opened with.
    fn config(&self) -> &Config;
    /// The step of the checkpoint that was read.
    fn step(&self) -> usize;
    /// Numbers of parameters.
    fn parameters(&self) -> Parameters;
    /// What gives the vectors.
    fn encoder(&self) -> Box<dyn DualEncoder + '_>;

    /// Width of the vectors.
    fn joint(&self) -> usize {
        self.encoder().joint()
    }

    /// The codes of its languages, in the order of their places.
    fn languages(&self) -> Vec<String> {
        self.encoder().languages()
    }

    /// Sentences of a language as vectors.
    fn sentences(&self, language: usize, texts: &[&str]) -> Sentences {
        self.encoder().sentences(language, texts)
    }

    /// Sentences of a language as vectors (sentences, joint), finite and of unit length, and what is wrong with them, for people
    /// ([`Sentences::warnings`]).
    ///
    /// # Errors
    /// Data, naming the run, where a vector is not finite.
    fn embed(&self, language: usize, texts: &[&str]) -> Result<(Vec<f32>, Vec<String>)> {
        let (code, sentences) = (self.languages().swap_remove(language), self.sentences(language, texts));
        let what = format!("the model's vectors: `{code}`");
        check_finite(&sentences.vectors, self.joint(), &what).map_err(|e| e.at(&self.folder().path))?;
        let warnings = sentences.warnings(texts, &code);
        Ok((sentences.vectors, warnings))
    }

    /// Refuses pictures of another width than those the model was trained on, and those that another picture tower or preprocessing made, as far
    /// as that is noted beside the features.
    ///
    /// # Errors
    /// Data, naming their first file; or where the run cannot be read.
    fn check_pictures(&self, pictures: &dyn PictureSource) -> Result<()> {
        self.folder().info()?.check_maker(pictures)?;
        self.encoder().check_width(pictures)
    }

    /// Gives pictures as vectors, some at a time: as [`DualEncoder::pictures`].
    ///
    /// # Errors
    /// Data: pictures of another width, or with numbers that are too large; those of `take`.
    fn pictures(
        &self,
        pictures: &dyn PictureSource,
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        self.encoder().pictures(pictures, take)
    }

    /// Writes the vectors of all pictures of a corpus into the run, as `pictures/{split}.npy`. Gives their folder.
    ///
    /// # Errors
    /// Data: pictures of another width, or with numbers that are too large; run, where a file cannot be written.
    fn write_pictures(&self, corpus: &Corpus) -> Result<PathBuf> {
        let folder = self.folder().path.join("pictures");
        fs::create_dir_all(&folder).map_err(|e| Error::writing(&folder, e))?;
        let splits = SplitName::CAPTIONED.map(|split| (split, &corpus.split(split).features));
        let further = corpus.distractors.as_ref().map(|features| (SplitName::Distractors, features));
        for (split, features) in splits.into_iter().chain(further) {
            let mut vectors = Vec::new();
            add_pictures(&*self.encoder(), features, &mut vectors)?;
            write_npy(folder.join(format!("{split}.npy")), features.rows(), self.joint(), &vectors)?;
        }
        Ok(folder)
    }

    /// Retrieval on a split; on test, where captions have translations or are parallel, also how well they do together.
    ///
    /// # Errors
    /// Data: no distractors where they are asked for, pictures of another width, no captions that ask, or vectors that are not finite.
    fn evaluate(&self, corpus: &Corpus, scope: Scope) -> Result<Evaluation> {
        let encoder = self.encoder();
        let evaluation = recall::evaluate(&*encoder, corpus, scope, self.parameters())?;
        if consistency::lacks(corpus, scope).is_some() {
            return Ok(evaluation);
        }
        let keep = |fitted: &Fitted| self.keep(fitted, scope);
        let joint = consistency::evaluate(&*encoder, corpus, scope, self.config(), &keep)?;
        Ok(evaluation.with_joint(Some(joint)))
    }

    /// Keeps what was fitted on the run's own data. Where it cannot be kept, neither can results, which are printed before that is told.
    fn keep(&self, fitted: &Fitted, scope: Scope) {
        if scope.keep {
            let _ = self.folder().write_fitted(fitted, self.step());
        }
    }

    /// Fits how queries in several languages are joined, on validation, and keeps it in the run's folder: where the corpus has such queries.
    ///
    /// # Errors
    /// Data, where pictures or queries cannot be used; run, where the file cannot be written.
    fn fit_joining(&self, corpus: &Corpus) -> Result<()> {
        match consistency::fit(&*self.encoder(), corpus, self.config())? {
            Some(fitted) => self.folder().write_fitted(&fitted, self.step()),
            None => Ok(()),
        }
    }

    /// SHA-256 of what makes vectors of pictures: those of models that say the same may be compared with either's sentences. A
    /// language that is added later, or a run that is packed, changes nothing of it.
    ///
    /// # Errors
    /// Data, where the checkpoint cannot be read.
    fn pictures_by(&self) -> Result<String> {
        self.folder().pictures_by()
    }

    /// What was fitted for the open checkpoint of how queries in several languages are joined; nothing where nothing was.
    ///
    /// # Errors
    /// Data, where the file is damaged, or of another checkpoint.
    fn fitted(&self) -> Result<Option<Fitted>> {
        self.folder().fitted(self.step())
    }

    /// A weight for each of some languages, as evaluation found them best for joined vectors ([`crate::eval::joined`]); nothing where it weighed
    /// other ones, or none.
    ///
    /// # Errors
    /// Those of [`Retriever::fitted`].
    fn weights(&self, codes: &[String]) -> Result<Option<Vec<f32>>> {
        // Runs that were evaluated by earlier versions have the weights in their evaluation alone.
        let found = match self.fitted()? {
            Some(fitted) => Some(fitted.shares()),
            None => self.folder().evaluations()?.into_iter().find_map(|e| e.consistency).map(|c| c.weights),
        };
        let of = |code: &String| {
            found.as_ref()?.iter().find(|(language, _)| same_code(language, code)).map(|(_, weight)| *weight)
        };
        Ok(codes.iter().map(of).collect())
    }

    /// The place of a language.
    ///
    /// # Errors
    /// Usage, where the model does not know the language.
    fn language(&self, code: &str) -> Result<usize> {
        place(&self.languages(), code)
    }
}

/// Refuses keys that would change a trained model.
pub(crate) fn settable(set: &[String]) -> Result<()> {
    for written in set {
        if !["data.", "consistency."].iter().any(|section| written.trim_start().starts_with(section)) {
            return Err(Error::usage(format!("`--set {written}` would change a trained model"))
                .hint("only keys of `data` and `consistency` can be set here"));
        }
    }
    Ok(())
}

/// Refuses languages set over those that a run was trained on.
pub(crate) fn same_languages(folder: &RunFolder, config: &Config, info: &RunInfo) -> Result<()> {
    if config.data().languages == info.languages {
        return Ok(());
    }
    let what = format!("the run was trained on {}", info.languages.join(", "));
    Err(Error::usage(what).at(&folder.path).hint("leave `data.languages` as it is"))
}
