use std::fs;
use std::path::{Path, PathBuf};

use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tempfile::TempDir;

use super::*;
use crate::Result;
use crate::config::{Precision, TrainConfig};
use crate::gradcheck::{by_name, probe};
use crate::init::Init;
use crate::ops::linear::linear;
use crate::optim::{freeze, thaw, trained_count};
use crate::words::HuggingFace;

fn golden(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("tests/golden/towers")
        .join(name)
}

/// A copy of a checkpoint that make.py wrote.
fn copied(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&golden(name), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file").path();
        let to = to.join(file.file_name().expect("a name"));
        if file.is_dir() {
            fs::create_dir(&to).expect("a folder");
            copy(&file, &to);
        } else {
            fs::copy(&file, to).expect("copied");
        }
    }
}

/// The message of a refusal, which is one about data.
fn refused<T>(result: Result<T>) -> String {
    let Err(error) = result else { panic!("it was taken") };
    assert_eq!(error.exit_status(), 4, "{error}");
    error.to_string()
}

/// Changes a text of a file of the checkpoint.
fn change(folder: &TempDir, file: &str, from: &str, to: &str) {
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).expect("read");
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(path, text.replace(from, to)).expect("written");
}

/// Writes model.safetensors again, with one tensor left out or in another shape or type.
fn rewrite(folder: &TempDir, name: &str, new: Option<(Dtype, Vec<usize>, Vec<u8>)>) {
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut views: Vec<(String, TensorView)> =
        tensors.iter().filter(|(n, _)| *n != name).map(|(n, t)| (n.to_string(), t)).collect();
    assert_eq!(views.len() + 1, tensors.names().len(), "there is no {name}");
    if let Some((dtype, shape, data)) = &new {
        views.push((name.to_string(), TensorView::new(*dtype, shape.clone(), data).expect("a tensor")));
    }
    fs::write(path, serialize(views, None).expect("serialised")).expect("written");
}

#[test]
fn shards_make_one_tower_and_missing_ones_are_named() {
    let folder = copied("openclip");
    Tower::open(folder.path()).expect("whole");
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).expect("removed");
    let text = refused(Tower::open(folder.path()));
    assert!(
        text.contains("model.safetensors.index.json`: names 2 files, of which are missing: `model-00002"),
        "{text}"
    );
    let outside = copied("openclip");
    change(&outside, "model.safetensors.index.json", "model-00002-of-00002", "../other");
    assert!(refused(Tower::open(outside.path())).contains("no file beside it"));
}

#[test]
fn files_that_are_missing_or_cut_short_are_refused() {
    let folder = copied("clip");
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).expect("read");
    for length in [0, 5, 300, whole.len() - 1] {
        fs::write(&path, &whole[..length]).expect("written");
        let text = refused(Tower::open(folder.path()));
        assert!(text.contains("model.safetensors`: is no whole safetensors file"), "{text}");
    }
    fs::remove_file(&path).expect("removed");
    assert!(refused(Tower::open(folder.path())).contains("there is no `model.safetensors` here"));
    fs::write(folder.path().join("pytorch_model.bin"), b"x").expect("written");
    assert!(refused(Tower::open(folder.path())).contains("only safetensors are read"));
    fs::remove_file(folder.path().join("config.json")).expect("removed");
    assert!(refused(Tower::open(folder.path())).contains("give the folder of a checkpoint"));
}

