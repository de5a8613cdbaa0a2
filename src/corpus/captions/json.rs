//! JSON: records one a line, or in one list.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::json_fault;
use super::keys::Record;
use super::records::{Spot, Take};
use crate::corpus::input::{each_line, open};
use crate::{Error, Result};

/// Reads records line by line. Blank lines are skipped.
pub(super) fn read_lines(file: &Path, take: Take) -> Result<()> {
    each_line(file, |number, line| {
        let line = line.trim();
        if line.is_empty() {
            return Ok(());
        }
        let object: Object = serde_json::from_str(line).map_err(|e| {
            let hint = match line.starts_with('[') {
                true => "for one list of all captions set `format = \"json\"`",
                false => "expected {\"image\": …, \"language\": \"…\", \"text\": \"…\"} and perhaps \"source\": \"human\" or \"machine\"; \
                          other keys are named in `keys`",
            };
            Error::data(format!("is no caption: {}", json_fault(&e))).at(file).line(number).hint(hint)
        })?;
        take(Spot::Line(number), &object.0)
    })
}

/// Reads records from one list.
pub(super) fn read_list(file: &Path, take: Take) -> Result<()> {
    let mut refused = None;
    let mut give = |entry: usize, record: Record| match take(Spot::Entry(entry), &record) {
        Ok(()) => true,
        Err(error) => {
            refused = Some(error);
            false
        }
    };
    let mut text = serde_json::Deserializer::from_reader(open(file)?);
    let read = List(&mut give).deserialize(&mut text).and_then(|()| text.end());
    if let Some(error) = refused {
        return Err(error);
    }
    if let Err(error) = read {
        let fault = Error::data(format!("is no list of captions: {}", json_fault(&error))).at(file).hint(
            "expected [{\"image\": …, \"caption\": \"…\"}, …]; for one object a line set `format = \"jsonl\"`, for COCO's or \
             Karpathy's files `coco` or `karpathy`",
        );
        return Err(if error.line() > 0 { fault.line(error.line()) } else { fault });
    }
    Ok(())
}

/// An object that names no key twice.
struct Object(Record);

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of a caption")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut record = Record::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if record.contains_key(&key) {
                        return Err(A::Error::custom(format!("key `{key}` twice")));
                    }
                    record.insert(key, value);
                }
                Ok(Object(record))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Gives each object of a list, with its number, to a function, which says whether to go on: lists may be larger than memory.
struct List<'f>(&'f mut dyn FnMut(usize, Record) -> bool);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut entry = 0;
        while let Some(Object(record)) = list.next_element()? {
            if !self.0(entry, record) {
                return Err(A::Error::custom("refused"));
            }
            entry += 1;
        }
        Ok(())
    }
}
