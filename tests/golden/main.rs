//! Our numbers beside PyTorch's: single operations, every loss and gradient of a small model, ten steps of training;
//! and the parameters by name. `make.py` wrote the files, `clc.py` those of the consistency of languages, `mining.py` those of LIWE's loss
//! with NumPy, `tasks.py`, `measures.py` and `space.py` those of evaluations with NumPy, SciPy and scikit-learn, `imitation.py` those of a student
//! beside a teacher. Beside transformers: text towers
//! (`towers/make.py`, `towers/encoders.py`), languages acquired on them (`towers/acquire.py`) and picture towers (`vision/make.py`, with Pillow's pictures).

mod acquired;
mod characters;
mod consistency;
mod imitation;
mod measures;
mod operations;
mod parameters;
mod space;
mod tasks;
mod towers;
mod training;
mod vision;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use tinyglot::config::{Config, EmbeddingKind};
use tinyglot::device::{Matrix, Scalar};
use tinyglot::family::smalr::embedding::HybridEmbedding;
use tinyglot::family::smalr::embedding::characters::{CharacterWords, Spellings};
use tinyglot::family::smalr::embedding::hybrid::OwnWords;
use tinyglot::family::smalr::model::Model;
use tinyglot::init::Init;
use tinyglot::loss::terms::Taped;
use tinyglot::loss::{Value, on_tape};
use tinyglot::ops::leaf::Leaf;
use tinyglot::ops::linear::LinearWeights;
use tinyglot::ops::rows::Table;
use tinyglot::ops::tape::{matrix, vector};

/// A file of `make.py`: tensors by name.
struct Golden(BTreeMap<String, Vec<u32>>);

fn file(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("tests/golden")
        .join(name)
}

impl Golden {
    fn read(name: &str) -> Golden {
        Self::of(&file(&format!("{name}.safetensors")))
    }

    fn of(path: &Path) -> Golden {
        let bytes = std::fs::read(path).expect("a file that a script wrote");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        // Floats and counts have four bytes each; the name says which of them a tensor holds.
        let words = |t: &safetensors::tensor::TensorView| {
            assert!([Dtype::F32, Dtype::U32].contains(&t.dtype()));
            bytemuck::pod_collect_to_vec(t.data())
        };
        Golden(tensors.iter().map(|(name, t)| (name.to_string(), words(&t))).collect())
    }

    fn counts(&self, name: &str) -> Vec<u32> {
        self.0.get(name).unwrap_or_else(|| panic!("make.py wrote no `{name}`")).clone()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        bytemuck::cast_vec(self.counts(name))
    }

    /// The rest of all names that start with `prefix`.
    fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().filter_map(move |name| name.strip_prefix(prefix))
    }
}

/// A model of the right shapes, its embedding all zeros.
fn blank(config: &Config, latents: usize, features: usize) -> Model {
    let e = config.embedding();
    let layer = || {
        LinearWeights::new(
            matrix(vec![0.0; e.width * e.word_width], e.width, e.word_width),
            vector(vec![0.0; e.width]),
        )
    };
    let own =
        || OwnWords { words: Table::new(e.word_width, vec![0.0; e.top_k * e.word_width]), layer: layer() };
    let spelled = e.kind == EmbeddingKind::Characters;
    let languages = if e.top_k > 0 && !spelled { config.data().languages.len() } else { 0 };
    // LIWE's alphabet has 101 entries, two of them special.
    let spellings = || Spellings::new(('a'..).take(99).collect(), e.characters.length);
    let characters = || CharacterWords::new(e, Arc::new(spellings()), &mut Init::new(0));
    let embedding = HybridEmbedding {
        latents: Table::new(e.width, vec![0.0; latents * e.width]),
        own: (0..languages).map(|_| own()).collect(),
        mask: (config.loss().mclm.lstm > 0.0).then(|| Leaf::trained(matrix(vec![0.0; e.width], 1, e.width))),
        characters: spelled.then(characters),
    };
    Model::new(config, embedding, features, 0)
}

/// Σ x · pull
fn pulled(x: Matrix<Taped>, pull: Vec<f32>) -> Scalar<Taped> {
    let value = |x: &[f32]| x.iter().zip(&pull).map(|(x, p)| x * p).sum();
    on_tape(x, |x| Value { value: value(x), grad: pull.clone() })
}

/// How much further than on the CPU numbers may lie that come of many steps or of a whole model: a GPU adds up in orders that depend on the
/// version of cuBLAS and on the shapes, and Adam's first steps make a full step of the sign of a gradient that is nearly zero. The emulated
/// GPU has one order of sums.
fn slack() -> f32 {
    let real = cfg!(feature = "cuda") && !tinyglot::device::name().starts_with("emulated");
    if real { 10.0 } else { 1.0 }
}

/// Fails unless all numbers are within `tolerance` of the expected ones, in units of the largest of these.
fn near(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    near_within(what, got, want, tolerance * want.iter().fold(0.0, |m, x| x.abs().max(m)));
}

fn near_within(what: &str, got: &[f32], want: &[f32], distance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= distance,
            "{what}, number {i}: {g}, PyTorch has {w}; more than {distance:e} apart"
        );
    }
}