#[test]
fn tensors_that_are_missing_or_of_another_shape_or_type_are_named() {
    let name = "text_model.encoder.layers.1.mlp.fc1.weight";
    let folder = copied("clip");
    rewrite(&folder, name, None);
    let text = refused(Tower::open(folder.path()));
    assert!(text.contains(&format!("the tensor `{name}` is missing")), "{text}");

    let folder = copied("clip");
    rewrite(&folder, name, Some((Dtype::F32, vec![2, 2], vec![0; 16])));
    let text = refused(Tower::open(folder.path()));
    assert!(text.contains(&format!("`{name}` has shape [2, 2]; `config.json` asks for [24, 16]")), "{text}");

    let folder = copied("clip");
    rewrite(&folder, name, Some((Dtype::I64, vec![24, 16], vec![0; 24 * 16 * 8])));
    let text = refused(Tower::open(folder.path()));
    assert!(text.contains(&format!("`{name}` is of type I64\nhint: save it as F32, F16 or BF16")), "{text}");

    let folder = copied("clip");
    rewrite(&folder, "text_model.embeddings.token_embedding.weight", None);
    let text = refused(Tower::open(folder.path()));
    assert!(text.contains("`text_model.embeddings.token_embedding.weight`, `embeddings.token"), "{text}");

    let folder = copied("clip");
    change(&folder, "config.json", "\"intermediate_size\": 24", "\"intermediate_size\": 32");
    assert!(refused(Tower::open(folder.path())).contains("`config.json` belongs to another checkpoint"));
}

#[test]
fn names_of_other_times_and_places_are_known() {
    // BERT inside a larger model, with the names of TensorFlow's layer norms.
    let folder = copied("mbert");
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).expect("read");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let renamed = |n: &str| {
        let n = n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        format!("bert.{n}")
    };
    let views = tensors.iter().map(|(n, t)| (renamed(n), t));
    let renamed = serialize(views, None).expect("serialised");
    drop(tensors);
    let before = Tower::open(folder.path()).expect("a tower");
    fs::write(&path, renamed).expect("written");
    let after = Tower::open(folder.path()).expect("a tower");
    let mut sentences = Sequences::new();
    sentences.push([2, 9, 3]);
    let sentences = Arc::new(sentences);
    let pass = Pass { precision: crate::config::Precision::F32, recompute: false };
    assert_eq!(before.encode(&sentences, pass), after.encode(&sentences, pass));
    let (config, table) = read::token_embedding(folder.path()).expect("a table");
    assert_eq!(table.len(), config.vocabulary * config.width);
    assert_eq!(table[..], after.tokens.data()[..]);
}

