//! Parquet, as Hugging Face's datasets are stored: only the columns that captions are read from.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::Value;

use super::keys::Record;
use super::records::{Choose, Spot, Take, Wish};
use crate::{Error, Result};

/// Reads the rows as a stream, row group by row group; pictures that lie beside the captions are not read. `choose` says of each column at the
/// top, given a record with all of them, whether it is read.
pub(super) fn read(file: &Path, choose: Choose, take: Take) -> Result<()> {
    let broken = |e: ParquetError| {
        Error::data("is no Parquet file that can be read")
            .at(file)
            .because(e.to_string())
            .hint("its columns may be packed by Snappy or gzip, or not at all")
    };
    let opened = File::open(file).map_err(|e| {
        Error::reading(file, e).hint("the path comes from `data.captions`, relative to `data.root`")
    })?;
    let reader = SerializedFileReader::new(opened).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema();
    let reads = choose(&sample(schema)).map_err(|e| e.at(file))?;
    let mut columns = Vec::new();
    for column in schema.get_fields().iter().filter_map(without_bytes) {
        match (reads(column.name()), check(&column)) {
            (Wish::Needed, Err(e)) => return Err(e.at(file)),
            (Wish::Needed | Wish::Welcome, Ok(())) => columns.push(column),
            _ => {}
        }
    }
    let chosen = Type::group_type_builder(schema.name()).with_fields(columns).build().map_err(broken)?;
    for (entry, row) in reader.get_row_iter(Some(chosen)).map_err(broken)?.enumerate() {
        let record = record(row.map_err(broken)?).map_err(|e| Spot::Entry(entry).put(file, e))?;
        take(Spot::Entry(entry), &record)?;
    }
    Ok(())
}

/// A record with the names of the columns: objects where they hold columns, else nothing.
fn sample(group: &Type) -> Record {
    let value = |column: &Type| match column.is_group() && !is_list(column) {
        true => Value::Object(sample(column)),
        false => Value::Null,
    };
    group.get_fields().iter().map(|column| (column.name().to_string(), value(column))).collect()
}

fn is_list(column: &Type) -> bool {
    matches!(column.get_basic_info().converted_type(), ConvertedType::LIST | ConvertedType::MAP)
        || column.get_basic_info().logical_type_ref().is_some()
}

/// A column without `bytes` in it, which hold pictures.
fn without_bytes(column: &Arc<Type>) -> Option<Arc<Type>> {
    if column.is_primitive() || is_list(column) {
        return Some(column.clone());
    }
    let kept: Vec<_> =
        column.get_fields().iter().filter(|c| c.name() != "bytes").filter_map(without_bytes).collect();
    let info = column.get_basic_info();
    let builder = Type::group_type_builder(info.name()).with_repetition(info.repetition()).with_fields(kept);
    builder.build().ok().map(Arc::new)
}

/// Only texts, whole numbers and flags can be read.
fn check(column: &Type) -> Result<()> {
    if column.is_group() {
        return column.get_fields().iter().try_for_each(|c| check(c));
    }
    use ConvertedType as C;
    let plain = matches!(
        column.get_basic_info().converted_type(),
        C::NONE
            | C::UTF8
            | C::ENUM
            | C::JSON
            | C::INT_8
            | C::INT_16
            | C::INT_32
            | C::INT_64
            | C::UINT_8
            | C::UINT_16
            | C::UINT_32
            | C::UINT_64
    );
    match column.get_physical_type() {
        Physical::BYTE_ARRAY | Physical::INT32 | Physical::INT64 | Physical::BOOLEAN if plain => Ok(()),
        other => Err(Error::data(format!("column `{}` is of type {other}", column.name()))
            .hint("expected texts or whole numbers; other columns are named in `keys`")),
    }
}

fn record(row: Row) -> Result<Record> {
    row.into_columns().into_iter().map(|(name, field)| Ok((name, value(field)?))).collect()
}

fn value(field: Field) -> Result<Value> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::Bool(flag),
        Field::Byte(n) => n.into(),
        Field::Short(n) => n.into(),
        Field::Int(n) => n.into(),
        Field::Long(n) => n.into(),
        Field::UByte(n) => n.into(),
        Field::UShort(n) => n.into(),
        Field::UInt(n) => n.into(),
        Field::ULong(n) => n.into(),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            Err(e) => return Err(Error::data("holds bytes that are no UTF-8").because(e)),
        },
        Field::Group(row) => Value::Object(record(row)?),
        Field::ListInternal(list) => {
            list.elements().iter().cloned().map(value).collect::<Result<Vec<_>>>()?.into()
        }
        other => return Err(Error::data(format!("holds {other}")).hint("expected texts or whole numbers")),
    })
}
