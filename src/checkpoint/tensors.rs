//! Whole files and named tensors: what run folders are made of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, View};
use serde_json::{Map, Value, json};

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
    let mut bytes = safetensors::serialize(views, None)
        .map_err(|e| Error::run("cannot be written").at(path).because(e))?;
    let version = VERSION.to_string();
    let about: BTreeMap<&str, &str> = about.iter().copied().chain([("tinyglot", &version[..])]).collect();
    describe(&mut bytes, &about);
    write_whole(path, &bytes)
}

/// Puts metadata into a file without any, in the order of their keys: `safetensors` would write them in that of a `HashMap`,
/// another one every time.
fn describe(file: &mut Vec<u8>, about: &BTreeMap<&str, &str>) {
    let (length, rest) = file.split_first_chunk().expect("a file begins with the length of its header");
    let end = u64::from_le_bytes(*length) as usize;
    let tensors: Map<String, Value> = serde_json::from_slice(&rest[..end]).expect("a header is JSON");
    let mut header = Map::from_iter([("__metadata__".to_string(), json!(about))]);
    header.extend(tensors);
    let mut header = serde_json::to_vec(&header).expect("plain data");
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = header.len() as u64;
    file.splice(..8 + end, length.to_le_bytes().into_iter().chain(header));
}

/// A safetensors file, mapped.
pub struct TensorFile {
    path: PathBuf,
    map: crate::map::Map,
}

impl TensorFile {
    pub fn open(path: &Path) -> Result<Self> {
        let map = crate::map::Map::open(path).map_err(|e| e.hint(DAMAGED))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tensors_make_the_same_bytes_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.safetensors");
        let about = [("kind", "acquirer"), ("language", "de"), ("base", "\"a\\b"), ("and", "more")];
        let write = |about: &[(&str, &str)]| {
            let tensors = vec![Stored::floats("b", &[2, 1], vec![1.5, -2.0]), Stored::words("a", &[7, 8, 9])];
            write_tensors_with(&file, tensors, about).expect("written");
            std::fs::read(&file).expect("read")
        };
        let bytes = write(&about);
        assert!((0..20).all(|_| write(&about) == bytes));
        let turned: Vec<_> = about.into_iter().rev().collect();
        assert!(write(&turned) == bytes, "whatever order they are given in");
        let read = TensorFile::open(&file).expect("read");
        assert!(about.iter().all(|(key, value)| read.about(key).as_deref() == Some(value)));
        assert_eq!(read.about("tinyglot"), Some(VERSION.to_string()));
        assert_eq!(read.floats("b").expect("floats"), (vec![1.5, -2.0], vec![2, 1]));
        assert_eq!(read.words("a").expect("words"), [7, 8, 9]);
        let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        assert_eq!(header % 8, 0, "what follows the header is aligned");
        write(&[]);
        assert_eq!(TensorFile::open(&file).expect("read").words("a").expect("words"), [7, 8, 9]);
    }
}