#[test]
fn numbers_of_16_bits_are_read() {
    let folder = copied("clip");
    let name = "text_projection.weight";
    let values: Vec<f32> = (0..12 * 16).map(|i| i as f32 / 16.0 - 3.0).collect();
    for (dtype, bytes) in [
        (Dtype::BF16, values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect::<Vec<u8>>()),
        (Dtype::F16, values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect()),
    ] {
        rewrite(&folder, name, Some((dtype, vec![12, 16], bytes)));
        let tower = Tower::open(folder.path()).expect("a tower");
        assert_eq!(data(&tower.projection.expect("a projection").weights.weight), values, "{dtype:?}");
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let clip = TowerConfig::read(&golden("clip/config.json")).expect("a configuration");
    let bert = TowerConfig::read(&golden("mbert/config.json")).expect("a configuration");
    let text = refused(TowerTokenizer::open(&golden("mbert/tokenizer.json"), &clip));
    assert!(text.contains("tokens; the tower's embedding has 522"), "{text}");
    let folder = copied("mbert");
    // Special tokens of other names are its own; the same one on both sides is not.
    let path = folder.path().join("tokenizer.json");
    change(&folder, "tokenizer.json", "\"[SEP]\"", "\"[END]\"");
    assert_eq!(TowerTokenizer::open(&path, &bert).expect("taken").end(), 3);
    change(&folder, "tokenizer.json", "\"[END]\"", "\"[CLS]\"");
    let text = refused(TowerTokenizer::open(&path, &bert));
    assert!(text.contains("begins and ends a text with `[CLS]` (3)"), "{text}");
    let other = TowerConfig { pooled: Pooled::Token(7), ..clip.clone() };
    let text = refused(TowerTokenizer::open(&golden("clip/tokenizer.json"), &other));
    assert!(text.contains("ends a text with `<|endoftext|>` (521); the tower was trained with"), "{text}");
    let small = TowerConfig { vocabulary: clip.vocabulary - 1, ..clip.clone() };
    assert!(refused(TowerTokenizer::open(&golden("clip/tokenizer.json"), &small)).contains("has 522 tokens"));
    let padded = TowerConfig { vocabulary: 640, ..clip };
    TowerTokenizer::open(&golden("clip/tokenizer.json"), &padded).expect("a padded table");
    fs::write(folder.path().join("tokenizer.json"), "{}").expect("written");
    assert!(
        refused(TowerTokenizer::open(&folder.path().join("tokenizer.json"), &bert))
            .contains("not a tokenizer")
    );
}

#[test]
fn a_text_longer_than_the_context_keeps_its_beginning_and_the_end_token() {
    let config = TowerConfig::read(&golden("clip/config.json")).expect("a configuration");
    let tokenizer = TowerTokenizer::open(&golden("clip/tokenizer.json"), &config).expect("a tokenizer");
    let long = "dog ".repeat(40);
    let encoded = tokenizer.encode("en", &["dog", &long, ""]);
    assert_eq!(encoded.truncated, [1]);
    assert_eq!([0, 1, 2].map(|s| encoded.ids.length(s)), [3, 24, 2]);
    let ids = encoded.ids.get(1);
    assert_eq!((ids[0], ids[23]), (520, tokenizer.end()));
    assert!(ids[1..23].iter().all(|&id| id == encoded.ids.get(0)[1]));
    let short = tokenizer.with_context(5).encode("en", &[&long]);
    assert_eq!(short.ids.length(0), 5);
}

const PASS: Pass = Pass { precision: Precision::F32, recompute: false };

/// A tiny checkpoint, and sentences that it reads.
fn opened(name: &str) -> (Tower, Arc<Sequences>) {
    let tower = Tower::open(&golden(name)).expect("a tower");
    let end = if let Pooled::Token(id) = tower.config.pooled { id } else { 19 };
    let mut sentences = Sequences::new();
    [&[2, 9, 3, end][..], &[2, 5, 9, 7, end]].into_iter().for_each(|s| sentences.push(s.iter().copied()));
    (tower, Arc::new(sentences))
}

fn every(tower: &mut Tower) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    tower.visit(&mut |name, x| all.push((name.to_string(), x.floats().into_owned())));
    all
}

#[test]
fn a_checkpoint_is_fine_tuned_where_it_is_thawed() {
    type Some = fn(&str) -> bool;
    let embeddings: Some = |name| ["tokens", "positions", "types"].contains(&name);
    let last: Some = |name| name.starts_with("blocks.2.") || name.starts_with("projection");
    // Half of a layer's parts: the other half stays as it is.
    let part: Some = |name| name.starts_with("blocks.1.attention.output") || name.ends_with("outer.weight");
    for (checkpoint, thawed) in
        ["clip", "mbert", "sentence"].into_iter().flat_map(|c| [embeddings, last, part].map(|t| (c, t)))
    {
        let (mut tower, sentences) = opened(checkpoint);
        assert_eq!(trained_count(&mut tower), 0, "what is read is frozen");
        let (value, before) = (tower.encode(&sentences, PASS), every(&mut tower));
        thaw(&mut tower, thawed);
        let leaf = |name: &str| {
            thawed(name)
                || thawed(&name.replace(".bias", ".weight"))
                || thawed(&name.replace(".weight", ".bias"))
        };
        let mut adam = Adam::new(&TrainConfig { learning_rate: 0.01, ..TrainConfig::default() }, 9);
        tower.catch_up("", &mut adam, &sentences);
        let mut grads = probe(tower.forward::<OwnedTape<f32, Dev>>(&sentences, PASS)).backward();
        adam.update(&mut grads, &mut |f| tower.visit(f));
        for ((name, old), (_, new)) in before.iter().zip(every(&mut tower)) {
            assert_eq!(*old != new, leaf(name), "{checkpoint}: {name}");
        }
        freeze(&mut tower, |_| true);
        assert_ne!(tower.encode(&sentences, PASS), value, "{checkpoint} was packed before");
    }
}

