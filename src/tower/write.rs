//! From a tower to the files of Hugging Face's layout.

use std::borrow::Cow;
use std::collections::HashMap;

use dfdx::prelude::HasShape;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::config::{CASE_OF_LANGUAGE, MOST_TOKENS, POOLING, PROJECTION_KEYS, SizeKeys};
use super::modules::POOLED;
use super::names::{CLIP_PROJECTION, Names, PROJECTION};
use super::{Architecture, Pooled, Tower, TowerConfig};
use crate::ops::linear::LinearWeights;
use crate::ops::tape::{data, data1};
use crate::ops::transformer::{Activation, NormWeights};

impl TowerConfig {
    /// As `config.json` holds it; reads back as an equal one. `start` is the id at the beginning of every text, which a CLIP names.
    ///
    /// # Panics
    /// With CLIP's pooling in another architecture: no checkpoint has it.
    pub fn to_json(&self, start: u32) -> String {
        let mut json = self.plain_json(start);
        self.add_own_keys(&mut json);
        serde_json::to_string_pretty(&json).expect("plain data") + "\n"
    }

    /// What transformers knows of it.
    pub(super) fn plain_json(&self, start: u32) -> Value {
        let activation = match self.activation {
            Activation::QuickGelu => "quick_gelu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_new",
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
        };
        let mut json = json!({
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions(),
        });
        let keys = SizeKeys::of(self.architecture);
        json[keys.width] = self.width.into();
        json[keys.hidden] = self.hidden.into();
        json[keys.layers] = self.layers.into();
        json[keys.heads] = self.heads.into();
        json[keys.activation] = activation.into();
        if self.architecture != Architecture::DistilBert {
            json["layer_norm_eps"] = shortest(self.epsilon);
        }
        json["pad_token_id"] = self.first_position.saturating_sub(1).into();
        if self.types > 0 {
            json["type_vocab_size"] = self.types.into();
        }
        let class = match self.architecture {
            Architecture::Clip => "CLIPTextModelWithProjection",
            Architecture::Bert => "BertModel",
            Architecture::Roberta => "RobertaModel",
            Architecture::XlmRoberta => "XLMRobertaModel",
            Architecture::Camembert => "CamembertModel",
            Architecture::DistilBert => "DistilBertModel",
        };
        (json["model_type"], json["architectures"]) = (self.architecture.model_type().into(), json!([class]));
        if self.architecture == Architecture::Clip {
            json["bos_token_id"] = start.into();
            json["eos_token_id"] = match self.pooled {
                Pooled::Token(id) => id.into(),
                // As configurations before 2023 had it.
                _ => 2.into(),
            };
        }
        if self.case_of_language {
            json[CASE_OF_LANGUAGE] = true.into();
        }
        if let Some(joint) = self.projection.filter(|_| self.architecture == Architecture::Clip) {
            json["projection_dim"] = joint.into();
        }
        json
    }

    /// Adds what transformers does not know: another pooling than the architecture's, how many tokens sentences are cut to, and the
    /// projection of an encoder.
    pub(super) fn add_own_keys(&self, json: &mut Value) {
        let clip = self.architecture == Architecture::Clip;
        let usual = match self.pooled {
            Pooled::Token(_) | Pooled::HighestId => {
                assert!(clip, "an encoder pools no token by its id");
                true
            }
            pooled => pooled == Pooled::First && !clip,
        };
        if !usual {
            json[POOLING] = self.pooled.name().into();
        }
        if let Some(most) = self.most_tokens {
            json[MOST_TOKENS] = most.into();
        }
        if let Some(joint) = self.projection.filter(|_| !clip) {
            let values = [joint.into(), self.projection_bias.into(), self.projection_tanh.into()];
            PROJECTION_KEYS.into_iter().zip(values).for_each(|(key, value)| json[key] = value);
        }
    }
}

