//! The names of tensors in checkpoints, architecture by architecture.

use super::Architecture;

/// What the tensors of a tower are called.
pub(super) struct Names {
    /// The names begin with one of these: in whole models, and where the text tower was saved alone.
    pub prefixes: [&'static str; 2],
    /// That of the two which transformers writes.
    pub written: &'static str,
    pub tokens: &'static str,
    pub positions: &'static str,
    pub types: Option<&'static str>,
    pub embedding_norm: Option<&'static str>,
    /// What stands before the number of a block.
    pub blocks: &'static str,
    /// Queries, keys and values.
    pub input: [&'static str; 3],
    pub output: &'static str,
    pub attention_norm: &'static str,
    pub inner: &'static str,
    pub outer: &'static str,
    pub feed_forward_norm: &'static str,
    pub final_norm: Option<&'static str>,
}

/// The projection of a CLIP.
pub(super) const CLIP_PROJECTION: &str = "text_projection";
/// That of other towers, which transformers does not know.
pub(super) const PROJECTION: &str = "tinyglot_projection";

const CLIP: Names = Names {
    prefixes: ["text_model.", ""],
    written: "text_model.",
    tokens: "embeddings.token_embedding.weight",
    positions: "embeddings.position_embedding.weight",
    types: None,
    embedding_norm: None,
    blocks: "encoder.layers",
    input: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    output: "self_attn.out_proj",
    attention_norm: "layer_norm1",
    inner: "mlp.fc1",
    outer: "mlp.fc2",
    feed_forward_norm: "layer_norm2",
    final_norm: Some("final_layer_norm"),
};

const BERT: Names = Names {
    prefixes: ["bert.", ""],
    written: "",
    tokens: "embeddings.word_embeddings.weight",
    positions: "embeddings.position_embeddings.weight",
    types: Some("embeddings.token_type_embeddings.weight"),
    embedding_norm: Some("embeddings.LayerNorm"),
    blocks: "encoder.layer",
    input: ["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    inner: "intermediate.dense",
    outer: "output.dense",
    feed_forward_norm: "output.LayerNorm",
    final_norm: None,
};

const ROBERTA: Names = Names { prefixes: ["roberta.", ""], ..BERT };

const DISTILBERT: Names = Names {
    prefixes: ["distilbert.", ""],
    types: None,
    blocks: "transformer.layer",
    input: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    inner: "ffn.lin1",
    outer: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
    ..BERT
};

impl Names {
    pub fn of(architecture: Architecture) -> &'static Names {
        match architecture {
            Architecture::Clip => &CLIP,
            Architecture::Bert => &BERT,
            Architecture::Roberta | Architecture::XlmRoberta | Architecture::Camembert => &ROBERTA,
            Architecture::DistilBert => &DISTILBERT,
        }
    }
}
