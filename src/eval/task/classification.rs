//! Zero-shot classification of pictures by prompts, in as many languages as the classes have names in.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clip_benchmark::Entry;
use super::{Kept, Measure, Metric, Setting, Sheet};
use crate::Result;
use crate::eval::classification::{Accuracy, accuracy, class_vectors, confusion};
use crate::eval::encoder::{DualEncoder, add_pictures, place};
use crate::eval::given::{Classes, Groups, Labelled, mean};
use crate::eval::similarity::{Kernel, check_finite};

/// What is said where there are no pictures with classes.
pub(super) const LACKS: &str =
    "no pictures with classes are given: `--classes`, `--images` and `--labels` name them";

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// By the language of the classes' names.
    pub languages: Vec<OfLanguage>,
    /// Means over the languages, where there are several, and over those of each group.
    pub means: Vec<Mean>,
}

/// What classes named in a language find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfLanguage {
    /// Its code.
    pub language: String,
    /// Prompts of each class, whose mean is its vector.
    pub templates: usize,
    /// Of all pictures.
    pub accuracy: Accuracy,
    /// The classes by name; nothing in results of earlier programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Of the pictures of each class, for which class they are taken: [`confusion`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Vec<(u32, f64)>>,
}

/// A mean over languages, in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// `mean`, which is over all languages, or the group.
    pub of: String,
    /// Mean accuracy.
    #[serde(rename = "top-1")]
    pub top1: f64,
    /// Mean of how often the class is among the five nearest.
    #[serde(rename = "top-5")]
    pub top5: f64,
}

/// A class that is taken for another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Confused {
    /// Its number, from 0.
    pub class: usize,
    /// That of the other one.
    pub taken_for: usize,
    /// Pictures of the class.
    pub pictures: f64,
    /// By language the percent of them that are taken for the other one.
    pub shares: Vec<f64>,
}

impl Measure for Classification {
    const NAME: &'static str = "classification";

    const ABOUT: &'static str = "how often a picture is nearest to its class by name, without training";

    const MAIN: &'static [&'static str] = &["top-1"];

    type Set<'a> = &'a Labelled;

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        data.given.labelled.as_ref().ok_or(LACKS.into())
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data()?)))
    }

    /// Names pictures by the nearest class, in each language, and says how often it is the right one.
    ///
    /// # Errors
    /// Usage, for a language that the model does not know; data: pictures of another width than those that it was trained on, numbers that are
    /// too large, or vectors that are not finite.
    fn measure(model: &dyn DualEncoder, set: Self::Set<'_>, data: &Setting) -> Result<(Self, Vec<String>)> {
        let (mut pictures, mut warnings) = (Vec::new(), set.notes.clone());
        model.check_width(&*set.pictures)?;
        let places: Vec<usize> = set
            .classes
            .iter()
            .map(|(language, _)| place(&model.languages(), language))
            .collect::<Result<_>>()?;
        add_pictures(model, &*set.pictures, &mut pictures)?;
        let mut languages = Vec::new();
        for ((language, classes), place) in set.classes.iter().zip(places) {
            let vectors = vectors(model, place, language, classes, &mut warnings)?;
            let scores = Kernel::detect().matrix(&pictures, &vectors, model.joint()); // (pictures, classes)
            let count = classes.names.len();
            languages.push(OfLanguage {
                language: language.clone(),
                templates: classes.templates.len(),
                accuracy: accuracy(&scores, &set.labels, count),
                names: classes.names.clone(),
                taken: confusion(&scores, &set.labels, count),
            });
        }
        Ok((Classification::new(languages, &data.given.groups), warnings))
    }

    fn protocol(&self) -> String {
        let first = self.languages.first();
        let [pictures, classes] = [|l: &OfLanguage| l.accuracy.images, |l: &OfLanguage| l.accuracy.classes]
            .map(|of| first.map_or(0, of));
        let templates: Vec<usize> = self.languages.iter().map(|l| l.templates).collect();
        let (least, most) = (templates.iter().min().unwrap_or(&0), templates.iter().max().unwrap_or(&0));
        let prompts = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let (which, means) = match &self.languages[..] {
            [one] => (format!("`{}`", one.language), ""),
            _ => ("each language".into(), "; means are over languages"),
        };
        format!(
            "{pictures} pictures, each named by the nearest of {classes} classes; a class is the mean of its {prompts} prompts in {which}; equal scores \
             count in expectation over their orders{means}; percent"
        )
    }

    fn metrics(&self) -> Vec<Metric> {
        let languages = self.languages.iter().map(|l| (&l.language, l.accuracy.top1, l.accuracy.top5));
        let means = self.means.iter().map(|m| (&m.of, m.top1, m.top5));
        let both = |(of, top1, top5): (&String, f64, f64)| {
            [("top-1", top1), ("top-5", top5)].map(|(name, value)| Metric::percent(name, Some(of), value))
        };
        languages.chain(means).flat_map(both).collect()
    }

    fn clip_benchmark(&self) -> Vec<Entry> {
        self.languages.iter().map(|l| Entry::classification(&l.language, &l.accuracy)).collect()
    }

    /// The matrix of each language: a row for each class, with a column for each class that its pictures are taken for.
    fn sheets(&self) -> Vec<Sheet> {
        let Some(names) = self.names() else { return Vec::new() };
        let head: Vec<&str> =
            ["language", "class"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let rows = self.languages.iter().flat_map(|l| {
            l.names.iter().zip(&l.taken).map(|(name, taken)| {
                let mut cells = vec!["0".to_string(); l.names.len()];
                taken.iter().for_each(|(class, pictures)| cells[*class as usize] = pictures.to_string());
                [vec![l.language.clone(), name.clone()], cells].concat()
            })
        });
        vec![Sheet::new("confusion", &head, rows)]
    }
}