fn shift(tower: &mut Tower, name: &str, i: usize, by: f32) {
    tower.visit(&mut |other, mut x| {
        if other == name {
            let mut values = x.floats().into_owned();
            values[i] += by;
            x.set(&values);
        }
    });
}

#[test]
fn gradients_of_a_thawed_checkpoint_are_slopes() {
    for (checkpoint, tables, pooled) in [
        ("clip", 2, None),
        ("mbert", 3, None),
        // The mean, a dense layer and tanh.
        ("sentence", 3, None),
        ("xlmr", 3, Some(Pooled::Mean)),
        ("roberta", 3, Some(Pooled::Last)),
        ("distilbert", 2, Some(Pooled::Mean)),
        ("clip", 2, Some(Pooled::Mean)),
    ] {
        let (mut tower, sentences) = opened(checkpoint);
        pooled.into_iter().for_each(|pooled| tower.set_pooling(pooled));
        // Block 1 stays, and gradients go through it.
        thaw(&mut tower, |name| !name.starts_with("blocks.1."));
        let mut grads = probe(tower.forward::<OwnedTape<f32, Dev>>(&sentences, PASS)).backward();
        let all = by_name(&mut grads, &mut |f| tower.visit(f));
        assert!(all.iter().all(|(name, _)| !name.starts_with("blocks.1.")));
        let embeddings = ["tokens", "positions", "types"];
        assert_eq!(all.iter().filter(|(name, _)| embeddings.contains(&&name[..])).count(), tables);
        for (name, g) in &all {
            let mut order: Vec<usize> = (0..g.len()).collect();
            order.sort_by(|&a, &b| g[b].abs().total_cmp(&g[a].abs()));
            let scale = g[order[0]].abs();
            assert!(scale > 1e-6, "{checkpoint}: {name} gets no gradient");
            for &i in order.iter().take(2) {
                let mut value = |by: f32| {
                    shift(&mut tower, name, i, by);
                    let value = probe(tower.forward::<NoneTape>(&sentences, PASS)).array();
                    shift(&mut tower, name, i, -by);
                    value
                };
                let slope = (value(2e-3) - value(-2e-3)) / 4e-3;
                assert!(
                    (slope - g[i]).abs() <= 0.03 * scale.max(0.02),
                    "{checkpoint}, {name}[{i}]: {} {slope}",
                    g[i]
                );
            }
        }
    }
}

#[test]
fn tensors_that_are_no_part_of_the_tower_are_named() {
    let tower = Tower::open(&golden("clip")).expect("a tower");
    let bytes = fs::read(golden("clip/model.safetensors")).expect("read");
    let all = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut others: Vec<&str> = all.names().into_iter().filter(|name| !name.starts_with("text_")).collect();
    others.sort_unstable();
    assert_eq!(tower.unused, others);
    assert!(others.contains(&"logit_scale") && others.len() < all.len());
}

/// The ids of some texts, by the tokenizer of a folder.
fn ids(folder: &Path, config: &TowerConfig) -> Sequences {
    let tokenizer = TowerTokenizer::open(&folder.join("tokenizer.json"), config).expect("a tokenizer");
    tokenizer.encode("de", &["Ein Hund läuft", "", "two men 犬"]).ids
}

#[test]
fn a_folder_of_sentence_transformers_reads_back_equal() {
    let place = tempfile::tempdir().expect("a folder");
    for (name, pooled) in [
        ("mbert", Pooled::Mean),
        ("xlmr", Pooled::First),
        ("roberta", Pooled::Last),
        ("distilbert", Pooled::Mean),
        ("sentence", Pooled::Mean),
    ] {
        let mut tower = Tower::open(&golden(name)).expect("a tower");
        tower.set_pooling(pooled);
        let tokenizer = TokenizerFiles::read(&golden(name)).expect("a tokenizer");
        let folder = place.path().join(name);
        tower.write_sentence_transformer(&folder, &tokenizer, None).expect("written");
        let mut read = Tower::open(&folder).expect("a tower");
        assert_eq!(read.config, tower.config);
        assert_eq!(every(&mut read), every(&mut tower), "{name}");
        assert!(read.unused.is_empty());
        assert_eq!(ids(&folder, &read.config), ids(&golden(name), &tower.config));
        let copied = fs::read(folder.join("tokenizer.json")).expect("read");
        assert_eq!(copied, fs::read(golden(name).join("tokenizer.json")).expect("read"));
    }
}

