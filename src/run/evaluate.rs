//! A run measured on its own data.

use crate::Result;
use crate::corpus::{Corpus, Wanted, fingerprint_of};
use crate::error::{InFile, Kind};
use crate::eval::{Evaluation, Scope};
use crate::retrieve::Retriever;

/// Retrieval on a split of the data that a run was opened with, as [`Retriever::evaluate`] gives it, with the hash of the data; only that split is read,
/// and nothing is written.
///
/// # Errors
/// Config and data: captions or pictures that are not where the run says, or cannot be used; as [`Retriever::evaluate`].
pub fn evaluate(run: &dyn Retriever, scope: Scope) -> Result<Evaluation> {
    let (config, path) = (run.config(), &run.folder().path);
    let wanted = Wanted::only(scope.split, None, scope.distractors);
    let corpus = Corpus::load_part(config.data(), config.base(), wanted);
    let moved = "if the data have moved, `data.root=DIR`, set where the run is opened, tells where to";
    let corpus = corpus
        .map_err(|e| if e.is_missing_file() { e.hint(moved) } else { e })
        .in_file_if(Kind::Config, path.join("config.toml"))?;
    let read = corpus.read_splits().map(|split| &split.features).chain(&corpus.distractors);
    read.into_iter().try_for_each(|features| run.check_pictures(features))?;
    let evaluation = run.evaluate(&corpus, scope).in_file_if(Kind::Data, path)?;
    Ok(Evaluation { data: Some(fingerprint_of(&corpus, scope.split, scope.by)?), ..evaluation })
}
