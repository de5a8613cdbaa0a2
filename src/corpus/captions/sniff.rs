//! What a text file is by its first lines, to refuse one that is read as something else.

use super::keys::{IMAGES, TEXTS};

/// A file that is no plain lines of captions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DetectedFormat {
    /// What its lines are, for an error about the file.
    pub what: String,
    /// The line that shows it, from 1.
    pub line: usize,
    /// The format to set.
    pub format: &'static str,
}

/// Lines that are looked at: one could be a caption by chance, all of them could not.
const LOOKED_AT: usize = 20;

/// Whether lines are something else than captions: JSON, a table with a head, or captions behind the names of their pictures.
pub(super) fn of_lines(lines: &[String]) -> Option<DetectedFormat> {
    let mut first = lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (n, head) = first.next()?;
    let found = |what: String, line: usize, format| Some(DetectedFormat { what, line: line + 1, format });
    if let Some(format) = json(head, lines) {
        return found("holds JSON, not captions".into(), n, format);
    }
    let columns = table(head);
    if !columns.is_empty() {
        return found(format!("is a table with the columns `{}`", columns.join("`, `")), n, "csv");
    }
    let mut named = lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()).take(LOOKED_AT);
    if named.all(|(_, line)| name(line).is_some()) {
        let name = name(head)?;
        let (what, format) = match head[name.len()..].starts_with([',', '|', ';']) {
            true => (format!("begins with the picture name `{name}`, in a column of its own"), "csv"),
            false => (format!("begins with the picture name `{name}`"), "named"),
        };
        return found(what, n, format);
    }
    None
}

fn json(head: &str, lines: &[String]) -> Option<&'static str> {
    let head = head.trim_start();
    if head.starts_with('{') {
        let object = serde_json::from_str::<serde_json::Map<_, _>>(head);
        let has = |key: &str| lines.iter().take(1000).any(|line| line.contains(key));
        return match object {
            Ok(keys) if !keys.contains_key("images") => Some("jsonl"),
            Ok(_) | Err(_) if has("\"sentences\"") => Some("karpathy"),
            Ok(_) => Some("coco"),
            Err(_) if has("\"images\"") || has("\"annotations\"") => Some("coco"),
            Err(_) => None,
        };
    }
    let list = head.starts_with("[{") || head == "[";
    list.then_some("json")
}

/// The columns of a head of a table that names pictures and captions; none for any other line.
fn table(head: &str) -> Vec<&str> {
    for separator in ['\t', '|', ';', ','] {
        let columns: Vec<&str> = head.split(separator).map(|c| c.trim().trim_matches('"')).collect();
        let any = |names: &[&str]| columns.iter().any(|column| names.contains(column));
        if columns.len() > 1 && any(&IMAGES) && any(&TEXTS) {
            return columns;
        }
    }
    Vec::new()
}

/// The name of a picture that a line begins with: a file name of a picture, a name with the number of its caption, as `7#0`, or a
/// name with a digit before a tab.
fn name(line: &str) -> Option<&str> {
    let end = line.find(['\t', ' ', ',', '|', ';'])?;
    let name = &line[..end];
    let file = crate::corpus::ids::ending(name.split('#').next()?).is_some();
    let numbered = bare(name) != name && !bare(name).is_empty();
    let digit = name.contains(|c: char| c.is_ascii_digit()) && !name.chars().all(char::is_alphabetic);
    let column = line[end..].starts_with('\t') && digit;
    (file || numbered || column).then_some(name)
}

/// The name of a picture without the number of the caption and its kind: `7.jpg` of `7.jpg#0` and of `7.jpg#zhc#0`.
pub(super) fn bare(label: &str) -> &str {
    let Some((name, number)) = label.rsplit_once('#') else { return label };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return label;
    }
    match name.rsplit_once('#') {
        Some((name, kind)) if !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphabetic()) => name,
        _ => name,
    }
}