/// The vectors of the classes (classes, joint).
fn vectors(
    model: &dyn DualEncoder,
    place: usize,
    language: &str,
    classes: &Classes,
    warnings: &mut Vec<String>,
) -> Result<Vec<f32>> {
    let prompts = classes.prompts();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let sentences = model.sentences(place, &prompts);
    check_finite(&sentences.vectors, model.joint(), &format!("the model's vectors: `{language}`"))?;
    warnings.extend(sentences.warnings(&prompts, language));
    Ok(class_vectors(&sentences.vectors, classes.templates.len(), model.joint()))
}

impl Classification {
    /// With the means over languages and groups.
    pub fn new(languages: Vec<OfLanguage>, groups: &Groups) -> Classification {
        let values = |of: fn(&Accuracy) -> f64| {
            languages.iter().map(|l| (vec![l.language.as_str()], of(&l.accuracy))).collect::<Vec<_>>()
        };
        let (top1, top5) = (values(|a| a.top1), values(|a| a.top5));
        let over = |values: &[(Vec<&str>, f64)]| mean(&values.iter().map(|v| v.1).collect::<Vec<f64>>());
        let all = over(&top1).zip(over(&top5)).filter(|_| languages.len() > 1);
        let all = all.map(|(top1, top5)| Mean { of: "mean".into(), top1, top5 });
        let of_groups = groups.means(&top1).into_iter().zip(groups.means(&top5));
        let of_groups = of_groups.map(|((of, top1), (_, top5))| Mean { of: of.into(), top1, top5 });
        let means = all.into_iter().chain(of_groups).collect();
        Classification { languages, means }
    }

    /// The names of the classes, in English where they have such, else in the first language; nothing in results of earlier programs.
    pub fn names(&self) -> Option<&[String]> {
        let english = self.languages.iter().find(|l| l.language == "en");
        english.or(self.languages.first()).map(|l| &l.names[..]).filter(|names| !names.is_empty())
    }

