//! Plain text: line n is a caption of picture n, or the lines of a picture follow each other.

use std::path::Path;

use super::super::SplitName;
use super::{sniff, trimmed};
use crate::corpus::input::each_line;
use crate::{Error, Result};

/// Reads `per_picture` captions for each of `rows` pictures, the text of each as it is but for white space around it: text n speaks
/// of picture n / `per_picture`.
pub(crate) fn read(file: &Path, split: SplitName, rows: usize, per_picture: usize) -> Result<Vec<String>> {
    let mut lines: Vec<String> = Vec::with_capacity(rows * per_picture);
    each_line(file, |_, line| {
        lines.push(line.to_string());
        Ok(())
    })?;
    if let Some(found) = sniff::of_lines(&lines) {
        return Err(Error::data(found.what)
            .at(file)
            .line(found.line)
            .hint(format!("set `format = \"{}\"` in its entry of `data.captions`", found.format)));
    }
    if lines.len() != rows * per_picture {
        return Err(miscount(file, split, lines.len(), rows, per_picture));
    }
    let text = |(n, line): (usize, String)| {
        trimmed(&line).ok_or_else(|| {
            Error::data("is an empty caption")
                .at(file)
                .line(n + 1)
                .hint("every picture needs its line; where captions are missing use the format `jsonl`")
        })
    };
    lines.into_iter().enumerate().map(text).collect()
}

fn miscount(file: &Path, split: SplitName, lines: usize, rows: usize, per_picture: usize) -> Error {
    let wanted = rows * per_picture;
    let what = match per_picture {
        1 => format!("{lines} lines for the {rows} pictures of split `{split}`"),
        _ => format!(
            "{lines} lines for the {rows} pictures of split `{split}` with {per_picture} captions each"
        ),
    };
    let hint = match lines / rows {
        // A picture's captions one after the other, as VSE++ has them.
        each if each > 0 && each * rows == lines => format!(
            "where the captions of a picture follow each other, set `per_picture = {each}` in their entry of `data.captions`"
        ),
        _ if per_picture > 1 => format!("`per_picture` is {per_picture}, so {wanted} lines are needed"),
        _ => "line n speaks of feature row n, so the numbers must be equal".into(),
    };
    Error::data(what).at(file).line(lines.min(wanted) + 1).hint(hint)
}
