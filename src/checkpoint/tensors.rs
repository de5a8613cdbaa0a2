//! Whole files and named tensors: what run folders are made of.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, View};

use super::{DAMAGED, VERSION};
use crate::write::write_whole;
use crate::{Error, Result};

/// A tensor on its way into a file.
pub struct Stored<'a> {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    pub fn floats(name: &str, shape: &[usize], x: impl Into<Cow<'a, [f32]>>) -> Self {
        let bytes = match x.into() {
            Cow::Borrowed(x) => Cow::Borrowed(bytemuck::cast_slice(x)),
            Cow::Owned(x) => Cow::Owned(bytemuck::cast_slice(&x).to_vec()),
        };
        Stored { name: name.into(), shape: shape.to_vec(), dtype: Dtype::F32, bytes }
    }

    pub fn owned(name: &str, shape: &[usize], x: Vec<f32>) -> Stored<'static> {
        let bytes = Cow::Owned(bytemuck::cast_slice(&x).to_vec());
        Stored { name: name.into(), shape: shape.to_vec(), dtype: Dtype::F32, bytes }
    }

    pub fn words(name: &str, x: &'a [u32]) -> Self {
        Stored {
            name: name.into(),
            shape: vec![x.len()],
            dtype: Dtype::U32,
            bytes: Cow::Borrowed(bytemuck::cast_slice(x)),
        }
    }
}

impl View for &Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

pub fn write_tensors(path: &Path, tensors: Vec<Stored>) -> Result<()> {
    write_tensors_with(path, tensors, &[])
}

/// As `write_tensors`, with keys and values about the file.
pub fn write_tensors_with(path: &Path, tensors: Vec<Stored>, about: &[(&str, &str)]) -> Result<()> {
    let views = tensors.iter().map(|t| (t.name.clone(), t));
    let mut meta = HashMap::from([("tinyglot".to_string(), VERSION.to_string())]);
    meta.extend(about.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    let bytes = safetensors::serialize(views, Some(meta))
        .map_err(|e| Error::run("cannot be written").at(path).because(e))?;
    write_whole(path, &bytes)
}

/// A safetensors file, mapped.
pub struct TensorFile {
    path: PathBuf,
    map: Mmap,
}

impl TensorFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::reading(path, e).hint(DAMAGED))?;
        // SAFETY: the map is read only while this process holds it; run folders are replaced by renaming, not in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::reading(path, e))?;
        let this = TensorFile { path: path.to_path_buf(), map };
        this.parse()?;
        Ok(this)
    }

    fn parse(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.map).map_err(|e| {
            Error::data("not a whole safetensors file")
                .at(&self.path)
                .because(e)
                .hint("the run is damaged: copy it again, or resume from another checkpoint")
        })
    }

    /// What the file says about itself under a key.
    pub fn about(&self, key: &str) -> Option<String> {
        let (_, header) = SafeTensors::read_metadata(&self.map).ok()?;
        header.metadata().as_ref()?.get(key).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.parse().map(|t| t.names().into_iter().map(|n| n.to_string()).collect()).unwrap_or_default()
    }

    pub fn bytes(&self, name: &str, dtype: Dtype) -> Result<(Vec<u8>, Vec<usize>)> {
        let tensors = self.parse()?;
        let t = tensors.tensor(name).map_err(|_| {
            Error::data(format!("the tensor `{name}` is missing"))
                .at(&self.path)
                .hint("the run is damaged, or its `config.toml` was changed")
        })?;
        if t.dtype() != dtype {
            return Err(Error::data(format!("`{name}` is {:?}, not {dtype:?}", t.dtype()))
                .at(&self.path)
                .hint(DAMAGED));
        }
        Ok((t.data().to_vec(), t.shape().to_vec()))
    }

    pub fn floats(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        let (bytes, shape) = self.bytes(name, Dtype::F32)?;
        Ok((bytemuck::pod_collect_to_vec(&bytes), shape))
    }

    pub fn words(&self, name: &str) -> Result<Vec<u32>> {
        Ok(bytemuck::pod_collect_to_vec(&self.bytes(name, Dtype::U32)?.0))
    }
}