    /// Which classes are taken for which others, by the pictures of all languages, the most first; at most `count`.
    pub fn confused(&self, count: usize) -> Vec<Confused> {
        let classes = self.names().map_or(0, <[String]>::len);
        let mut all = Vec::new();
        for class in 0..classes {
            let pictures: f64 = self.languages[0].taken[class].iter().map(|(_, pictures)| pictures).sum();
            let taken = |other: usize| {
                let of = |l: &OfLanguage| {
                    let found = l.taken[class].iter().find(|(c, _)| *c as usize == other);
                    found.map_or(0.0, |(_, pictures)| *pictures)
                };
                self.languages.iter().map(of).collect::<Vec<f64>>()
            };
            let mut others: Vec<usize> =
                self.languages.iter().flat_map(|l| l.taken[class].iter().map(|(c, _)| *c as usize)).collect();
            others.sort_unstable();
            others.dedup();
            for taken_for in others.into_iter().filter(|other| *other != class) {
                let taken = taken(taken_for);
                let shares = taken.iter().map(|n| 100.0 * n / pictures).collect();
                all.push((taken.iter().sum::<f64>(), Confused { class, taken_for, pictures, shares }));
            }
        }
        // Equal ones stay in the order of the classes.
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.into_iter().take(count).map(|(_, confused)| confused).collect()
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let ([one], []) = (&self.languages[..], &self.means[..]) {
            return one.accuracy.fmt(f);
        }
        let names = self.languages.iter().map(|l| &l.language).chain(self.means.iter().map(|m| &m.of));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(8);
        writeln!(f, "{:width$}  top-1  top-5  mean of the classes", "language")?;
        for OfLanguage { language, accuracy, .. } in &self.languages {
            let Accuracy { top1, top5, mean_per_class, .. } = accuracy;
            let classes = mean_per_class.map_or(String::new(), |mean| format!(" {mean:6.1}"));
            writeln!(f, "{language:width$} {top1:6.1} {top5:6.1}{classes}")?;
        }
        for Mean { of, top1, top5 } in &self.means {
            writeln!(f, "{of:width$} {top1:6.1} {top5:6.1}")?;
        }
        write!(f, "{}", self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(language: &str, top1: f64, taken: Vec<Vec<(u32, f64)>>) -> OfLanguage {
        let names = ["a", "b, c", "d"].map(|name| format!("{name}.{language}")).into();
        let accuracy = Accuracy { images: 9, classes: 3, top1, top5: 100.0, mean_per_class: None };
        OfLanguage { language: language.into(), templates: 2, accuracy, names, taken }
    }

    fn two() -> Classification {
        let german = vec![vec![(0, 1.0), (2, 3.0)], vec![(0, 0.5), (1, 0.5)], vec![(2, 4.0)]];
        let english = vec![vec![(0, 2.5), (1, 0.5), (2, 1.0)], vec![(0, 1.0)], vec![(1, 1.0), (2, 3.0)]];
        let groups = Groups(vec![("seen".into(), vec!["en".into()])]);
        Classification::new(vec![of("de", 60.0, german), of("en", 70.0, english)], &groups)
    }

    #[test]
    fn confusions_are_over_all_languages_with_the_share_of_each() {
        let found = two().confused(3);
        let short: Vec<_> = found.iter().map(|c| (c.class, c.taken_for, c.pictures, &c.shares[..])).collect();
        assert_eq!(
            short,
            [(0, 2, 4.0, &[75.0, 25.0][..]), (1, 0, 1.0, &[50.0, 100.0]), (2, 1, 4.0, &[0.0, 25.0])]
        );
        assert_eq!(two().confused(9).len(), 4);
    }

    #[test]
    fn the_matrix_has_a_row_for_each_class_and_language() {
        let sheets = two().sheets();
        assert_eq!(sheets[0].name, "confusion");
        let lines: Vec<&str> = sheets[0].csv.lines().collect();
        assert_eq!(lines[0], "language,class,a.en,\"b, c.en\",d.en");
        assert_eq!((lines.len(), lines[1], lines[5]), (7, "de,a.de,1,0,3", "en,\"b, c.en\",1,0,0"));
    }

    #[test]
    fn means_are_over_languages_and_groups() {
        let found = two();
        let means: Vec<_> = found.means.iter().map(|m| (&m.of[..], m.top1)).collect();
        assert_eq!(means, [("mean", 65.0), ("seen", 70.0)]);
        assert!(found.protocol().contains("9 pictures, each named by the nearest of 3 classes; a class is the mean of its 2 prompts in each language"));
        let result = found.result(("set".into(), None));
        assert_eq!(Classification::of(&result), Some(found), "read as it was written");
    }
}