impl Pooled {
    /// Its name in sentence-transformers, which has none for CLIP's.
    pub(super) fn name(self) -> &'static str {
        POOLED.iter().find(|(_, own)| *own == self).expect("a pooling of sentence-transformers").0
    }
}

/// The number as people write it: 1e-5 in f32 is 9.99999974e-6 in f64.
fn shortest(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

impl Tower {
    /// As `model.safetensors` holds it.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let mut tensors = self.tensors();
        if let Some(projection) = &self.projection {
            match (self.config.architecture, self.config.projection_bias) {
                (Architecture::Clip, _) => tensors.weight(CLIP_PROJECTION, &projection.weights),
                (_, false) => tensors.weight(PROJECTION, &projection.weights),
                (_, true) => tensors.layers(&[PROJECTION.into()], &projection.weights),
            }
        }
        tensors.serialised()
    }

    /// All but the projection.
    pub(super) fn tensors(&self) -> Tensors<'_> {
        let (width, config) = (self.config.width, &self.config);
        let names = Names::of(config.architecture);
        let mut tensors = Tensors::default();
        let name = |part: &str| format!("{}{part}", names.written);
        tensors.push(name(names.tokens), &[config.vocabulary, width], self.tokens.data());
        tensors.push(name(names.positions), &[config.positions(), width], self.positions.data());
        if let (Some(types), Some(own)) = (&self.types, names.types) {
            tensors.push(name(own), &[types.rows(), width], types.data());
        }
        if let (Some(norm), Some(own)) = (&self.embedding_norm, names.embedding_norm) {
            tensors.norm(&name(own), norm);
        }
        for (n, block) in self.blocks.iter().enumerate() {
            let name = |part: &str| name(&format!("{}.{n}.{part}", names.blocks));
            // Each stands before its layer or behind it.
            let attention = block.attention.norm.iter().chain(&block.attention_norm);
            attention.for_each(|norm| tensors.norm(&name(names.attention_norm), norm));
            tensors.layers(&names.input.map(name), &block.attention.input.weights);
            tensors.layers(&[name(names.output)], &block.attention.output.weights);
            let feed_forward = block.feed_forward.norm.iter().chain(&block.feed_forward_norm);
            feed_forward.for_each(|norm| tensors.norm(&name(names.feed_forward_norm), norm));
            tensors.layers(&[name(names.inner)], &block.feed_forward.inner.weights);
            tensors.layers(&[name(names.outer)], &block.feed_forward.outer.weights);
        }
        if let (Some(norm), Some(own)) = (&self.final_norm, names.final_norm) {
            tensors.norm(&name(own), norm);
        }
        tensors
    }
}

/// Tensors on their way into the file.
#[derive(Default)]
pub(super) struct Tensors<'a>(Vec<(String, Vec<usize>, Cow<'a, [f32]>)>);

impl<'a> Tensors<'a> {
    fn push(&mut self, name: String, shape: &[usize], x: impl Into<Cow<'a, [f32]>>) {
        self.0.push((name, shape.to_vec(), x.into()));
    }

    fn norm(&mut self, name: &str, norm: &'a NormWeights) {
        let width = data1(&norm.scale).len();
        self.push(format!("{name}.weight"), &[width], data1(&norm.scale));
        self.push(format!("{name}.bias"), &[width], data1(&norm.shift));
    }

    /// A layer whose bias is none.
    pub(super) fn weight(&mut self, name: &str, layer: &'a LinearWeights) {
        let (outputs, inputs) = *layer.weight.shape();
        self.push(format!("{name}.weight"), &[outputs, inputs], data(&layer.weight));
    }

    /// Layers that stand below each other in one.
    pub(super) fn layers(&mut self, names: &[String], layer: &'a LinearWeights) {
        let (outputs, inputs) = *layer.weight.shape();
        let outputs = outputs / names.len();
        let (weight, bias) = (data(&layer.weight), data1(&layer.bias));
        let parts = weight.chunks(outputs * inputs).zip(bias.chunks(outputs));
        for (name, (weight, bias)) in names.iter().zip(parts) {
            self.push(format!("{name}.weight"), &[outputs, inputs], weight.to_vec());
            self.push(format!("{name}.bias"), &[outputs], bias.to_vec());
        }
    }

