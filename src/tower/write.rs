//! From a tower to the files of Hugging Face's layout, which transformers reads as `CLIPTextModelWithProjection`.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::config::CASE_OF_LANGUAGE;
use super::{Architecture, Pooled, Tower, TowerConfig};
use crate::ops::tape::{data, data1};
use crate::ops::transformer::{Activation, NormWeights, Projection};

impl TowerConfig {
    /// As `config.json` holds it; reads back as an equal one. `start` is the id at the beginning of every text.
    pub fn to_json(&self, start: u32) -> String {
        let activation = match self.activation {
            Activation::QuickGelu => "quick_gelu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_new",
            Activation::Relu => "relu",
        };
        let mut json = json!({
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "hidden_act": activation,
            "layer_norm_eps": shortest(self.epsilon),
            "pad_token_id": 0,
        });
        let (kind, class) = match self.architecture {
            Architecture::Clip => ("clip_text_model", "CLIPTextModelWithProjection"),
            Architecture::Bert => ("bert", "BertModel"),
        };
        (json["model_type"], json["architectures"]) = (kind.into(), json!([class]));
        if self.architecture == Architecture::Clip {
            json["bos_token_id"] = start.into();
            json["eos_token_id"] = match self.pooled {
                Pooled::Token(id) => id.into(),
                // As configurations before 2023 had it.
                Pooled::First | Pooled::HighestId => 2.into(),
            };
        }
        if self.case_of_language {
            json[CASE_OF_LANGUAGE] = true.into();
        }
        if let Some(joint) = self.projection {
            json["projection_dim"] = joint.into();
        }
        serde_json::to_string_pretty(&json).expect("plain data") + "\n"
    }
}

/// The number as people write it: 1e-5 in f32 is 9.99999974e-6 in f64.
fn shortest(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

impl Tower {
    /// As `model.safetensors` holds it.
    ///
    /// # Panics
    /// With a tower that is not CLIP's.
    pub fn to_safetensors(&self) -> Vec<u8> {
        assert_eq!(self.config.architecture, Architecture::Clip, "a tower of CLIP is written");
        let (width, config) = (self.config.width, &self.config);
        let mut tensors = Tensors(Vec::new());
        let name = |kind: &str| format!("text_model.embeddings.{kind}_embedding.weight");
        tensors.push(name("token"), &[config.vocabulary, width], self.tokens.data());
        tensors.push(name("position"), &[config.context, width], self.positions.data());
        for (n, block) in self.blocks.iter().enumerate() {
            let name = |part: &str| format!("text_model.encoder.layers.{n}.{part}");
            tensors.norm(&name("layer_norm1"), &block.attention.norm);
            let parts = ["q_proj", "k_proj", "v_proj"].map(|p| name(&format!("self_attn.{p}")));
            tensors.layers(&parts, &block.attention.input);
            tensors.layers(&[name("self_attn.out_proj")], &block.attention.output);
            tensors.norm(&name("layer_norm2"), &block.feed_forward.norm);
            tensors.layers(&[name("mlp.fc1")], &block.feed_forward.inner);
            tensors.layers(&[name("mlp.fc2")], &block.feed_forward.outer);
        }
        tensors.norm("text_model.final_layer_norm", &self.final_norm);
        if let Some(projection) = &self.projection {
            let shape = [projection.outputs(), width];
            tensors.push("text_projection.weight".into(), &shape, data(&projection.weights.weight));
        }
        // transformers asks for it.
        let about = HashMap::from([("format".to_string(), "pt".to_string())]);
        let views = tensors.0.iter().map(|(name, shape, x)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(x));
            (name, view.expect("as many numbers as the shape says"))
        });
        safetensors::serialize(views, Some(about)).expect("tensors of distinct names")
    }
}

/// Tensors on their way into the file.
struct Tensors<'a>(Vec<(String, Vec<usize>, Cow<'a, [f32]>)>);

impl<'a> Tensors<'a> {
    fn push(&mut self, name: String, shape: &[usize], x: impl Into<Cow<'a, [f32]>>) {
        self.0.push((name, shape.to_vec(), x.into()));
    }

    fn norm(&mut self, name: &str, norm: &'a Option<NormWeights>) {
        if let Some(norm) = norm {
            let width = data1(&norm.scale).len();
            self.push(format!("{name}.weight"), &[width], data1(&norm.scale));
            self.push(format!("{name}.bias"), &[width], data1(&norm.shift));
        }
    }

    /// Layers that stand below each other in one.
    fn layers(&mut self, names: &[String], layer: &'a Projection) {
        let (outputs, inputs) = (layer.outputs() / names.len(), layer.inputs());
        let (weight, bias) = (data(&layer.weights.weight), data1(&layer.weights.bias));
        let parts = weight.chunks(outputs * inputs).zip(bias.chunks(outputs));
        for (name, (weight, bias)) in names.iter().zip(parts) {
            self.push(format!("{name}.weight"), &[outputs, inputs], weight.to_vec());
            self.push(format!("{name}.bias"), &[outputs], bias.to_vec());
        }
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
        for name in ["clip", "openclip"] {
            let mut tower = Tower::open(&golden(name)).expect("a tower");
            let mut read = again(&tower, folder.path());
            assert_eq!(read.config, tower.config);
            assert_eq!(every(&mut read), every(&mut tower));
        }
        let tower = Tower::open(&golden("clip")).expect("a tower");
        again(&tower, folder.path());
        // Older versions of transformers kept the numbers of the positions, too.
        let names = |file: &Path| -> BTreeSet<String> {
            let text = Files::open(file).expect("tensors").text_only().expect("text");
            let tensors = safetensors::SafeTensors::deserialize(&text).expect("tensors");
            tensors.names().iter().filter(|n| !n.ends_with("position_ids")).map(|n| n.to_string()).collect()
        };
        assert_eq!(names(folder.path()), names(&golden("clip")));
    }

    #[test]
    fn a_new_tower_reads_back_equal() {
        let config = TowerConfig {
            architecture: Architecture::Clip,
            vocabulary: 30,
            context: 9,
            width: 8,
            hidden: 12,
            layers: 2,
            heads: 2,
            activation: Activation::Gelu,
            epsilon: 1e-5,
            pooled: Pooled::Token(3),
            projection: Some(6),
            case_of_language: true,
        };
        let mut tower = Tower::new(config, &mut Init::new(1));
        let folder = tempfile::tempdir().expect("a folder");
        let mut read = again(&tower, folder.path());
        assert_eq!(read.config, tower.config);
        assert_eq!(every(&mut read), every(&mut tower));
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
