//! NumPy's `.npy`: versions 1 to 3, C order, little-endian f16 or f32, two axes.

use std::io::{self, Write};
use std::path::Path;

use half::f16;

use super::layout::{Layout, Number};
use crate::write::write_whole_with;
use crate::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads the header at the start of `bytes`, the whole file.
pub(super) fn layout(bytes: &[u8], file: &Path) -> Result<Layout> {
    let fault = |what: String| Error::data(what).at(file);
    if !bytes.starts_with(MAGIC) {
        let start = bytes[..bytes.len().min(6)].escape_ascii().to_string();
        return Err(fault(format!("is no .npy file: it begins with `{start}`, expected `\\x93NUMPY`"))
            .hint("write the features with `numpy.save`"));
    }
    let cut = || fault(format!("is cut short: {} bytes do not hold the header", bytes.len()));
    let (length, start) = match *bytes.get(6).ok_or_else(cut)? {
        1 => (bytes.get(8..10).map(|b| u16::from_le_bytes([b[0], b[1]]) as usize), 10),
        2 | 3 => (bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize), 12),
        other => return Err(fault(format!("is .npy version {other}; versions 1 to 3 can be read"))),
    };
    let offset = start + length.ok_or_else(cut)?;
    let header = String::from_utf8_lossy(bytes.get(start..offset).ok_or_else(cut)?);
    let number = number(&header, file)?;
    if field(&header, "fortran_order") != Some("False") {
        return Err(fault("is not in C order".into())
            .hint("save it with `numpy.save(file, numpy.ascontiguousarray(array))`"));
    }
    let (rows, width) = shape(&header, file)?;
    let held = bytes.len() - offset;
    let wanted = rows.checked_mul(width).and_then(|n| n.checked_mul(number.size()));
    if wanted != Some(held) {
        let state = if wanted.is_none_or(|w| w > held) { "is cut short" } else { "is too long" };
        return Err(fault(format!(
            "{state}: ({rows}, {width}) numbers of {} bytes do not make {held} bytes of data",
            number.size()
        ))
        .hint("copy or write the file again"));
    }
    Ok(Layout { number, offset, rows, width, ids: None })
}

/// The value of a key in the header, which is a Python dictionary such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let rest = header.split_once(&format!("'{key}':"))?.1.trim_start();
    let end = match rest.chars().next()? {
        '(' => rest.find(')')? + 1,
        '[' => rest.find(']')? + 1,
        '\'' => rest[1..].find('\'')? + 2,
        _ => rest.find([',', '}'])?,
    };
    Some(rest[..end].trim())
}

fn number(header: &str, file: &Path) -> Result<Number> {
    match field(header, "descr") {
        Some("'<f2'") => Ok(Number::F16),
        Some("'<f4'") => Ok(Number::F32),
        Some(other) => {
            Err(Error::data(format!("holds numbers of type {other}; `<f2` and `<f4` can be read"))
                .at(file)
                .hint("save it with `numpy.save(file, array.astype('<f4'))`"))
        }
        None => Err(Error::data("has a .npy header without `descr`").at(file)),
    }
}

fn shape(header: &str, file: &Path) -> Result<(usize, usize)> {
    let text = field(header, "shape").unwrap_or("nothing");
    let inside = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or_default();
    let sizes: Vec<_> = inside.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    match sizes[..] {
        [rows, width] => rows.parse().ok().zip(width.parse().ok()),
        _ => None,
    }
    .ok_or_else(|| {
        Error::data(format!("has the shape {text}, expected (pictures, width)"))
            .at(file)
            .hint("pool the features to one row a picture")
    })
}

/// Writes a matrix as f32.
///
/// The file appears whole or not at all: it is written beside `path`, synced and renamed.
///
/// # Panics
/// When `values` does not hold `rows * width` numbers.
pub fn write_npy(path: impl AsRef<Path>, rows: usize, width: usize, values: &[f32]) -> Result<()> {
    write(path.as_ref(), "<f4", (rows, width), values, |v| v.to_le_bytes())
}

/// As [`write_npy`], as f16: half the size, 3 digits. A number too large for f16 is an error.
///
/// # Panics
/// When `values` does not hold `rows * width` numbers.
pub fn write_npy_f16(path: impl AsRef<Path>, rows: usize, width: usize, values: &[f32]) -> Result<()> {
    let path = path.as_ref();
    let lost = |v: &f32| v.is_finite() && f16::from_f32(*v).is_infinite();
    if let Some(place) = values.iter().position(lost) {
        let (row, column) = (place / width, place % width);
        return Err(Error::run(format!(
            "row {row}, column {column}: {} does not fit into f16",
            values[place]
        ))
        .at(path)
        .hint("write f32, or scale the features down"));
    }
    write(path, "<f2", (rows, width), values, |v| f16::from_f32(v).to_le_bytes())
}

fn write<const N: usize>(
    path: &Path,
    descr: &str,
    (rows, width): (usize, usize),
    values: &[f32],
    bytes: impl Fn(f32) -> [u8; N],
) -> Result<()> {
    assert_eq!(values.len(), rows * width, "a matrix of {rows} rows of {width}");
    write_whole_with(path, |out| {
        write_header(out, descr, rows, width)?;
        values.iter().try_for_each(|&value| out.write_all(&bytes(value)))
    })
}