    pub(super) fn serialised(&self) -> Vec<u8> {
        // transformers asks for it.
        let about = HashMap::from([("format".to_string(), "pt".to_string())]);
        let views = self.0.iter().map(|(name, shape, x)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(x));
            (name, view.expect("as many numbers as the shape says"))
        });
        safetensors::serialize(views, Some(about)).expect("tensors of distinct names")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::init::Init;
    use crate::optim::ParameterTree;
    use crate::tower::Tensors as Files;

    fn golden(name: &str) -> std::path::PathBuf {
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
            .join("tests/golden/towers")
            .join(name)
    }

    fn every(tower: &mut Tower) -> Vec<(String, Vec<f32>)> {
        let mut all = Vec::new();
        tower.visit(&mut |name, x| all.push((name.to_string(), x.floats().to_vec())));
        all
    }

    /// Writes a tower to a folder and reads it back.
    fn again(tower: &Tower, folder: &Path) -> Tower {
        std::fs::write(folder.join("config.json"), tower.config.to_json(1)).expect("written");
        std::fs::write(folder.join("model.safetensors"), tower.to_safetensors()).expect("written");
        Tower::open(folder).expect("read back")
    }

    #[test]
    fn a_tower_that_is_written_reads_back_equal_with_the_names_of_transformers() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["clip", "openclip", "mbert", "xlmr", "roberta", "distilbert", "sentence"] {
            let mut tower = Tower::open(&golden(name)).expect("a tower");
            let mut read = again(&tower, folder.path());
            assert_eq!(read.config, tower.config);
            assert_eq!(every(&mut read), every(&mut tower));
        }
        // Older versions of transformers kept the numbers of the positions, too; a pooler is no part of the tower.
        let names = |file: &Path| -> BTreeSet<String> {
            let text = Files::open(file).expect("tensors").text_only().expect("text");
            let tensors = safetensors::SafeTensors::deserialize(&text).expect("tensors");
            let other = |n: &str| n.ends_with("position_ids") || n.starts_with("pooler.");
            tensors.names().iter().filter(|n| !other(n)).map(|n| n.to_string()).collect()
        };
        for name in ["clip", "mbert", "roberta"] {
            again(&Tower::open(&golden(name)).expect("a tower"), folder.path());
            assert_eq!(names(folder.path()), names(&golden(name)), "{name}");
        }
    }

    #[test]
    fn a_new_tower_reads_back_equal() {
        let clip = TowerConfig {
            vocabulary: 30,
            context: 9,
            width: 8,
            hidden: 12,
            layers: 2,
            heads: 2,
            activation: Activation::Gelu,
            pooled: Pooled::Token(3),
            projection: Some(6),
            case_of_language: true,
            ..TowerConfig::clip()
        };
        let bert = TowerConfig {
            architecture: Architecture::Bert,
            types: 1,
            epsilon: 1e-6,
            pooled: Pooled::Mean,
            projection: None,
            ..clip.clone()
        };
        for config in [clip, bert] {
            let mut tower = Tower::new(config, &mut Init::new(1));
            let folder = tempfile::tempdir().expect("a folder");
            let mut read = again(&tower, folder.path());
            assert_eq!(read.config, tower.config);
            assert_eq!(every(&mut read), every(&mut tower));
        }
    }

    #[test]
    fn sizes_of_a_bert_read_back_equal() {
        let config = TowerConfig::read(&golden("mbert/config.json")).expect("sizes");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.json");
        std::fs::write(&file, config.to_json(2)).expect("written");
        assert_eq!(TowerConfig::read(&file).expect("read back"), config);
    }
}