#[test]
fn a_further_layer_is_written_as_a_dense_module_and_taken_away_again() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("written");
    let mut tower = Tower::open(&golden("xlmr")).expect("a tower");
    tower.set_pooling(Pooled::Mean);
    let tokenizer = TokenizerFiles::read(&golden("xlmr")).expect("a tokenizer");
    let layer = Init::new(4).linear(16, 5);
    tower.write_sentence_transformer(&folder, &tokenizer, Some(&layer)).expect("written");
    let read = Tower::open(&folder).expect("a tower");
    let TowerConfig { projection, projection_bias, projection_tanh, .. } = read.config;
    assert_eq!((projection, projection_bias, projection_tanh), (Some(5), true, false));
    let sentences = Arc::new(ids(&folder, &read.config));
    let vectors: Matrix = linear(tower.forward(&sentences, PASS), &layer, PASS.precision);
    let vectors = data(&vectors);
    let pairs = read.encode(&sentences, PASS).into_iter().zip(&vectors[..]);
    assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-6);
    // Over what is there; two layers cannot be read.
    tower.write_sentence_transformer(&folder, &tokenizer, None).expect("written");
    assert_eq!(Tower::open(&folder).expect("a tower").config, tower.config);
    assert!(!folder.join("2_Dense").exists() && folder.join("2_Normalize").is_dir());
    let two = Tower::open(&golden("sentence")).expect("a tower");
    let second = Init::new(4).linear(12, 5);
    two.write_sentence_transformer(&folder, &tokenizer, Some(&second)).expect("written");
    let text = refused(Tower::open(&folder));
    assert!(text.contains("modules.json`: has the module `Dense` behind `Dense`"), "{text}");
    let text = refused(tower.write_sentence_transformer(&golden(""), &tokenizer, None));
    assert!(text.contains("holds other files"), "{text}");
    // Nothing is left where the tokenizer cannot be read.
    let damaged = copied("xlmr");
    fs::write(damaged.path().join("tokenizer.json"), "{}").expect("written");
    fs::remove_file(damaged.path().join("tokenizer_config.json")).expect("removed");
    let damaged = TokenizerFiles::read(damaged.path()).expect("read");
    let new = place.path().join("new");
    assert!(refused(tower.write_sentence_transformer(&new, &damaged, None)).contains("not a tokenizer"));
    assert!(!new.exists());
    let clip = Tower::open(&golden("clip")).expect("a tower");
    assert!(clip.write_sentence_transformer(&folder, &tokenizer, None).is_err());
}

#[test]
fn a_new_bert_of_a_learnt_vocabulary_is_written_and_read() {
    let words = HuggingFace::train(&["ein Hund", "un chien"], 280, ["[CLS]", "[SEP]"]).expect("learnt");
    let config = TowerConfig {
        vocabulary: words.size(),
        context: 12,
        width: 8,
        hidden: 16,
        layers: 2,
        heads: 2,
        pooled: Pooled::Mean,
        case_of_language: true,
        ..TowerConfig::bert()
    };
    let mut tower = Tower::new(config, &mut Init::new(7));
    assert_eq!(trained_count(&mut tower) as u128, tower.config.numbers());
    // Uniform, of a standard deviation of 0.02.
    let all = every(&mut tower);
    let (_, weights) =
        all.iter().find(|(name, _)| name == "blocks.0.feed_forward.inner.weight").expect("one");
    let deviation = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
    assert!((deviation - 0.02).abs() < 3e-3, "{deviation}");
    let place = tempfile::tempdir().expect("a folder");
    let tokenizer = TokenizerFiles::of(&words).expect("files");
    tower.write_sentence_transformer(place.path(), &tokenizer, None).expect("written");
    let mut read = Tower::open(place.path()).expect("a tower");
    assert_eq!(read.config, tower.config);
    assert_eq!(every(&mut read), all);
    let about = fs::read_to_string(place.path().join("tokenizer_config.json")).expect("read");
    assert!(
        about.contains("\"cls_token\": \"[CLS]\"") && about.contains("\"pad_token\": \"[PAD]\""),
        "{about}"
    );
    let ids = ids(place.path(), &read.config);
    assert_eq!(ids.get(1), [2, 3]);
}

