//! CLIP's tokenizer from the files it was published with, `vocab.json` and `merges.txt` (Radford et al. 2021): a BPE of
//! lower-case bytes whose words end with `</w>`.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// The names of the two files.
const FILES: [&str; 2] = ["vocab.json", "merges.txt"];
const ENDS: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];
/// Merges that CLIP uses, where a file holds more: its vocabulary of 49,408 without 512 characters and the two ends.
const MERGES: usize = 49_408 - 512 - 2;
/// Contractions, words, single digits, anything else but white space.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The `tokenizer.json` that the two files in a folder are equal to; nothing, where they are not there.
///
/// # Errors
/// Data: files that are not CLIP's.
pub(super) fn tokenizer_json(folder: &Path) -> Result<Option<Vec<u8>>> {
    let [vocabulary, merges] = FILES.map(|name| folder.join(name));
    if !vocabulary.exists() || !merges.exists() {
        return Ok(None);
    }
    let read = |path: &Path| std::fs::read(path).map_err(|e| Error::reading(path, e));
    let ids: Map<String, Value> = serde_json::from_slice(&read(&vocabulary)?).map_err(|e| {
        Error::data("is no vocabulary of tokens and ids").at(&vocabulary).line(e.line().max(1)).because(e)
    })?;
    let foreign = |what: String| {
        Error::data(what).at(&vocabulary).hint("only CLIP's vocabulary is read so; give a `tokenizer.json`")
    };
    let id = |token: &str| ids.get(token).and_then(Value::as_u64);
    if let Some(token) = ids.keys().find(|token| id(token).is_none()) {
        return Err(foreign(format!("gives `{token}` no id")));
    }
    if let Some(token) = ENDS.iter().find(|token| id(token).is_none()) {
        return Err(foreign(format!("has no `{token}`")));
    }
    let lines = read(&merges)?;
    let merges = pairs(&merges, &lines, &|token| ids.contains_key(token))?;
    let [start, end] = ENDS.map(|token| (token, id(token)));
    let special = |(token, id): (&str, Option<u64>)| {
        json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
            "special": true})
    };
    let whole = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(start), special(end)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": end, "cls": start, "trim_offsets": false,
            "add_prefix_space": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": ENDS[1], "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "vocab": ids, "merges": merges},
    });
    Ok(Some(serde_json::to_vec(&whole).expect("plain data")))
}

/// Two tokens a line, behind a line with the version.
fn pairs<'t>(path: &Path, bytes: &'t [u8], known: &dyn Fn(&str) -> bool) -> Result<Vec<[&'t str; 2]>> {
    let wrong = |line: usize, what: String| {
        Error::data(what)
            .at(path)
            .line(line)
            .hint("give CLIP's `merges.txt`, with the `vocab.json` it came with")
    };
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        wrong(line, "is not UTF-8".into())
    })?;
    let mut merges = Vec::new();
    // Characters that count as line ends elsewhere may be tokens here.
    for (line, number) in text.trim_end().split('\n').zip(1..).skip(1).take(MERGES) {
        let line = line.trim_end_matches('\r');
        let (left, right) = line
            .split_once(' ')
            .ok_or_else(|| wrong(number, format!("expected two tokens, got `{line}`")))?;
        if let Some(token) = [left, right, &format!("{left}{right}")].into_iter().find(|token| !known(token))
        {
            return Err(wrong(number, format!("has `{token}`, which `vocab.json` lacks")));
        }
        merges.push([left, right]);
    }
    Ok(merges)
}
