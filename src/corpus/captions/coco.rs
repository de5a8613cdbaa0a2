//! COCO's `captions_*.json`: pictures and annotations apart.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::super::SplitName;
use super::{Described, Name, read_json};
use crate::{Error, Result};

#[derive(Deserialize)]
struct Captions {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Image {
    id: Name,
    file_name: Option<String>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: Name,
    caption: String,
}

/// Reads the pictures in the order of `images`, their captions in the order of `annotations`.
pub(super) fn read(file: &Path, split: Option<SplitName>) -> Result<Vec<Described>> {
    let captions: Captions = read_json(file, "COCO captions")?;
    let mut places = HashMap::with_capacity(captions.images.len());
    let mut described = Vec::with_capacity(captions.images.len());
    for (n, image) in captions.images.into_iter().enumerate() {
        let id = image.id.to_string();
        if places.insert(id.clone(), n).is_some() {
            return Err(Error::data(format!("`images` holds id `{id}` twice")).at(file));
        }
        let names = [image.file_name, Some(id), None];
        described.push(Described { split, names, order: n as u32, texts: Vec::new() });
    }
    for (n, annotation) in captions.annotations.into_iter().enumerate() {
        let id = annotation.image_id.to_string();
        let Some(&place) = places.get(&id) else {
            let what = format!("annotation {n} (from 0) speaks of image `{id}`, which is not in `images`");
            return Err(Error::data(what)
                .at(file)
                .hint("use the file as published, with all of its `images`"));
        };
        described[place].texts.push(annotation.caption);
    }
    Ok(described)
}
