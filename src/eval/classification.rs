//! Zero-shot classification: pictures named by the nearest class vector (Radford et al. 2021, section 3.1).

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checksum::sha256;
use crate::corpus::PictureSource;
use crate::{Error, Result};

/// The share of pictures whose class is the nearest, or among the five nearest, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Pictures that were classified.
    pub images: usize,
    /// Classes to choose from.
    pub classes: usize,
    /// Percent of pictures whose own class is nearest.
    #[serde(rename = "top-1")]
    pub top1: f64,
    /// Percent of pictures whose own class is among the five nearest.
    #[serde(rename = "top-5")]
    pub top5: f64,
    /// Mean over the classes that have pictures of the percent whose own class is nearest; nothing in results of earlier programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_per_class: Option<f64>,
}

/// One vector per class: the mean of its prompts' unit vectors, at unit length again (CLIP's prompt ensemble).
///
/// `prompts` (classes · templates, width), those of a class together; `templates` of each.
pub fn class_vectors(prompts: &[f32], templates: usize, width: usize) -> Vec<f32> {
    let mut classes = Vec::with_capacity(prompts.len() / templates.max(1));
    for of_class in prompts.chunks(templates * width) {
        let mut mean = vec![0f32; width];
        for prompt in of_class.chunks(width) {
            mean.iter_mut().zip(prompt).for_each(|(m, x)| *m += x);
        }
        let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        classes.extend(mean.iter().map(|x| x / length));
    }
    classes
}

/// How often the right class is found. Equal scores count in expectation over their orders.
///
/// `scores` (images, classes); `labels` holds the class of each image.
pub fn accuracy(scores: &[f32], labels: &[u32], classes: usize) -> Accuracy {
    let hits = |k: usize| -> Vec<f64> {
        let of = |(scores, &label): (&[f32], &u32)| {
            let own = scores[label as usize];
            let better = scores.iter().filter(|&&s| s > own).count();
            let tied = scores.iter().filter(|&&s| s == own).count();
            (k.saturating_sub(better) as f64 / tied as f64).min(1.0)
        };
        scores.chunks(classes.max(1)).zip(labels).map(of).collect()
    };
    let share = |hits: &[f64]| 100.0 * hits.iter().sum::<f64>() / hits.len().max(1) as f64;
    let first = hits(1);
    let of_class = |class: u32| {
        let own = labels.iter().zip(&first).filter(|(label, _)| **label == class).map(|(_, hit)| *hit);
        let own: Vec<f64> = own.collect();
        (!own.is_empty()).then(|| share(&own))
    };
    let by_class: Vec<f64> = (0..classes as u32).filter_map(of_class).collect();
    let mean_per_class = (!by_class.is_empty()).then(|| by_class.iter().sum::<f64>() / by_class.len() as f64);
    Accuracy { images: labels.len(), classes, top1: share(&first), top5: share(&hits(5)), mean_per_class }
}

impl std::fmt::Display for Accuracy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Accuracy { images, classes, top1, top5, .. } = self;
        write!(f, "{images} pictures, {classes} classes: top-1 {top1:.1} %, top-5 {top5:.1} %")
    }
}

/// Pictures with their classes, and the classes by name in a language.
pub struct Labelled {
    /// What the result is kept by.
    pub name: String,
    /// The code of the language of the classes' names.
    pub language: String,
    /// The classes to choose from.
    pub classes: Classes,
    /// The pictures, in the order of `labels`.
    pub pictures: Box<dyn PictureSource>,
    /// The class of each picture.
    pub labels: Vec<u32>,
    /// Other pictures, to learn the classes from.
    pub train: Option<Learnt>,
}

impl Labelled {
    /// SHA-256 of what zero-shot classification is measured on: classes, templates, labels and pictures.
    ///
    /// # Errors
    /// Data, where the pictures cannot be read.
    pub fn data(&self) -> Result<String> {
        let mut hash = Sha256::new().chain_update(format!("{:?}{:?}", self.classes, self.labels));
        self.pictures.hash_content(&mut hash)?;
        Ok(sha256(hash))
    }

