//! Features in `.safetensors`: the tensor `features`, or the only one; optionally ids in the metadata.

use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use super::layout::{Layout, Number};
use crate::{Error, Result};

/// Reads the header at the start of `bytes`, the whole file.
///
/// Metadata may hold `ids`, a JSON list of one string a row.
pub(super) fn layout(bytes: &[u8], file: &Path) -> Result<Layout> {
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| {
        Error::data("is no whole .safetensors file").at(file).because(e).hint("copy or write the file again")
    })?;
    let name = tensor_name(&metadata, file)?;
    let tensor = metadata.info(&name).expect("the name is from the same header");
    let number = match tensor.dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::I8 => Number::I8,
        Dtype::U8 => Number::U8,
        Dtype::I16 => Number::I16,
        Dtype::U16 => Number::U16,
        Dtype::I32 => Number::I32,
        Dtype::U32 => Number::U32,
        Dtype::I64 => Number::I64,
        Dtype::U64 => Number::U64,
        other => {
            return Err(Error::data(format!("holds tensor `{name}` of type {other:?}"))
                .at(file)
                .hint("save it as F32, in PyTorch with `tensor.float()`"));
        }
    };
    let [rows, width] = tensor.shape[..] else {
        return Err(Error::data(format!(
            "holds tensor `{name}` of shape {:?}, expected (pictures, width)",
            tensor.shape
        ))
        .at(file)
        .hint("pool the features to one row a picture"));
    };
    let ids = match metadata.metadata().as_ref().and_then(|m| m.get("ids")) {
        Some(list) => Some(parse_ids(list, rows, file)?),
        None => None,
    };
    // 8 bytes of length, the header, then the data.
    let offset = 8 + header + tensor.data_offsets.0;
    Ok(Layout { ids, ..Layout::new(number, offset, rows, width) })
}

fn tensor_name(metadata: &Metadata, file: &Path) -> Result<String> {
    let mut names = metadata.offset_keys();
    if let Some(place) = names.iter().position(|n| n == "features") {
        return Ok(names.swap_remove(place));
    }
    match names.len() {
        1 => Ok(names.remove(0)),
        n => Err(Error::data(format!("holds {n} tensors, none of them named `features`"))
            .at(file)
            .hint("save the features alone, or under the name `features`")),
    }
}

fn parse_ids(list: &str, rows: usize, file: &Path) -> Result<Vec<String>> {
    let ids: Vec<String> = serde_json::from_str(list)
        .map_err(|e| Error::data("has metadata `ids` that is no JSON list of strings").at(file).because(e))?;
    if ids.len() != rows {
        return Err(Error::data(format!("has {} ids in its metadata for {rows} rows", ids.len())).at(file));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use half::{bf16, f16};
    use safetensors::tensor::{TensorView, serialize};

    use super::super::Features;
    use super::*;

    fn file_of(tensors: &[(&str, Dtype, &[usize], &[u8])], ids: Option<&str>) -> Vec<u8> {
        let views = tensors
            .iter()
            .map(|&(name, dtype, shape, data)| (name, TensorView::new(dtype, shape.to_vec(), data).unwrap()));
        let metadata = ids.map(|ids| HashMap::from([("ids".to_string(), ids.to_string())]));
        serialize(views, metadata).unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Features> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.safetensors");
        fs::write(&file, bytes).unwrap();
        Features::open(&[file])
    }

    #[test]
    fn each_type_is_read() {
        let values = [1.0f32, -2.5, 0.125, 8.0];
        let half: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let brain: Vec<u8> = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let full: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let double: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
        let each = [(Dtype::F16, half), (Dtype::BF16, brain), (Dtype::F32, full), (Dtype::F64, double)];
        let whole = open(&file_of(&[("any", Dtype::I64, &[1, 1], &(-7i64).to_le_bytes())], None)).unwrap();
        let mut one = [0.0];
        whole.copy_row(0, &mut one);
        assert_eq!(one, [-7.0]);
        for (dtype, data) in each {
            let features = open(&file_of(&[("any", dtype, &[2, 2], &data)], None)).unwrap();
            let mut row = [0.0; 2];
            features.copy_row(1, &mut row);
            assert_eq!(row, [0.125, 8.0], "{dtype:?}");
            assert!(features.ids().is_none());
        }
    }

    #[test]
    fn the_tensor_named_features_is_taken_with_its_ids() {
        let one = 1f32.to_le_bytes();
        let bytes = file_of(
            &[("a", Dtype::F32, &[1, 1], &one), ("features", Dtype::F32, &[1, 1], &3f32.to_le_bytes())],
            Some("[\"寿司.jpg\"]"),
        );
        let features = open(&bytes).unwrap();
        let mut row = [0.0];
        features.copy_row(0, &mut row);
        assert_eq!(row, [3.0]);
        assert_eq!(features.ids(), Some(vec!["寿司.jpg".to_string()]));
    }

    #[test]
    fn broken_files_are_refused() {
        let refusal = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
        let data = [1u8; 8];
        let whole = file_of(&[("a", Dtype::F32, &[1, 2], &data)], None);
        for length in [0, 5, 20, whole.len() - 1] {
            let text = refusal(&whole[..length]);
            assert!(text.contains("f.safetensors`: is no whole .safetensors file"), "{text}");
        }
        assert!(refusal(b"\x93NUMPY\x01\x00not this").contains("is no whole"));
        let two = [("a", Dtype::F32, &[1, 2][..], &data[..]), ("b", Dtype::F32, &[1, 2], &data)];
        assert!(refusal(&file_of(&two, None)).contains("2 tensors"));
        assert!(refusal(&file_of(&[("a", Dtype::BOOL, &[1, 8], &data)], None)).contains("BOOL"));
        assert!(refusal(&file_of(&[("a", Dtype::F32, &[2], &data)], None)).contains("shape [2]"));
        let ids = |ids| refusal(&file_of(&[("a", Dtype::F32, &[1, 2], &data)], Some(ids)));
        assert!(ids("[1]").contains("no JSON list of strings"));
        assert!(ids("[\"a\", \"b\"]").contains("2 ids"));
    }
}