/// What a run keeps of a folder of sentence-transformers: one configuration, one file of tensors.
#[test]
fn one_file_says_all_of_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    fs::write(file("config.json"), TowerConfig::whole_file(&golden("sentence")).expect("read"))
        .expect("written");
    let tensors = Tensors::of_text(&golden("sentence")).expect("tensors").text_only().expect("tensors");
    fs::write(file("model.safetensors"), tensors).expect("written");
    let (mut whole, mut read) =
        (Tower::open(&golden("sentence")).expect("a tower"), Tower::open(folder.path()).expect("a tower"));
    assert_eq!(read.config, whole.config);
    assert_eq!(every(&mut read), every(&mut whole));
    // Others stay byte for byte.
    let own = fs::read(golden("xlmr/config.json")).expect("read");
    assert_eq!(TowerConfig::whole_file(&golden("xlmr")).expect("read"), own);
}

#[test]
fn modules_that_are_not_read_are_named() {
    let of = |file: &str, from: &str, to: &str| {
        let folder = copied("sentence");
        change(&folder, file, from, to);
        refused(Tower::open(folder.path()))
    };
    let pooling = |to: &str| of("1_Pooling/config.json", "\"mean\"", to);
    let text = pooling("\"max\"");
    assert!(text.contains("1_Pooling/config.json`: has the pooling `max`\nhint: one of `cls`"), "{text}");
    assert!(pooling("[\"cls\", \"mean\"]").contains("has the pooling `cls`, `mean`"));
    let old = "null, \"pooling_mode_mean_tokens\": true, \"pooling_mode_max_tokens\": true";
    assert!(pooling(old).contains("has the pooling `max`, `mean`"));
    let relu = of("2_Dense/config.json", "activation.Tanh", "activation.ReLU");
    assert!(
        relu.contains(
            "2_Dense/config.json`: `activation_function` is \"torch.nn.modules.activation.ReLU\"; expected"
        ),
        "{relu}"
    );
    let residual = of("2_Dense/config.json", "\"bias\": true", "\"bias\": true, \"use_residual\": true");
    assert!(residual.contains("`use_residual` is true; expected false"), "{residual}");
    assert!(
        of("2_Dense/config.json", "\"out_features\": 12", "\"out_features\": 0")
            .contains("`out_features` is 0")
    );
    let shape = of("2_Dense/config.json", "\"out_features\": 12", "\"out_features\": 13");
    assert!(shape.contains("2_Dense/model.safetensors`: `linear.weight` has shape [12, 16]"), "{shape}");
    let module = |from: &str, to: &str| of("modules.json", from, to);
    let other = module("dense.Dense", "cnn.CNN");
    assert!(other.contains("modules.json`: has the module `CNN` behind `Pooling`"), "{other}");
    assert!(module("transformer.Transformer", "bow.BoW").contains("begins with the module `BoW`"));
    assert!(
        module("\"path\": \"\"", "\"path\": \"0_Transformer\"")
            .contains("keeps its transformer in `0_Transformer`")
    );
    assert!(module("1_Pooling", "../1_Pooling").contains("no folder beside it"));
    let folder = copied("sentence");
    fs::write(folder.path().join("modules.json"), "[]").expect("written");
    assert!(refused(Tower::open(folder.path())).contains("has no pooling"));
    let lower = of("sentence_bert_config.json", "{", "{\"do_lower_case\": true,");
    assert!(lower.contains("`do_lower_case` is true"), "{lower}");
    let short = of("sentence_bert_config.json", "{", "{\"max_seq_length\": 2,");
    assert!(short.contains("`max_seq_length` is 2; expected 3 or more"), "{short}");
    let folder = copied("sentence");
    fs::remove_file(folder.path().join("2_Dense/model.safetensors")).expect("removed");
    let text = refused(Tower::open(folder.path()));
    assert!(text.contains("2_Dense`: there is no `model.safetensors` here"), "{text}");
    fs::remove_dir_all(folder.path().join("1_Pooling")).expect("removed");
    assert!(refused(Tower::open(folder.path())).contains("1_Pooling/config.json"));
}