fn write_header(out: &mut dyn Write, descr: &str, rows: usize, width: usize) -> io::Result<()> {
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    // The data start at a multiple of 64 bytes, and the header ends with a line feed.
    let length = (10 + dictionary.len() + 1).next_multiple_of(64) - 10;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(length as u16).to_le_bytes())?;
    writeln!(out, "{dictionary:<width$}", width = length - 1)
}

/// Writes a matrix of f32 as a stream, some rows at a time; the number of rows must be known before.
pub struct NpyWriter<'a>(&'a mut dyn Write);

impl<'a> NpyWriter<'a> {
    pub fn new(out: &'a mut dyn Write, rows: usize, width: usize) -> io::Result<Self> {
        write_header(out, "<f4", rows, width)?;
        Ok(NpyWriter(out))
    }

    /// The next rows.
    pub fn write(&mut self, values: &[f32]) -> io::Result<()> {
        values.iter().try_for_each(|v| self.0.write_all(&v.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Features;
    use super::*;

    fn npy(version: u8, descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let dictionary = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = [MAGIC, &[version, 0]].concat();
        match version {
            1 => bytes.extend((dictionary.len() as u16).to_le_bytes()),
            _ => bytes.extend((dictionary.len() as u32).to_le_bytes()),
        }
        [&bytes, dictionary.as_bytes(), data].concat()
    }

    fn refusal(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.npy");
        fs::write(&file, bytes).unwrap();
        let error = Features::open(&[file]).unwrap_err();
        assert_eq!(error.exit_status(), 4);
        let text = error.to_string();
        assert!(text.contains("f.npy`: "), "{text}");
        text
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.npy");
        let values = [1.0, -2.5, 3e-3, 65504.0, 0.25, 7.0];
        write_npy(&file, 2, 3, &values).unwrap();
        let features = Features::open(std::slice::from_ref(&file)).unwrap();
        let mut row = [0.0; 3];
        for n in 0..2 {
            features.copy_row(n, &mut row);
            assert_eq!(row, values[3 * n..][..3]);
        }
        write_npy_f16(&file, 2, 3, &values).unwrap();
        let features = Features::open(std::slice::from_ref(&file)).unwrap();
        features.copy_row(0, &mut row);
        assert_eq!(row, [1.0, -2.5, f16::from_f32(3e-3).to_f32()]);
        // Nothing is left beside the file, and the data are aligned.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(layout(&fs::read(&file).unwrap(), &file).unwrap().offset % 64, 0);
    }

    #[test]
    fn a_stream_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.npy");
        write_npy(&file, 3, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let mut stream = Vec::new();
        let mut writer = NpyWriter::new(&mut stream, 3, 2).unwrap();
        writer.write(&[1.0, 2.0]).unwrap();
        writer.write(&[3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(stream, fs::read(&file).unwrap());
    }

    #[test]
    fn every_version_is_read() {
        let data: Vec<u8> = [1f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        for version in 1..=3 {
            let bytes = npy(version, "'<f4'", "False", "(1, 2)", &data);
            let layout = layout(&bytes, Path::new("f")).unwrap();
            assert_eq!((layout.rows, layout.width), (1, 2));
            assert_eq!(bytes[layout.offset..], data);
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let whole = npy(1, "'<f4'", "False", "(1, 2)", &[1; 8]);
        assert!(refusal(b"PK\x03\x04zip").contains("begins with `PK\\x03\\x04zi`"));
        assert!(refusal(&whole[..7]).contains("do not hold the header"));
        assert!(refusal(&whole[..40]).contains("do not hold the header"));
        assert!(refusal(&whole[..whole.len() - 1]).contains("is cut short: (1, 2)"));
        assert!(refusal(&[&whole[..], &[0]].concat()).contains("is too long"));
        assert!(refusal(&npy(4, "'<f4'", "False", "(1, 2)", &[1; 8])).contains("version 4"));
    }

    #[test]
    fn other_arrays_are_refused() {
        assert!(refusal(&npy(1, "'<f8'", "False", "(1, 1)", &[1; 8])).contains("'<f8'"));
        assert!(refusal(&npy(1, "'>f4'", "False", "(1, 2)", &[1; 8])).contains("'>f4'"));
        assert!(refusal(&npy(1, "[('a', '<f4')]", "False", "(1, 2)", &[1; 8])).contains("[('a', '<f4')]"));
        assert!(refusal(&npy(1, "'<f4'", "True", "(1, 2)", &[1; 8])).contains("ascontiguousarray"));
        assert!(refusal(&npy(1, "'<f4'", "False", "(2,)", &[1; 8])).contains("shape (2,)"));
        assert!(refusal(&npy(1, "'<f4'", "False", "(1, 1, 2)", &[1; 8])).contains("(pictures, width)"));
        let huge = format!("({}, 4)", usize::MAX);
        assert!(refusal(&npy(1, "'<f4'", "False", &huge, &[1; 8])).contains("cut short"));
    }

    #[test]
    fn numbers_beyond_f16_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_npy_f16(folder.path().join("f.npy"), 2, 2, &[1.0, 1.0, 1.0, 7e4]).unwrap_err();
        assert!(error.to_string().contains("row 1, column 1: 70000"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_npy(folder.path().join("absent/f.npy"), 1, 1, &[1.0]).unwrap_err();
        assert_eq!(error.exit_status(), 1);
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(write_npy(&taken, 1, 1, &[1.0]).unwrap_err().to_string().contains("cannot be written"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
