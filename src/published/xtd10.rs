//! XTD10, a test set: line n of each language speaks of picture n.

use std::collections::HashSet;

use super::download::Download;
use super::laid::Laid;
use crate::corpus::SplitName;
use crate::{Error, Result};

pub(super) const PICTURES: usize = 1_000;

/// The code of each language, the folder of its captions, and its code there. German and French are of MIC (Rajendran et al. 2016), Japanese of STAIR
/// (Yoshikawa et al. 2017).
const LANGUAGES: [(&str, &str, &str); 11] = [
    ("en", "XTD10", "en"),
    ("de", "MIC", "de"),
    ("es", "XTD10", "es"),
    ("fr", "MIC", "fr"),
    ("it", "XTD10", "it"),
    ("ja", "STAIR", "jp"),
    ("ko", "XTD10", "ko"),
    ("pl", "XTD10", "pl"),
    ("ru", "XTD10", "ru"),
    ("tr", "XTD10", "tr"),
    ("zh", "XTD10", "zh"),
];

const IDS: &str = "image_ids/{split}.txt";

pub(super) fn write(from: &Download, laid: &mut Laid, pictures: usize) -> Result<()> {
    let name = "XTD10/test_image_names.txt";
    let ids = from.lines(name, pictures)?;
    let mut seen = HashSet::new();
    if let Some(n) = ids.iter().position(|id| !seen.insert(id)) {
        let what = format!("`{}` is there twice", ids[n]);
        return Err(Error::data(what).at(from.need(name)?).line(n + 1).hint(from.again()));
    }
    laid.lines(IDS, SplitName::Test, &ids)?;
    for (language, folder, code) in LANGUAGES {
        let lines = from.lines(&format!("{folder}/test_1kcaptions_{code}.txt"), pictures)?;
        laid.lines(&format!("captions/{{split}}.{language}"), SplitName::Test, &lines)?;
    }
    let languages: Vec<String> = LANGUAGES.iter().map(|(language, ..)| format!("\"{language}\"")).collect();
    let languages = languages.join(", ");
    let text = format!(
        "\
# XTD10, laid out by `tinyglot data lay-out`: a test set alone.
#
#     tinyglot evaluate RUN --split test --data {} --name xtd10
#
# Languages that the run does not know are passed over. features/test.npy is made by `tinyglot embed-images`, with what made those of the run.

[data]
languages = [{languages}]
image_ids = \"{IDS}\"

[[data.captions]]
languages = [{languages}]
files = [\"captions/{{split}}.{{language}}\"]
",
        laid.out().join("xtd10.toml").display()
    );
    laid.bytes("xtd10.toml", text.as_bytes(), "for evaluate --data")?;
    laid.note_features(
        IDS,
        &[SplitName::Test],
        "train2014.zip and val2014.zip of MSCOCO, of both in one folder",
    );
    Ok(())
}