#[test]
fn sentences_are_cut_where_sentence_transformers_cuts_them() {
    let opened = |max_seq_length: &str, model_max_length: &str| {
        let folder = copied("sentence");
        change(&folder, "sentence_bert_config.json", "{", &format!("{{{max_seq_length}"));
        let tokenizer = folder.path().join("tokenizer_config.json");
        fs::write(tokenizer, format!("{{{model_max_length}}}")).expect("written");
        let config = TowerConfig::read(&folder.path().join("config.json")).expect("a configuration");
        let tokenizer =
            TowerTokenizer::open(&folder.path().join("tokenizer.json"), &config).expect("a tokenizer");
        let ids = tokenizer.encode("en", &["a", &"a ".repeat(90)]);
        assert_eq!(ids.truncated, [1]);
        (folder, config, ids.ids.length(1))
    };
    let whole = TowerConfig::read(&golden("sentence/config.json")).expect("a configuration").context;
    for (max_seq_length, model_max_length, cut) in [
        ("", "", whole),
        ("\"max_seq_length\": 5,", "", 5),
        ("\"max_seq_length\": null,", "\"model_max_length\": 6", 6),
        ("\"max_seq_length\": 5,", "\"model_max_length\": 6", 5),
        ("\"max_seq_length\": 512,", "", whole),
        ("", "\"model_max_length\": 1000000000000000019884624838656", whole),
    ] {
        let (folder, config, length) = opened(max_seq_length, model_max_length);
        assert_eq!((length, config.context), (cut, whole), "{max_seq_length} {model_max_length}");
        // Runs keep the configuration alone.
        let kept = TowerConfig::whole_file(folder.path()).expect("a configuration");
        let place = tempfile::tempdir().expect("a folder");
        fs::write(place.path().join("config.json"), kept).expect("written");
        assert_eq!(TowerConfig::read(&place.path().join("config.json")).expect("the same"), config);
        // And what they write cuts there too.
        let tower = Tower::open(folder.path()).expect("a tower");
        let tokenizer = TokenizerFiles::read(folder.path()).expect("a tokenizer");
        let written = place.path().join("written");
        tower.write_sentence_transformer(&written, &tokenizer, None).expect("written");
        assert_eq!(Tower::open(&written).expect("a tower").config, config);
    }
}

#[test]
fn older_names_of_poolings_and_no_activation_are_read() {
    let folder = copied("sentence");
    for (key, pooled) in [
        ("pooling_mode_cls_token", Pooled::First),
        ("pooling_mode_mean_tokens", Pooled::Mean),
        ("pooling_mode_lasttoken", Pooled::Last),
    ] {
        let json = format!(
            "{{\"word_embedding_dimension\": 16, \"pooling_mode_max_tokens\": false, \"{key}\": true}}"
        );
        fs::write(folder.path().join("1_Pooling/config.json"), json).expect("written");
        assert_eq!(Tower::open(folder.path()).expect("a tower").config.pooled, pooled);
    }
    change(&folder, "2_Dense/config.json", "activation.Tanh", "linear.Identity");
    assert!(!Tower::open(folder.path()).expect("a tower").config.projection_tanh);
}