    /// SHA-256 of what probes are measured on: the number of classes, labels and pictures of both sets.
    ///
    /// # Errors
    /// Data, where the pictures cannot be read.
    pub fn learnt_data(&self, learnt: &Learnt) -> Result<String> {
        let (classes, labels) = (self.classes.names.len(), &self.labels);
        let mut hash = Sha256::new().chain_update(format!("{classes}{labels:?}{:?}", learnt.labels));
        self.pictures.hash_content(&mut hash)?;
        learnt.pictures.hash_content(&mut hash)?;
        Ok(sha256(hash))
    }
}

/// Pictures with classes to learn from.
pub struct Learnt {
    /// In the order of `labels`.
    pub pictures: Box<dyn PictureSource>,
    /// The class of each picture.
    pub labels: Vec<u32>,
}

/// Classes by name, and the prompts that they are looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// One name a class, in the order of their numbers.
    pub names: Vec<String>,
    /// Each with `{}` for the name.
    pub templates: Vec<String>,
}

impl Classes {
    /// Reads names, one a line; and templates, or the name alone.
    ///
    /// # Errors
    /// Data, with file and line: an empty line, no line, a template without `{}`.
    pub fn read(names: &Path, templates: Option<&Path>) -> Result<Classes> {
        let templates = match templates {
            Some(file) => read_templates(file)?,
            None => vec!["{}".to_string()],
        };
        Ok(Classes { names: lines(names)?, templates })
    }

    /// Every template with every name, those of a class together.
    pub fn prompts(&self) -> Vec<String> {
        let of = |name: &String| self.templates.iter().map(|t| t.replace("{}", name)).collect::<Vec<_>>();
        self.names.iter().flat_map(of).collect()
    }
}

/// The lines of a file, none of them empty.
fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::reading(file, e))?;
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
    match lines.iter().position(String::is_empty) {
        Some(n) => Err(Error::data("is an empty line").at(file).line(n + 1).hint("take the line out")),
        None if lines.is_empty() => Err(Error::data("holds no line").at(file)),
        None => Ok(lines),
    }
}

fn read_templates(file: &Path) -> Result<Vec<String>> {
    let templates = lines(file)?;
    match templates.iter().position(|t| !t.contains("{}")) {
        Some(n) => {
            let what = format!("`{}` has no {{}}", templates[n]);
            Err(Error::data(what).at(file).line(n + 1).hint("put {} where the class's name belongs"))
        }
        None => Ok(templates),
    }
}

/// Reads the class of each picture: its number from 0, one a line.
///
/// # Errors
/// Data, with file and line: not one for each picture, or no class's number.
pub fn read_labels(file: &Path, images: usize, classes: usize) -> Result<Vec<u32>> {
    let lines = lines(file)?;
    if lines.len() != images {
        let what = format!("holds {} labels for {images} pictures", lines.len());
        return Err(Error::data(what).at(file).hint("one a line, in the order of the pictures"));
    }
    let parse = |(n, line): (usize, &String)| match line.parse::<u32>() {
        Ok(label) if (label as usize) < classes => Ok(label),
        _ => Err(Error::data(format!("is `{line}`; expected a number from 0 to {}", classes - 1))
            .at(file)
            .line(n + 1)),
    };
    lines.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_class_counts_where_it_is_among_the_nearest() {
        let scores = [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, /* */ 0.1, 0.9, 0.8, 0.7, 0.6, 0.5];
        let a = accuracy(&scores, &[0, 4], 6);
        assert_eq!((a.images, a.classes, a.top1, a.top5), (2, 6, 50.0, 100.0));
        assert_eq!(accuracy(&scores, &[1, 0], 6).top5, 0.0);
    }

    #[test]
    fn a_model_that_scores_all_classes_alike_gets_chance() {
        let a = accuracy(&[0.5; 40], &[3, 0, 7, 1], 10);
        assert!((a.top1 - 10.0).abs() < 1e-9 && (a.top5 - 50.0).abs() < 1e-9);
    }

    #[test]
    fn prompts_of_a_class_are_averaged_at_unit_length() {
        let classes = class_vectors(&[1.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0], 2, 2);
        let root = 0.5f32.sqrt();
        assert_eq!(classes, [root, root, 0.0, -1.0]);
    }
}
