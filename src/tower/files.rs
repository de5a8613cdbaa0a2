//! The tensors of a checkpoint: `model.safetensors`, or shards and their index.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::TowerConfig;
use super::modules::Modules;
use super::names::PROJECTION;
use crate::checksum::sha256;
use crate::map::Map;
use crate::{Error, Result, finite};

/// Mapped files and which of them holds each tensor.
pub struct Tensors {
    files: Vec<(PathBuf, Map)>,
    /// Which file each is in, and its name there.
    place: BTreeMap<String, (usize, String)>,
    folder: PathBuf,
    /// The tensors that were read.
    read: RefCell<BTreeSet<String>>,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Tensors {
    /// Opens the files of a folder.
    ///
    /// # Errors
    /// Data, where there is no such file, one is not whole, or shards of the index are missing.
    pub fn open(folder: &Path) -> Result<Self> {
        let (single, index) = (folder.join("model.safetensors"), folder.join("model.safetensors.index.json"));
        let names = if single.exists() {
            vec!["model.safetensors".to_string()]
        } else if index.exists() {
            shards(folder, &index)?
        } else {
            let hint = if folder.join("pytorch_model.bin").exists() {
                "only safetensors are read: load it with transformers and `save_pretrained` it again"
            } else {
                "give the folder of a checkpoint: config.json, model.safetensors, tokenizer.json"
            };
            return Err(Error::data("there is no `model.safetensors` here").at(folder).hint(hint));
        };
        let mut tensors = Tensors {
            files: Vec::new(),
            place: BTreeMap::new(),
            folder: folder.to_path_buf(),
            read: RefCell::default(),
        };
        for name in names {
            tensors.add(folder.join(name), str::to_string)?;
        }
        Ok(tensors)
    }

    /// As [`Self::open`], of a text tower: with those of the dense layer that sentence-transformers keeps beside it.
    ///
    /// # Errors
    /// As [`Self::open`]; data, for a configuration or modules that cannot be read.
    pub fn of_text(folder: &Path) -> Result<Self> {
        let config = TowerConfig::read(&folder.join("config.json"))?;
        let mut tensors = Self::open(folder)?;
        if let Some(dense) = Modules::of(folder, config.architecture)?.and_then(|modules| modules.dense) {
            let file = dense.folder.join("model.safetensors");
            if !file.exists() {
                return Err(Error::data("there is no `model.safetensors` here").at(&dense.folder).hint(
                    "only safetensors are read: load it with sentence-transformers and `save` it again",
                ));
            }
            tensors.add(file, |name| name.replacen("linear", PROJECTION, 1))?;
        }
        Ok(tensors)
    }

    /// The tensors of another file, by new names.
    fn add(&mut self, path: PathBuf, name: impl Fn(&str) -> String) -> Result<()> {
        let map = Map::open(&path)?;
        for own in parse(&map, &path)?.names() {
            self.place.insert(name(own), (self.files.len(), own.to_string()));
        }
        self.files.push((path, map));
        Ok(())
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.place.contains_key(name)
    }

    /// The tensors that were not read, in the order of their names.
    pub fn unused(&self) -> Vec<String> {
        let read = self.read.borrow();
        self.place.keys().filter(|name| !read.contains(*name)).cloned().collect()
    }

    /// The numbers of a tensor, which must have this shape and be finite; f16 and bf16 become f32.
    ///
    /// # Errors
    /// Data: missing, of another shape or type, or with a number that is not finite.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Some((place, own)) = self.place.get(name) else {
            return Err(Error::data(format!("the tensor `{name}` is missing"))
                .at(&self.folder)
                .hint("the checkpoint is damaged, or `config.json` belongs to another one"));
        };
        let (path, map) = &self.files[*place];
        let tensors = parse(map, path)?;
        let tensor = tensors.tensor(own).map_err(|e| Error::data("cannot be read").at(path).because(e))?;
        if tensor.shape() != shape {
            let what = format!("`{own}` has shape {:?}; `config.json` asks for {shape:?}", tensor.shape());
            return Err(Error::data(what).at(path).hint("`config.json` belongs to another checkpoint"));
        }
        let numbers = numbers(&tensor).ok_or_else(|| {
            Error::data(format!("`{own}` is of type {:?}", tensor.dtype()))
                .at(path)
                .hint("save it as F32, F16 or BF16")
        })?;
        finite::check(path, own, shape, &numbers)?;
        self.read.borrow_mut().insert(name.to_string());
        Ok(numbers)
    }

    /// The SHA-256 of the files, one after the other: of one file, its own.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.files.iter().for_each(|(_, map)| hash.update(&map[..]));
        sha256(hash)
    }

    /// The tensors as one file, those of pictures left out.
    ///
    /// # Errors
    /// Data, where a tensor cannot be read.
    pub fn text_only(&self) -> Result<Vec<u8>> {
        let mut views = Vec::new();
        for (n, (path, map)) in self.files.iter().enumerate() {
            let text = |name: &str| {
                !["vision_model.", "visual_projection.", "logit_scale"].iter().any(|v| name.starts_with(v))
            };
            let parsed = parse(map, path)?;
            for (name, (_, own)) in self.place.iter().filter(|(name, (place, _))| *place == n && text(name)) {
                let view =
                    parsed.tensor(own).map_err(|e| Error::data("cannot be read").at(path).because(e))?;
                views.push((name.clone(), view));
            }
        }
        safetensors::serialize(views, None)
            .map_err(|e| Error::data("cannot be read").at(&self.folder).because(e))
    }
}

fn numbers(tensor: &TensorView) -> Option<Vec<f32>> {
    let two = |b: &[u8]| [b[0], b[1]];
    let bytes = tensor.data();
    Some(match tensor.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes(two(b)).to_f32()).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes(two(b)).to_f32()).collect(),
        _ => return None,
    })
}

fn parse<'a>(map: &'a Map, path: &Path) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(map).map_err(|e| {
        Error::data("is no whole safetensors file").at(path).because(e).hint("copy or download it again")
    })
}

/// The files that an index names, all of which must be there.
fn shards(folder: &Path, path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::reading(path, e))?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|e| Error::data("is no index of shards").at(path).line(e.line()).because(e))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1) {
        return Err(Error::data(format!("names `{name}`, which is no file beside it")).at(path));
    }
    let missing: Vec<String> =
        names.iter().filter(|n| !folder.join(n).is_file()).map(|n| format!("`{n}`")).collect();
    if !missing.is_empty() {
        let what = format!("names {} files, of which are missing: {}", names.len(), missing.join(", "));
        return Err(Error::data(what).at(path).hint("copy or download these files too"));
    }
    Ok(names.into_iter().collect())
}