#[test]
fn encoders_that_are_damaged_are_refused() {
    let of = |from: &str, to: &str| {
        let folder = copied("xlmr");
        change(&folder, "config.json", from, to);
        refused(Tower::open(folder.path()))
    };
    let (positions, name) =
        ("\"max_position_embeddings\": 26", "roberta.embeddings.position_embeddings.weight");
    let long = of(positions, "\"max_position_embeddings\": 514");
    assert!(
        long.contains(&format!("`{name}` has shape [26, 16]; `config.json` asks for [514, 16]")),
        "{long}"
    );
    let short = of(positions, "\"max_position_embeddings\": 4");
    assert!(
        short.contains("`max_position_embeddings` is 4, and its first 2 are of no token: a context of 2"),
        "{short}"
    );
    assert!(of(positions, "\"max_position_embeddings\": 1").contains("is 1, and positions begin at 2"));
    let relative = of("\"pad_token_id\"", "\"position_embedding_type\": \"relative_key\", \"pad_token_id\"");
    assert!(
        relative.contains("`position_embedding_type` is \"relative_key\"; expected \"absolute\""),
        "{relative}"
    );
    assert!(of("\"is_decoder\": false", "\"is_decoder\": true").contains("`is_decoder` is true"));
    assert!(of("\"type_vocab_size\": 1", "\"type_vocab_size\": 0").contains("`type_vocab_size` is 0"));
    let other = of("\"xlm-roberta\"", "\"mpnet\"");
    assert!(
        other.contains("has the architecture `mpnet`\nhint: text towers are read of CLIP")
            && other.contains("`camembert`")
    );
    assert!(
        of("\"xlm-roberta\"", "\"distilbert\"").contains("`distilbert.embeddings.word_embeddings.weight`")
    );

    let folder = copied("xlmr");
    let mut table = [0u8; 26 * 16 * 4];
    table[4 * 17..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    rewrite(&folder, name, Some((Dtype::F32, vec![26, 16], table.to_vec())));
    let text = refused(Tower::open(folder.path()));
    assert!(text.contains(&format!("model.safetensors`: `{name}` has NaN in row 1, column 1")), "{text}");

    let folder = copied("roberta");
    fs::remove_file(folder.path().join("model-00001-of-00002.safetensors")).expect("removed");
    assert!(refused(Tower::open(folder.path())).contains("of which are missing: `model-00001"));
}

#[test]
fn special_tokens_are_those_of_the_tokenizer() {
    let config = TowerConfig::read(&golden("xlmr/config.json")).expect("a configuration");
    let folder = copied("xlmr");
    let path = folder.path().join("tokenizer.json");
    let tokenizer = TowerTokenizer::open(&path, &config).expect("a tokenizer");
    assert_eq!((tokenizer.end(), tokenizer.unknown()), (2, Some(3)));
    assert_eq!(tokenizer.encode("de", &[""]).ids.rows, [0, 2]);
    let long = tokenizer.encode("de", &["Hund ".repeat(40).trim()]);
    assert_eq!((long.ids.length(0), long.ids.rows[23], long.truncated.len()), (24, 2, 1));
    for (name, unknown) in [("mbert", "[UNK]"), ("distilbert", "[UNK]"), ("roberta", "<unk>")] {
        let tokenizer = HuggingFace::open(&golden(name).join("tokenizer.json")).expect("a tokenizer");
        assert_eq!(tokenizer.unknown(), tokenizer.id(unknown), "{name}");
    }
    // None behind the text.
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    json["post_processor"]["single"].as_array_mut().expect("a template").pop();
    fs::write(&path, json.to_string()).expect("written");
    let text = refused(TowerTokenizer::open(&path, &config));
    assert!(text.contains("puts 1 special tokens before a text and 0 behind it"), "{text}");
    json["post_processor"] = serde_json::Value::Null;
    fs::write(&path, json.to_string()).expect("written");
    assert!(refused(TowerTokenizer::open(&path, &config)).contains("puts 0 special tokens"));
    // That of another model.
    let text = refused(TowerTokenizer::open(&golden("roberta/tokenizer.json"), &config));
    assert!(text.contains("has 300 tokens; the tower's embedding has "), "{text}");
}
