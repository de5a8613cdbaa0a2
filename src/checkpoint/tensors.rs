//! Whole files and named tensors: what run folders are made of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{DAMAGED, VERSION};
use crate::numbers::{Encoded, Format, PART, Rows};
use crate::write::write_whole;
use crate::{Error, Result, checksum, finite};

/// A tensor on its way into a file.
pub struct Stored<'a> {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    /// A tensor of this shape, with as many floats row by row.
    pub fn floats(name: &str, shape: &[usize], x: impl Into<Cow<'a, [f32]>>) -> Self {
        let bytes = match x.into() {
            Cow::Borrowed(x) => Cow::Borrowed(bytemuck::cast_slice(x)),
            Cow::Owned(x) => Cow::Owned(bytemuck::cast_slice(&x).to_vec()),
        };
        Stored { name: name.into(), shape: shape.to_vec(), dtype: Dtype::F32, bytes }
    }

    /// A matrix or a vector in a format: the tensor of the name and, as the format needs them, its scales and centres beside it.
    pub fn of(format: Format, name: &str, shape: &[usize], x: impl Into<Cow<'a, [f32]>>) -> Vec<Self> {
        let (x, format): (Cow<[f32]>, Format) = match shape {
            &[rows, columns] => (x.into(), format.of_matrix(rows, columns)),
            _ => {
                let x = x.into();
                let format = format.of_vector(&x);
                (x, format)
            }
        };
        if format == Format::F32 {
            return vec![Self::floats(name, shape, x)];
        }
        let (rows, columns) = if let &[rows, columns] = shape { (rows, columns) } else { (1, x.len()) };
        let Encoded { codes, scales, centres, .. } = format.encode(rows, columns, &x);
        let bytes = |name: String, shape: &[usize], dtype: Dtype, bytes: Vec<u8>| Stored {
            name,
            shape: shape.to_vec(),
            dtype,
            bytes: Cow::Owned(bytes),
        };
        let side = |part: &str| format!("{name}{part}");
        let mut all = match format {
            Format::F32 | Format::F16 => return vec![bytes(name.into(), shape, Dtype::F16, codes)],
            Format::Int8 => vec![
                bytes(name.into(), &[rows, columns], Dtype::I8, codes),
                bytes(side(SCALE), &[rows], Dtype::F32, scales),
            ],
            Format::Int4 => vec![
                bytes(name.into(), &[rows, columns / 2], Dtype::U8, codes),
                bytes(side(SCALE), &[rows, format.scale_bytes(columns) / 2], Dtype::F16, scales),
            ],
            Format::Pq => vec![
                bytes(name.into(), &[rows, columns / PART], Dtype::U8, codes),
                bytes(side(SCALE), &[rows], Dtype::F32, scales),
            ],
        };
        if !centres.is_empty() {
            all.push(bytes(side(CENTRES), &[centres.len() / 4 / PART, PART], Dtype::F32, centres));
        }
        all
    }

    /// Bytes as they are: shape (n), type `u8`.
    pub fn bytes(name: &str, bytes: Vec<u8>) -> Self {
        Stored { name: name.into(), shape: vec![bytes.len()], dtype: Dtype::U8, bytes: Cow::Owned(bytes) }
    }

    /// What it is called in its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is, by another name.
    pub fn named(self, name: String) -> Self {
        Stored { name, ..self }
    }

    /// Adds its name, type, shape and bytes to a hash.
    pub fn digest(&self, hash: &mut Sha256) {
        hash.update(format!("{} {:?} {:?}\n", self.name, self.dtype, self.shape));
        hash.update(&self.bytes);
    }

    /// A vector of whole numbers: shape (n), type `u32`.
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

/// What the tensors beside a quantised matrix are called by, after its name.
const SCALE: &str = ":scale";
const CENTRES: &str = ":centres";
/// Formats with scales.
const QUANTISED: [Format; 3] = [Format::Int8, Format::Int4, Format::Pq];

/// Where a file says its checksum: that of all its bytes, with zeros in place of these digits.
const CHECKSUM: &str = "crc32";
const UNKNOWN: &str = "00000000";

