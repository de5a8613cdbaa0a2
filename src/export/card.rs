//! A model card: what a model is, what it was trained on, how good it is in each language, and under which licence. As Hugging Face's hub reads it:
//! Markdown after a header of YAML (its manual, "Model Cards").

use std::fmt::Write as _;
use std::path::Path;

use super::{LAST, folder};
use crate::Result;
use crate::config::Config;
use crate::eval::Evaluation;
use crate::retrieve::Retriever;
use crate::run::name;
use crate::write::write_whole;

/// What a card says that no run knows.
#[derive(Debug, Clone, Default)]
pub struct Card {
    /// The name of the model; the run's, where nothing is said.
    pub name: Option<String>,
    /// The licence of the model, as the hub calls it, e.g. `apache-2.0`.
    pub license: Option<String>,
    /// The licence of the captions.
    pub captions_license: Option<String>,
    /// The licence of the pictures.
    pub pictures_license: Option<String>,
}

/// Writes the card of a run into a new folder.
///
/// # Errors
/// Data, where the run cannot be read; usage, where something is in the folder; run, where it cannot be written.
pub fn card(run: &dyn Retriever, about: &Card, out: &Path) -> Result<()> {
    folder(out, |folder| write(run, about, folder))
}

/// Writes the card into a folder, as `README.md`.
///
/// # Errors
/// As [`card`].
pub(super) fn write(run: &dyn Retriever, about: &Card, folder: &Path) -> Result<()> {
    write_whole(&folder.join(LAST), text(run, about)?.as_bytes())
}

/// The text of the card.
pub(super) fn text(run: &dyn Retriever, about: &Card) -> Result<String> {
    let (folder, config, languages) = (run.folder(), run.config(), run.languages());
    let info = folder.info()?;
    let title = about.name.clone().unwrap_or_else(|| name(&folder.path));
    let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "not stated".into());
    let family = config.family().as_str();
    let mut text = String::from("---\nlanguage:\n");
    for language in &languages {
        let _ = writeln!(text, "- {}", quoted(language));
    }
    let _ = writeln!(text, "license: {}", quoted(about.license.as_deref().unwrap_or("unknown")));
    let _ = writeln!(text, "library_name: tinyglot\npipeline_tag: feature-extraction");
    text += "tags:\n- image-text-retrieval\n- multilingual\n";
    let _ = writeln!(text, "- {family}\n---\n\n# {title}\n");
    let _ = writeln!(
        text,
        "Finds pictures by sentences in {}: both become vectors of {} numbers, of unit length, and the cosine says how well they fit. Trained by \
         tinyglot {} (family `{family}`), step {}.\n",
        languages.join(", "),
        run.joint(),
        info.tinyglot,
        run.step()
    );
    let parameters = run.parameters();
    let _ = writeln!(
        text,
        "| | |\n|---|---|\n| parameters trained | {} |\n| parameters that answer queries | {} |\n| picture features | {} numbers{} |\n| seed | {} |",
        parameters.train,
        parameters.test,
        info.features,
        info.features_by.as_ref().map(|made| format!(", by {made}")).unwrap_or_default(),
        info.seed
    );
    text += "\n## Training data\n\n";
    text += &data(config);
    let _ = writeln!(text, "\nSHA-256 of the training captions and features: `{}`.\n", info.data);
    text += "## Scores\n\n";
    let evaluations = folder.evaluations()?;
    if evaluations.is_empty() {
        text += "Not evaluated yet: `tinyglot evaluate RUN --split test`.\n\n";
    }
    evaluations.iter().for_each(|evaluation| text += &scores(evaluation));
    let _ = write!(
        text,
        "## Licences\n\n| of | licence |\n|---|---|\n| the model | {} |\n| the captions | {} |\n| the pictures | {} |\n",
        said(&about.license),
        said(&about.captions_license),
        said(&about.pictures_license)
    );
    Ok(text)
}

/// A text of YAML: `no` without quotes would be a truth value.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

/// Captions and pairs of sentences, by source.
fn data(config: &Config) -> String {
    let data = config.data();
    let mut text = String::from("| captions or sentence pairs | languages |\n|---|---|\n");
    let all = || data.languages.clone();
    let captions = data.captions.iter().map(|source| (&source.files, &source.languages));
    for (files, languages) in captions {
        let languages = if languages.is_empty() { all() } else { languages.clone() };
        let names: Vec<String> = files.iter().map(|file| format!("`{}`", file_name(file))).collect();
        let _ = writeln!(text, "| {} | {} |", names.join(", "), languages.join(", "));
    }
    text
}

/// The name of a file without its folders, which say where somebody keeps it.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The table of an evaluation.
fn scores(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "Retrieval on `{}`, {} pictures{}; recall in percent:\n\n\
         | language | captions | text→image R@1 | R@5 | R@10 | image→text R@1 | R@5 | R@10 | mR |\n|---|---|---|---|---|---|---|---|---|\n",
        evaluation.split,
        evaluation.images,
        match evaluation.distractors {
            0 => String::new(),
            more => format!(" and {more} further ones"),
        }
    );
    for (language, of) in &evaluation.languages {
        let numbers = [of.t2i.r1, of.t2i.r5, of.t2i.r10, of.i2t.r1, of.i2t.r5, of.i2t.r10, of.mr];
        let numbers: Vec<String> = numbers.iter().map(|x| format!("{x:.1}")).collect();
        let _ = writeln!(text, "| {language} | {} | {} |", of.captions, numbers.join(" | "));
    }
    let _ = writeln!(text, "\nMean mR of all languages (A): {:.1}.\n", evaluation.a);
    text
}
