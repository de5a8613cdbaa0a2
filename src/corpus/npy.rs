//! NumPy's `.npy`: versions 1 to 3, two axes, floats or whole numbers in either order of bytes and of axes. Written are
//! f16 and f32, little-endian, in C order.

use std::io::{self, Write};
use std::path::Path;

use half::f16;

use super::header::{Literal, dictionary};
use super::layout::{Layout, Number};
use crate::write::write_whole_with;
use crate::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads the header at the start of `bytes`, the whole file.
pub(super) fn layout(bytes: &[u8], file: &Path) -> Result<Layout> {
    let fault = |what: String| Error::data(what).at(file);
    if !bytes.starts_with(MAGIC) {
        let start = bytes[..bytes.len().min(6)].escape_ascii().to_string();
        let hint = match start.starts_with("PK") {
            true => "it is an archive of arrays (.npz): save the one of the features with `numpy.save`",
            false => "write the features with `numpy.save`",
        };
        return Err(
            fault(format!("is no .npy file: it begins with `{start}`, expected `\\x93NUMPY`")).hint(hint)
        );
    }
    let cut = || fault(format!("is cut short: {} bytes do not hold the header", bytes.len()));
    let version = bytes.get(6..8).ok_or_else(cut)?;
    let (length, start) = match version {
        [1, 0] => (bytes.get(8..10).map(|b| u16::from_le_bytes([b[0], b[1]]) as usize), 10),
        [2 | 3, 0] => (bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize), 12),
        [major, minor, ..] => {
            return Err(fault(format!(
                "is .npy version {major}.{minor}; versions 1.0, 2.0 and 3.0 can be read"
            )));
        }
        _ => return Err(cut()),
    };
    let offset = length.ok_or_else(cut)?.saturating_add(start);
    let header = String::from_utf8_lossy(bytes.get(start..offset).ok_or_else(cut)?);
    let unreadable = || {
        let begin: String = header.trim().chars().take(120).collect();
        fault(format!("has a header that cannot be read: `{begin}`"))
            .hint("save it again with `numpy.save(file, numpy.load(file))`")
    };
    let entries = dictionary(&header).ok_or_else(unreadable)?;
    let value = |key: &str| match entries.iter().filter(|(k, _)| k == key).collect::<Vec<_>>()[..] {
        [(_, value)] if entries.len() == 3 => Ok(value),
        _ => Err(unreadable()),
    };
    let (number, big_endian) = number(value("descr")?, file)?;
    let &Literal::Truth(by_columns) = value("fortran_order")? else { return Err(unreadable()) };
    let (rows, width) = shape(value("shape")?, file)?;
    let (held, size) = (bytes.len() - offset, number.size());
    let wanted = rows.checked_mul(width).and_then(|n| n.checked_mul(size));
    if wanted != Some(held) {
        let state = if wanted.is_none_or(|w| w > held) { "is cut short" } else { "is too long" };
        let wanted = wanted.map_or("more than can be counted".to_string(), |w| w.to_string());
        return Err(fault(format!(
            "{state}: ({rows}, {width}) numbers of {size} bytes are {wanted} bytes, and {held} follow the header"
        ))
        .hint("copy or write the file again"));
    }
    Ok(Layout { big_endian, by_columns, ..Layout::new(number, offset, rows, width) })
}

/// The type of the numbers, and whether they are big-endian.
fn number(descr: &Literal, file: &Path) -> Result<(Number, bool)> {
    let name = match descr {
        Literal::Text(name) => name.as_str(),
        _ => "",
    };
    let big_endian = name.starts_with('>');
    let number = match name.trim_start_matches(['<', '>', '=', '|']) {
        "f2" | "e" | "float16" => Number::F16,
        "f4" | "f" | "float32" => Number::F32,
        "f8" | "d" | "float64" => Number::F64,
        "i1" | "b" | "int8" => Number::I8,
        "u1" | "B" | "uint8" => Number::U8,
        "i2" | "h" | "int16" => Number::I16,
        "u2" | "H" | "uint16" => Number::U16,
        "i4" | "i" | "int32" => Number::I32,
        "u4" | "I" | "uint32" => Number::U32,
        "i8" | "q" | "int64" => Number::I64,
        "u8" | "Q" | "uint64" => Number::U64,
        _ => {
            let found = match descr {
                Literal::Text(name) => format!("`{name}`"),
                _ => "several fields".to_string(),
            };
            let what = format!("holds numbers of type {found}; read are floats and whole numbers");
            return Err(Error::data(what)
                .at(file)
                .hint("save it with `numpy.save(file, numpy.load(file).astype('<f4'))`"));
        }
    };
    Ok((number, big_endian))
}