/// As `write_tensors`, with keys and values about the file.
///
/// # Errors
/// Run, where the file cannot be written.
pub fn write_tensors_with(path: &Path, tensors: Vec<Stored>, about: &[(&str, &str)]) -> Result<()> {
    let views = tensors.iter().map(|t| (t.name.clone(), t));
    let mut bytes = safetensors::serialize(views, None)
        .map_err(|e| Error::run("cannot be written").at(path).because(e))?;
    let version = VERSION.to_string();
    let ours = [("tinyglot", &version[..]), (CHECKSUM, UNKNOWN)];
    let about: BTreeMap<&str, &str> = about.iter().copied().chain(ours).collect();
    describe(&mut bytes, &about);
    let place = digits(&bytes, UNKNOWN).expect("the header was just written");
    let checksum = checksum::of(&bytes);
    bytes[place..place + UNKNOWN.len()].copy_from_slice(checksum.as_bytes());
    write_whole(path, &bytes)
}

/// Where in a file the digits of its checksum are.
fn digits(file: &[u8], checksum: &str) -> Option<usize> {
    let (length, rest) = file.split_first_chunk()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let before = format!("\"{CHECKSUM}\":\"");
    let entry = format!("{before}{checksum}\"");
    let place = header.windows(entry.len()).position(|part| part == entry.as_bytes())?;
    Some(length.len() + place + before.len())
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

/// A safetensors file that [`write_tensors_with`] wrote, mapped.
pub struct TensorFile {
    path: PathBuf,
    map: Arc<crate::map::Map>,
}

impl TensorFile {
    /// Opens a file and compares it with its checksum; the files of earlier programs have none.
    ///
    /// # Errors
    /// Data: not there, not whole, of another version, or not as it was written.
    pub fn open(path: &Path) -> Result<Self> {
        let map = crate::map::Map::open(path).map_err(|e| e.hint(DAMAGED))?;
        let this = TensorFile { path: path.to_path_buf(), map: Arc::new(map) };
        this.parse()?;
        this.check_version()?;
        this.check_sum()?;
        Ok(this)
    }

    fn check_version(&self) -> Result<()> {
        // Foreign files, and the first of our own, say nothing.
        match self.about("tinyglot") {
            Some(version) if version != VERSION.to_string() => {
                let what = format!("is of version {version}; this program reads version {VERSION}");
                Err(Error::data(what).at(&self.path).hint("use the program that wrote it, or make it anew"))
            }
            _ => Ok(()),
        }
    }

    fn check_sum(&self) -> Result<()> {
        let Some(written) = self.about(CHECKSUM) else { return Ok(()) };
        let found = match digits(&self.map, &written) {
            Some(at) => {
                let (before, from) = self.map.split_at(at);
                checksum::of_parts(&[
                    before,
                    UNKNOWN.as_bytes(),
                    from.get(UNKNOWN.len()..).unwrap_or_default(),
                ])
            }
            None => "not where it was written".into(),
        };
        if found == written { Ok(()) } else { Err(checksum::differs(&found, &written).at(&self.path)) }
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

    /// The names of all tensors; the scales and centres of quantised ones are parts of them.
    pub fn names(&self) -> Vec<String> {
        let own = |name: &&str| !name.contains(':');
        self.parse()
            .map(|t| t.names().into_iter().filter(own).map(|n| n.to_string()).collect())
            .unwrap_or_default()
    }

    /// The checksum of the whole file.
    pub fn sum(&self) -> String {
        checksum::of(&self.map)
    }

    /// Numbers in the file, of all tensors, whatever their type or format.
    ///
    /// # Errors
    /// Data, where the header cannot be read.
    pub fn count(&self) -> Result<usize> {
        let all = self.parse()?;
        let count = |name: &String| {
            let tensor = all.tensor(name).ok()?;
            let numbers: usize = tensor.shape().iter().product();
            Some(
                self.format(&all, name, &tensor)
                    .map_or(numbers, |format| format.columns(tensor.data().len())),
            )
        };
        Ok(self.names().iter().filter_map(count).sum())
    }

    /// The format of a tensor of floats; nothing, where it is of whole numbers.
    fn format(&self, all: &SafeTensors, name: &str, tensor: &TensorView) -> Option<Format> {
        let beside = |part: &str| all.tensor(&format!("{name}{part}")).is_ok();
        match tensor.dtype() {
            Dtype::F32 => Some(Format::F32),
            Dtype::F16 => Some(Format::F16),
            Dtype::I8 if beside(SCALE) => Some(Format::Int8),
            Dtype::U8 if beside(CENTRES) => Some(Format::Pq),
            Dtype::U8 if beside(SCALE) => Some(Format::Int4),
            _ => None,
        }
    }

    fn tensor<'t>(&self, all: &'t SafeTensors<'t>, name: &str, types: &[Dtype]) -> Result<TensorView<'t>> {
        let tensor = all.tensor(name).map_err(|_| {
            Error::data(format!("the tensor `{name}` is missing"))
                .at(&self.path)
                .hint("the run is damaged, or its `config.toml` was changed")
        })?;
        if !types.contains(&tensor.dtype()) {
            return Err(Error::data(format!("`{name}` is {:?}, not {:?}", tensor.dtype(), types[0]))
                .at(&self.path)
                .hint(DAMAGED));
        }
        Ok(tensor)
    }

    /// The numbers of a tensor and its shape, in f32, whatever format they are kept in.
    ///
    /// # Errors
    /// Data: missing, of another type, with parts that do not fit together, or with a number that is not finite.
    pub fn floats(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        let all = self.parse()?;
        if let Some(rows) = self.rows_of(&all, name, &QUANTISED)? {
            return Ok((rows.all(), vec![rows.rows(), rows.columns()]));
        }
        let tensor = self.tensor(&all, name, &[Dtype::F32, Dtype::F16])?;
        let numbers: Vec<f32> = match tensor.dtype() {
            Dtype::F16 => {
                let halves = tensor.data().as_chunks().0.iter();
                halves.map(|half| f16::from_le_bytes(*half).to_f32()).collect()
            }
            _ => bytemuck::pod_collect_to_vec(tensor.data()),
        };
        let shape = tensor.shape().to_vec();
        finite::check(&self.path, name, &shape, &numbers)?;
        Ok((numbers, shape))
    }

    /// The rows of a matrix in less than f32, to be read as they are asked for: the file stays mapped. Nothing for what is no such matrix.
    ///
    /// # Errors
    /// As [`Self::floats`].
    pub fn rows(&self, name: &str) -> Result<Option<Rows>> {
        self.rows_of(&self.parse()?, name, &Format::ALL[1..])
    }

    fn rows_of(&self, all: &SafeTensors, name: &str, formats: &[Format]) -> Result<Option<Rows>> {
        let Ok(tensor) = all.tensor(name) else { return Ok(None) };
        let (Some(format), &[rows, bytes]) = (self.format(all, name, &tensor), tensor.shape()) else {
            return Ok(None);
        };
        if !formats.contains(&format) {
            return Ok(None);
        }
        // Those of the last dimension, whatever their type.
        let bytes = bytes * if format == Format::F16 { 2 } else { 1 };
        let place = |tensor: &TensorView| {
            let first = tensor.data().as_ptr() as usize - self.map.as_ptr() as usize;
            first..first + tensor.data().len()
        };
        let side = |part: &str, dtype: Dtype| match all.tensor(&format!("{name}{part}")) {
            Ok(tensor) if tensor.dtype() == dtype => place(&tensor),
            _ => 0..0,
        };
        let scale = if format == Format::Int4 { Dtype::F16 } else { Dtype::F32 };
        let parts = [place(&tensor), side(SCALE, scale), side(CENTRES, Dtype::F32)];
        let file = (self.path.as_path(), self.map.clone());
        Rows::new(file, name, format, [rows, format.columns(bytes)], parts).map(Some)
    }

    /// All tensors as they are kept, in the order of their names; scales and centres come as tensors of their own.
    ///
    /// # Errors
    /// Data, where the header cannot be read.
    pub fn stored(&self) -> Result<Vec<Stored<'static>>> {
        let all = self.parse()?;
        let stored = |(name, tensor): (String, TensorView)| Stored {
            name,
            shape: tensor.shape().to_vec(),
            dtype: tensor.dtype(),
            bytes: Cow::Owned(tensor.data().to_vec()),
        };
        let mut stored: Vec<Stored> = all.tensors().into_iter().map(stored).collect();
        stored.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(stored)
    }

    /// The bytes of a tensor that [`Stored::bytes`] made.
    ///
    /// # Errors
    /// Data: missing, or of another type.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.tensor(&self.parse()?, name, &[Dtype::U8])?.data().to_vec())
    }

    /// The whole numbers of a tensor, row by row.
    ///
    /// # Errors
    /// Data: missing, or of another type.
    pub fn words(&self, name: &str) -> Result<Vec<u32>> {
        Ok(bytemuck::pod_collect_to_vec(self.tensor(&self.parse()?, name, &[Dtype::U32])?.data()))
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
        write_tensors(&file, Stored::of(Format::F16, "h", &[3], vec![1.5, -0.1, 65504.0])).expect("written");
        let (halves, shape) = TensorFile::open(&file).expect("read").floats("h").expect("floats");
        assert_eq!((&halves[..], &shape[..]), (&[1.5, -0.099_975_586, 65504.0][..], &[3][..]));
        let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        assert_eq!(header % 8, 0, "what follows the header is aligned");
        write(&[]);
        assert_eq!(TensorFile::open(&file).expect("read").words("a").expect("words"), [7, 8, 9]);
    }

    #[test]
    fn matrices_in_every_format_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.safetensors");
        let x: Vec<f32> = (0..600 * 64).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
        for format in Format::ALL {
            let mut tensors = Stored::of(format, "m", &[600, 64], &x[..]);
            tensors.extend(Stored::of(format, "v", &[6], &x[..6]));
            write_tensors(&file, tensors).expect("written");
            let read = TensorFile::open(&file).expect("read");
            let expected = format.encode(600, 64, &x).decode(64);
            assert_eq!(read.floats("m").expect("floats"), (expected.clone(), vec![600, 64]), "{format:?}");
            assert_eq!(read.floats("v").expect("floats").1, [6]);
            assert_eq!((read.count().expect("a count"), read.names().len()), (38_406, 2));
            let rows = read.rows("m").expect("rows");
            assert_eq!(rows.is_some(), format != Format::F32);
            drop(read);
            for (rows, row) in rows.iter().flat_map(|rows| [0, 7, 599].map(|row| (rows, row))) {
                let mut out = [0.0; 64];
                rows.read(row, &mut out);
                assert_eq!(out, expected[row * 64..][..64], "a mapped file outlives what opened it");
            }
        }
        assert!(TensorFile::open(&file).expect("read").rows("none").expect("nothing").is_none());
    }

    #[test]
    fn quantised_matrices_whose_parts_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.safetensors");
        let x = vec![0.5; 600 * 64];
        let refusal = |format: Format, change: &dyn Fn(&mut Vec<Stored>)| {
            let mut tensors = Stored::of(format, "m", &[600, 64], &x[..]);
            change(&mut tensors);
            write_tensors(&file, tensors).expect("written");
            let read = TensorFile::open(&file).expect("whole");
            let text = read.floats("m").expect_err("refused").to_string();
            assert!(read.rows("m").is_err() || text.contains("not F32"), "{text}");
            assert!(text.contains("a.safetensors`: `m` "), "{text}");
            text
        };
        for format in [Format::Int8, Format::Int4, Format::Pq] {
            let short = refusal(format, &|tensors| {
                tensors[1].shape =
                    vec![tensors[1].bytes.len() / 2 / if format == Format::Int4 { 2 } else { 4 }];
                let half = tensors[1].bytes.len() / 2;
                tensors[1].bytes.to_mut().truncate(half);
            });
            assert!(short.contains("has numbers, scales and centres of"), "{short}");
            // Two scales of two bytes a row, or one of four.
            let wrong = refusal(format, &|tensors| tensors[1].bytes.to_mut()[1000..1004].fill(0xff));
            assert!(wrong.contains("not finite in row 250 (from 0)"), "{wrong}");
            let gone = refusal(format, &|tensors| tensors.truncate(1));
            assert!(gone.contains("is I8, not F32") || gone.contains("is U8, not F32"), "{gone}");
        }
        let centres = refusal(Format::Pq, &|tensors| tensors[2].bytes.to_mut()[..4].fill(0xff));
        assert!(centres.contains("has a centre that is not finite"), "{centres}");
    }

    #[test]
    fn several_codebooks_are_read_as_they_were_written_and_half_of_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.safetensors");
        // Few distinct parts, each a centre.
        let x: Vec<f32> = (0..8192 * 32).map(|n| (n / 4 % 7) as f32 - 3.0).collect();
        let stored = || Stored::of(Format::Pq, "m", &[8192, 32], &x[..]);
        let mut tensors = stored();
        assert_eq!((tensors[2].bytes.len(), &tensors[2].shape[..]), (2 * 4096, &[512, 4][..]));
        write_tensors(&file, stored()).expect("written");
        let rows = TensorFile::open(&file).expect("read").rows("m").expect("rows").expect("a matrix");
        let mut row = vec![0.0; 32];
        for (n, expected) in x.chunks(32).enumerate() {
            rows.read(n, &mut row);
            assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{n}: {row:?} {expected:?}");
        }
        tensors[2].bytes.to_mut().truncate(6144);
        tensors[2].shape = vec![384, 4];
        write_tensors(&file, tensors).expect("written");
        let refused =
            TensorFile::open(&file).and_then(|file| file.rows("m")).expect_err("refused").to_string();
        assert!(refused.contains("has numbers, scales and centres of"), "{refused}");
    }

    /// Writes a file, changes it, and gives what opening it and reading `w` says.
    fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.safetensors");
        write_tensors(&file, vec![Stored::floats("w", &[2, 2], vec![1.0, 2.0, 3.0, 4.0])]).expect("written");
        let mut bytes = std::fs::read(&file).expect("read");
        change(&mut bytes);
        std::fs::write(&file, bytes).expect("written");
        match TensorFile::open(&file).and_then(|file| file.floats("w")) {
            Ok(_) => "read".into(),
            Err(e) => e.to_string(),
        }
    }

    /// Takes the checksum out of a file, as earlier programs wrote it: another key of the same length.
    fn without_checksum(bytes: &mut [u8]) {
        let at = bytes.windows(5).position(|part| part == CHECKSUM.as_bytes()).expect("a checksum");
        bytes[at..at + 5].copy_from_slice(b"other");
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        assert_eq!(refusal(|_| ()), "read");
        let mut length = 0;
        refusal(|bytes| length = bytes.len());
        for at in 0..length {
            let text = refusal(|bytes| bytes[at] ^= 1 << (at % 8));
            // In the name of the key there is no checksum to compare with; all else is as it was.
            assert!(text == "read" || text.contains("a.safetensors`: "), "{at}: {text}");
            if at >= length - 16 {
                assert!(text.contains("is not as it was written: its checksum is"), "{at}: {text}");
            }
        }
    }

    #[test]
    fn a_file_without_a_checksum_is_read_and_its_numbers_are_looked_at() {
        assert_eq!(refusal(|bytes| without_checksum(bytes)), "read");
        for value in [f32::NAN, f32::INFINITY] {
            let text = refusal(|bytes| {
                without_checksum(bytes);
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&value.to_le_bytes());
            });
            assert!(text.contains("a.safetensors`: `w` has "), "{text}");
            assert!(text.contains(" in row 1, column 1 (both from 0)"), "{text}");
        }
    }

    #[test]
    fn another_version_is_refused_before_all_else() {
        let text = refusal(|bytes| {
            let key = b"\"tinyglot\":\"1";
            let at = bytes.windows(key.len()).position(|part| part == key).expect("a version");
            bytes[at + key.len() - 1] = b'7';
        });
        assert!(text.contains("a.safetensors`: is of version 7; this program reads version 1"), "{text}");
    }
}
