//! Captions behind the names of their pictures: `1077.jpg#0 a red bird`, as Flickr8k, Flickr30k, Flickr8k-CN and COCO-CN have them.

use super::sniff::bare;
use std::collections::HashMap;

use super::super::{Caption, Harvest};
use super::{CaptionFile, Place, Tally, sniff, trimmed};
use crate::corpus::input::each_line;
use crate::corpus::pictures::Pictures;
use crate::{Error, Result};

/// Reads the file as a stream. Blank lines are skipped.
///
/// What stands before the first tab or blank names the picture, and perhaps the caption: `name`, `name#number` or
/// `name#kind#number`.
pub(super) fn read(file: &CaptionFile, pictures: &Pictures, harvest: &mut Harvest) -> Result<()> {
    let mut tally = Tally::default();
    let mut numbered: HashMap<String, usize> = HashMap::new();
    let mut spoken: Option<(String, usize)> = None;
    each_line(file.path, |number, line| {
        let fault = |what: String| Error::data(what).at(file.path).line(number);
        let line = line.trim();
        if line.is_empty() {
            return Ok(());
        }
        if number == 1
            && let Some(found) = sniff::of_lines(&[line.to_string()]).filter(|f| f.format != "named")
        {
            return Err(fault(found.what).hint(format!("set `format = \"{}\"`", found.format)));
        }
        let (label, text) = line.split_once(['\t', ' ']).unwrap_or((line, ""));
        let name = bare(label);
        if name.is_empty() {
            let what = format!("begins with `{label}`, which names no picture");
            return Err(fault(what).hint("expected the name of a picture, a tab or a blank, and a caption"));
        }
        let text = trimmed(text)
            .ok_or_else(|| fault(format!("picture `{name}` has an empty caption")).hint("remove the line"))?;
        if name.len() < label.len()
            && let Some(first) = numbered.insert(label.to_string(), number)
        {
            return Err(fault(format!("holds caption `{label}` again, after line {first}"))
                .hint("each caption has its own number; remove one of the two"));
        }
        if let Some(kind) = kind(&label[name.len()..]) {
            // `#enc#` and `#zhc#` are English and Chinese, written by people.
            let language = kind.get(..2).unwrap_or(kind);
            let (earlier, first) = spoken.get_or_insert_with(|| (language.to_string(), number));
            if *earlier != language {
                let what = format!(
                    "is a caption of kind `{kind}`, in another language than line {first}, `{earlier}`"
                );
                return Err(fault(what).hint("give each language a file of its own"));
            }
        }
        let place = file.place(file.split, name, pictures).map_err(|e| e.at(file.path).line(number))?;
        match place {
            Place::Row(split, image) => {
                tally.place(split, image, name).map_err(|e| e.at(file.path).line(number))?;
                harvest.add(split, file.language(), Caption { image, text, source: file.source.source });
            }
            Place::Unused => {}
            Place::Nowhere => tally.missing(name, 1),
        }
        Ok(())
    })?;
    tally.finish(file, harvest)
}

/// The kind of a caption in what follows the name: `zhc` of `#zhc#0`.
fn kind(suffix: &str) -> Option<&str> {
    let (kind, _) = suffix.strip_prefix('#')?.split_once('#')?;
    Some(kind)
}