fn shape(shape: &Literal, file: &Path) -> Result<(usize, usize)> {
    let sizes: Option<Vec<usize>> = match shape {
        Literal::Several(all) => {
            all.iter().map(|n| if let Literal::Number(n) = n { Some(*n) } else { None }).collect()
        }
        _ => None,
    };
    match sizes.as_deref() {
        Some(&[rows, width]) => Ok((rows, width)),
        sizes => {
            let text = sizes.map_or("none".to_string(), |sizes| {
                format!("({})", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
            });
            Err(Error::data(format!("has the shape {text}, expected (pictures, width)"))
                .at(file)
                .hint("pool the features to one row a picture"))
        }
    }
}

/// Writes a matrix as f32.
///
/// The file appears whole or not at all: it is written beside `path`, synced and renamed.
///
/// # Panics
/// When `values` does not hold `rows * width` numbers.
///
/// # Errors
/// Run, where the file cannot be written.
pub fn write_npy(path: impl AsRef<Path>, rows: usize, width: usize, values: &[f32]) -> Result<()> {
    write(path.as_ref(), "<f4", (rows, width), values, |v| v.to_le_bytes())
}

/// As [`write_npy`], as f16: half the size, 3 digits. A number too large for f16 is an error.
///
/// # Panics
/// When `values` does not hold `rows * width` numbers.
///
/// # Errors
/// Run, naming row and column of a number that is too large; run, where the file cannot be written.
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

/// Writes a matrix as a stream, some rows at a time; the number of rows must be known before.
pub struct NpyWriter<'a> {
    out: &'a mut dyn Write,
    halves: bool,
}

impl<'a> NpyWriter<'a> {
    /// Writes the header of a matrix (rows, width) of f32.
    ///
    /// # Errors
    /// As `out` says.
    pub fn new(out: &'a mut dyn Write, rows: usize, width: usize) -> io::Result<Self> {
        write_header(out, "<f4", rows, width)?;
        Ok(NpyWriter { out, halves: false })
    }

    /// As [`Self::new`], of f16: for numbers from −65504 to 65504.
    ///
    /// # Errors
    /// As `out` says.
    pub fn halves(out: &'a mut dyn Write, rows: usize, width: usize) -> io::Result<Self> {
        write_header(out, "<f2", rows, width)?;
        Ok(NpyWriter { out, halves: true })
    }

    /// The next rows.
    ///
    /// # Errors
    /// As the output says.
    pub fn write(&mut self, values: &[f32]) -> io::Result<()> {
        match self.halves {
            false => values.iter().try_for_each(|v| self.out.write_all(&v.to_le_bytes())),
            true => values.iter().try_for_each(|v| self.out.write_all(&f16::from_f32(*v).to_le_bytes())),
        }
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
        let zip = refusal(b"PK\x03\x04zip");
        assert!(zip.contains("begins with `PK\\x03\\x04zi`") && zip.contains(".npz"), "{zip}");
        for length in [6, 7, 9, 40] {
            let text = refusal(&whole[..length]);
            assert!(text.contains(&format!("{length} bytes do not hold the header")), "{text}");
        }
        let short = refusal(&whole[..whole.len() - 1]);
        assert!(
            short.contains("is cut short: (1, 2) numbers of 4 bytes are 8 bytes, and 7 follow"),
            "{short}"
        );
        assert!(
            refusal(&[&whole[..], &[0]].concat())
                .contains("is too long: (1, 2) numbers of 4 bytes are 8 bytes, and 9")
        );
        assert!(refusal(&npy(4, "'<f4'", "False", "(1, 2)", &[1; 8])).contains("version 4.0"));
        let mut minor = whole.clone();
        minor[7] = 1;
        assert!(refusal(&minor).contains("version 1.1"));
        assert!(
            refusal(&npy(1, "'<f4'", "False", "(1, -2)", &[1; 8])).contains("header that cannot be read")
        );
        assert!(refusal(&npy(1, "'<f4'", "0", "(1, 2)", &[1; 8])).contains("header that cannot be read"));
        assert!(refusal(&npy(1, "'<f4', 'more': 1", "False", "(1, 2)", &[1; 8])).contains("cannot be read"));
    }

