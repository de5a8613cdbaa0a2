use std::fs;
use std::path::{Path, PathBuf};

use half::bf16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tempfile::TempDir;

use super::*;
use crate::Result;
use crate::config::{Precision, TrainConfig};
use crate::gradcheck::{by_name, probe};
use crate::optim::{freeze, thaw, trained_count};

fn golden(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("tests/golden/towers")
        .join(name)
}

/// A copy of a checkpoint that make.py wrote.
fn copied(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in fs::read_dir(golden(name)).expect("a checkpoint") {
        let file = file.expect("a file").path();
        fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("copied");
    }
    folder
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
    assert!(text.contains("special"), "{text}");
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
        ["clip", "mbert"].into_iter().flat_map(|c| [embeddings, last, part].map(|t| (c, t)))
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
    for (checkpoint, tables) in [("clip", 2), ("mbert", 3)] {
        let (mut tower, sentences) = opened(checkpoint);
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
