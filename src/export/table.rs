//! A table of word vectors as model2vec reads it (`StaticModel.from_pretrained`): the mean of a sentence's words, at unit length.

use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::{Value, json};

use super::{LAST, folder};
use crate::family::{self, StaticTable};
use crate::retrieve::Retriever;
use crate::write::write_whole;
use crate::{Error, Result};

/// What stands for words without a vector, which are left out.
const UNKNOWN: &str = "[UNK]";

/// Writes `model.safetensors`, `tokenizer.json` and `config.json` for a language of a run into a new folder.
///
/// # Errors
/// Usage: a model that does not average its words, a language that it cannot be written for, or something is in the folder; data, for a run that is not
/// whole; run, where the folder cannot be written.
pub fn static_table(run: &dyn Retriever, language: &str, out: &Path) -> Result<()> {
    let table = family::of(run.config()).table(&run.folder().path, language)?;
    let (joint, rows) = (run.joint(), table.words.len() + 1);
    // The first row is that of unknown words.
    let numbers: Vec<u8> =
        std::iter::repeat_n(&0f32, joint).chain(&table.vectors).flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![rows, joint], &numbers);
    let view = view.map_err(|e| Error::run("the table cannot be written").because(e))?;
    let model = serialize([("embeddings", view)], None);
    let model = model.map_err(|e| Error::run("the table cannot be written").because(e))?;
    let config = json!({
        "model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": joint, "seq_length": 1_000_000, "normalize": true,
    });
    folder(out, |folder| {
        write_whole(&folder.join("model.safetensors"), &model)?;
        write_whole(&folder.join("tokenizer.json"), tokenizer(&table).to_string().as_bytes())?;
        write_whole(&folder.join("config.json"), format!("{config:#}\n").as_bytes())?;
        let text = format!(
            "---\nlibrary_name: model2vec\nlanguage: \"{language}\"\n---\n\n\
             # Vectors of {} words (`{language}`)\n\n\
             ```python\n\
             from model2vec import StaticModel\n\n\
             model = StaticModel.from_pretrained(\".\", normalize=True)\n\
             vectors = model.encode([\"…\"])  # nearest to the pictures that they describe\n\
             ```\n\n\
             Words are divided by spaces and punctuation, {}; those that training has not seen are left out.\n",
            table.words.len(),
            if table.lowercase { "in small letters" } else { "in the letters that they are written in" }
        );
        write_whole(&folder.join(LAST), text.as_bytes())
    })
}

/// Whole words, as the crate `tokenizers` reads them.
fn tokenizer(table: &StaticTable) -> Value {
    let words = std::iter::once(UNKNOWN).chain(table.words.iter().map(String::as_str));
    let vocabulary: serde_json::Map<String, Value> =
        words.enumerate().map(|(n, word)| (word.to_string(), json!(n))).collect();
    let mut steps = vec![json!({"type": "NFKC"})];
    if table.lowercase {
        steps.push(json!({"type": "Lowercase"}));
    }
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
    })
}
