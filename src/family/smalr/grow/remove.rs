//! Taking a language out of a run.

use std::path::Path;

use dfdx::prelude::*;

use crate::checkpoint::ReservedFolder;
use crate::checkpoint::RunFolder;
use crate::family::smalr::SmalrRun;
use crate::family::smalr::grow::add::write;
use crate::family::smalr::grow::shared::shared_hash;
use crate::grow::addition::forget;
use crate::ops::linear::LinearWeights;
use crate::ops::tape::{data, data1, matrix, vector};
use crate::{Error, Result};

/// Makes a new run without the language, in `place`. The others' parameters stay as they are.
///
/// # Errors
/// Usage, for a language that the run does not know, its last one, or one whose words stand for rare words of others.
pub fn remove(path: &Path, code: &str, place: ReservedFolder) -> Result<RunFolder> {
    let mut run = SmalrRun::open(path, &[])?;
    run.folder.refuse_packed()?;
    let language = run.language(code)?;
    // As the run writes it.
    let code = &run.info.languages[language].clone();
    if run.info.languages.len() == 1 {
        return Err(Error::usage(format!("`{code}` is the only language of the run"))
            .at(path)
            .hint("a run needs a language"));
    }
    if run.encoder.lexicon.translations.as_ref().is_some_and(|t| t.into == language) {
        return Err(Error::usage(format!(
            "the run reads rare words of other languages as words of `{code}`"
        ))
        .at(path)
        .hint("remove another language, or train without `words.translate_below`"));
    }
    let added = run.config.added().contains_key(code);
    let place_in_base = crate::family::smalr::grow::base_languages(&run).iter().position(|&l| l == language);
    if !added && run.config.added().len() + 1 == run.info.languages.len() {
        return Err(Error::usage(format!("`{code}` is the only language that the run was trained on"))
            .at(path)
            .hint("remove the languages that were added first"));
    }
    let kept: Vec<String> = run.info.languages.iter().filter(|l| *l != code).cloned().collect();
    let growths = run.folder.growths(&kept)?;
    let state = run.state.clone();
    let mut raw = run.config.raw().clone();
    forget(&mut raw, code);
    let config = raw.check(run.config.base().to_path_buf()).map_err(|problems| problems.into_error())?;
    if let Some(row) = place_in_base {
        drop_class(&mut run.model.adversary, row);
    }
    run.drop_language(language);
    run.info.languages.remove(language);
    run.info.human.remove(language);
    run.config = config;
    if !added && run.info.shared.is_some() {
        run.info.shared = Some(shared_hash(&mut run));
    }
    place.fill(|folder| {
        write(folder, &mut run, &state)?;
        growths.iter().try_for_each(|g| folder.write_growth(g))
    })
}

/// The language classifier (languages, width) without the row of one language.
fn drop_class(adversary: &mut Option<LinearWeights>, row: usize) {
    let Some(layer) = adversary else { return };
    let (rows, width) = *layer.weight.shape();
    let (mut weight, mut bias) = (data(&layer.weight).to_vec(), data1(&layer.bias).to_vec());
    weight.drain(row * width..(row + 1) * width);
    bias.remove(row);
    *layer = LinearWeights::new(matrix(weight, rows - 1, width), vector(bias));
}

impl SmalrRun {
    /// Forgets all that a language has of its own, but for what the configuration and the description say of it.
    pub(crate) fn drop_language(&mut self, language: usize) {
        let encoder = &mut self.encoder;
        encoder.lexicon.remove(language);
        encoder.segmenters.remove(language);
        // Words that are made of characters have neither.
        if language < encoder.vectors.len() {
            encoder.vectors.remove(language);
            encoder.scorer.layers.remove(language);
        }
        self.model.languages.remove(language);
        self.model.text.adapters.remove(language);
        if language < self.model.embedding.own.len() {
            self.model.embedding.own.remove(language);
        }
        if language < self.model.word_starts.len() {
            self.model.word_starts.remove(language);
        }
    }
}