    /// NumPy 2.4 reads each of these as [[1, 2, 3], [4, 5, 6]], or says how to convert it; headers as in `header.rs`.
    #[test]
    fn other_types_and_orders_are_converted() {
        let values = [1u8, 2, 3, 4, 5, 6];
        let columns = [1u8, 4, 2, 5, 3, 6];
        let stored = |descr: &str, values: [u8; 6]| -> Vec<u8> {
            let one = |v: u8| -> Vec<u8> {
                match descr {
                    "<f2" | "e" => f16::from_f32(v.into()).to_le_bytes().to_vec(),
                    ">f2" => f16::from_f32(v.into()).to_be_bytes().to_vec(),
                    "<f4" | "=f4" | "float32" => f32::from(v).to_le_bytes().to_vec(),
                    ">f4" => f32::from(v).to_be_bytes().to_vec(),
                    "<f8" => f64::from(v).to_le_bytes().to_vec(),
                    ">f8" => f64::from(v).to_be_bytes().to_vec(),
                    "|u1" | "|i1" => vec![v],
                    "<i2" | "<u2" => u16::from(v).to_le_bytes().to_vec(),
                    ">i2" => u16::from(v).to_be_bytes().to_vec(),
                    "<i4" | "<u4" | "int32" => u32::from(v).to_le_bytes().to_vec(),
                    ">u4" => u32::from(v).to_be_bytes().to_vec(),
                    "<i8" | "<u8" | "int64" => u64::from(v).to_le_bytes().to_vec(),
                    ">i8" => u64::from(v).to_be_bytes().to_vec(),
                    other => panic!("{other}"),
                }
            };
            values.into_iter().flat_map(one).collect()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.npy");
        for descr in [
            "<f2", ">f2", "e", "<f4", ">f4", "=f4", "float32", "<f8", ">f8", "|u1", "|i1", "<i2", ">i2",
            "<u2", "<i4", "<u4", "int32", ">u4", "<i8", "<u8", "int64", ">i8",
        ] {
            for (order, values) in [("False", values), ("True", columns)] {
                fs::write(&file, npy(1, &format!("'{descr}'"), order, "(2L, 3L)", &stored(descr, values)))
                    .unwrap();
                let features = Features::open(std::slice::from_ref(&file)).unwrap();
                let mut row = [0.0; 3];
                features.copy_row(0, &mut row);
                assert_eq!(row, [1.0, 2.0, 3.0], "{descr} {order}");
                features.copy_row(1, &mut row);
                assert_eq!(row, [4.0, 5.0, 6.0], "{descr} {order}");
            }
        }
    }

    #[test]
    fn other_arrays_are_refused() {
        for descr in ["'|b1'", "'<c8'", "'<V2'", "'<U3'", "'|O'"] {
            let text = refusal(&npy(1, descr, "False", "(1, 1)", &[1; 8]));
            let name = descr.trim_matches('\'');
            assert!(text.contains(&format!("numbers of type `{name}`")), "{text}");
            assert!(text.contains("numpy.load(file).astype('<f4')"), "{text}");
        }
        assert!(refusal(&npy(1, "[('a', '<f4')]", "False", "(1, 2)", &[1; 8])).contains("several fields"));
        assert!(refusal(&npy(1, "'<f4'", "False", "(2,)", &[1; 8])).contains("shape (2)"));
        assert!(refusal(&npy(1, "'<f4'", "False", "()", &[1; 4])).contains("shape ()"));
        assert!(refusal(&npy(1, "'<f4'", "False", "(1, 1, 2)", &[1; 8])).contains("(pictures, width)"));
        let huge = format!("({}, 4)", usize::MAX);
        assert!(refusal(&npy(1, "'<f4'", "False", &huge, &[1; 8])).contains("cut short"));
        let lost: Vec<u8> = [1e300f64, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(
            refusal(&npy(1, "'<f8'", "False", "(1, 2)", &lost)).contains("column 0 (both from 0) is inf")
        );
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
