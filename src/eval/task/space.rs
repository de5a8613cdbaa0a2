//! Pictures of the space: sentences and languages in the plane, and what lies nearest across languages.

use std::fmt;
use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Kept, Measure, Metric, Setting, Sheet, embed};
use crate::Result;
use crate::eval::encoder::DualEncoder;
use crate::eval::given::{Bitext, Groups, mean};
use crate::eval::space::Point;
use crate::eval::space::across::across;
use crate::eval::space::eigenmap::eigenmap;
use crate::eval::space::svcca::{KEPT, Subspace};
use crate::eval::space::trust::trustworthiness;
use crate::eval::space::tsne::{perplexity, tsne};
use crate::seed::derive;

/// Points of a picture at most, of all languages together.
const POINTS: usize = 10_000;
/// Sentences at most that two languages are compared by.
const SENTENCES: usize = 5_000;
/// Neighbours that trust is taken over.
const TRUSTED: usize = 12;

/// What it has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Of the picture of sentences.
    pub perplexity: f64,
    /// Neighbours that its trustworthiness is of.
    pub neighbours: usize,
    /// How far neighbours in the picture are neighbours among the vectors, 0 to 1.
    pub trustworthiness: f64,
    /// The sentences in the plane, by file.
    pub sides: Vec<Placed>,
    /// How alike languages are, by pairs.
    pub alike: Vec<Alike>,
    /// Languages in the plane, where there are three or more of which every two are alike by a figure.
    pub map: Vec<(String, Point)>,
    /// What lies nearest across languages.
    pub nearest: Vec<Nearest>,
    /// Some sentences with their nearest ones.
    pub examples: Vec<Example>,
    /// Groups of languages, for colours.
    pub groups: Vec<(String, Vec<String>)>,
}

/// The sentences of a file in the plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Their language.
    pub language: String,
    /// Files of one set are translations of one another, line by line; from 0.
    pub set: usize,
    /// The line of each sentence, from 1.
    pub lines: Vec<usize>,
    /// Where it lies.
    pub points: Vec<Point>,
}

/// Two languages, and how alike their vectors of the same sentences are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alike {
    /// The one.
    pub first: String,
    /// The other.
    pub second: String,
    /// How many sentences they are compared by.
    pub sentences: usize,
    /// The directions that are kept of each.
    pub directions: [usize; 2],
    /// The mean canonical correlation, 0 to 1.
    pub svcca: f64,
}

/// Of the sentences of a language in the picture: their nearest one in any other language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nearest {
    /// Their language.
    pub language: String,
    /// Percent of which it is a translation.
    pub translation: f64,
    /// Percent of which it is in each language.
    pub of: Vec<(String, f64)>,
}

/// A sentence with the nearest one of each other language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its language.
    pub language: String,
    /// Its line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// The nearest ones.
    pub found: Vec<Found>,
}

/// The nearest sentence of a language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Its language.
    pub language: String,
    /// What it says.
    pub text: String,
    /// Its cosine.
    pub cosine: f32,
    /// Whether it is the translation.
    pub translation: bool,
}

impl Measure for Space {
    const NAME: &'static str = "space";

    const ABOUT: &'static str = "pictures of parallel sentences: t-SNE, SVCCA between languages with its map, nearest across languages";

    const MAIN: &'static [&'static str] = &["svcca"];

    type Set<'a> = &'a Bitext;

    fn set<'a>(data: &Setting<'a>) -> Result<Self::Set<'a>, String> {
        data.given.bitext.as_ref().ok_or("no parallel sentences are given: `--bitext` names them".into())
    }

    fn kept(set: &Self::Set<'_>, _: &Setting) -> Result<Kept> {
        Ok((set.name.clone(), Some(set.data.clone())))
    }

    fn measure(
        model: &dyn DualEncoder,
        bitext: Self::Set<'_>,
        data: &Setting,
    ) -> Result<(Self, Vec<String>)> {
        picture(model, bitext, &data.given.groups, data.config.seed())
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![Metric::percent("trustworthiness", None, 100.0 * self.trustworthiness)];
        for Alike { first, second, svcca, .. } in &self.alike {
            metrics.push(Metric::correlation("svcca", Some(&format!("{first}–{second}")), *svcca));
        }
        let all: Vec<f64> = self.alike.iter().map(|a| a.svcca).collect();
        metrics.extend(mean(&all).map(|mean| Metric::correlation("svcca", Some("all pairs"), mean)));
        for Nearest { language, translation, .. } in &self.nearest {
            metrics.push(Metric::percent("nearest.translation", Some(language), *translation));
        }
        metrics
    }

    fn protocol(&self) -> String {
        let points: usize = self.sides.iter().map(|side| side.points.len()).sum();
        format!(
            "t-SNE of {points} sentences, perplexity {:.0}, trustworthiness of {} neighbours × 100; SVCCA over directions with {:.0} % of the variance, \
             the mean canonical correlation × 100, and its map by Laplacian eigenmaps; nearest: percent of the sentences whose nearest one in \
             another language is a translation",
            self.perplexity,
            self.neighbours,
            100.0 * KEPT
        )
    }

    fn sheets(&self) -> Vec<Sheet> {
        let points = self.sides.iter().flat_map(|side| {
            side.lines.iter().zip(&side.points).map(|(line, [x, y])| {
                vec![
                    side.language.clone(),
                    side.set.to_string(),
                    line.to_string(),
                    x.to_string(),
                    y.to_string(),
                ]
            })
        });
        let alike = self.alike.iter().map(|a| {
            let numbers = [a.sentences, a.directions[0], a.directions[1]].map(|n| n.to_string());
            [&[a.first.clone(), a.second.clone()], &numbers[..], &[a.svcca.to_string()]].concat()
        });
        let map = self.map.iter().map(|(l, [x, y])| vec![l.clone(), x.to_string(), y.to_string()]);
        let nearest = self.nearest.iter().flat_map(|n| {
            n.of.iter().map(|(other, share)| vec![n.language.clone(), other.clone(), share.to_string()])
        });
        vec![
            Sheet::new("points", &["language", "set", "line", "x", "y"], points),
            Sheet::new(
                "svcca",
                &["first", "second", "sentences", "first_directions", "second_directions", "svcca"],
                alike,
            ),
            Sheet::new("map", &["language", "x", "y"], map),
            Sheet::new("nearest", &["language", "other", "percent"], nearest),
        ]
    }
}

/// The sentences of a file that are looked at.
struct Side<'a> {
    language: String,
    set: usize,
    /// Their lines, from 0, rising.
    lines: Vec<usize>,
    /// What each line says.
    texts: &'a [String],
    /// (lines, joint), unit length.
    vectors: Vec<f32>,
}

/// `count` of `all` numbers from 0, evenly spread.
fn spread(all: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(all);
    (0..count).map(move |n| n * all / count)
}

/// For each side the set that it is in: files of which lines are translations, be it by way of a third one.
fn sets(sides: usize, pairs: &[[usize; 2]]) -> Vec<usize> {
    let mut first: Vec<usize> = (0..sides).collect();
    for &[a, b] in pairs {
        let (kept, gone) = (first[a].min(first[b]), first[a].max(first[b]));
        first.iter_mut().filter(|set| **set == gone).for_each(|set| *set = kept);
    }
    let mut known = first.clone();
    known.sort_unstable();
    known.dedup();
    first.iter().map(|set| known.iter().position(|k| k == set).expect("its own")).collect()
}

/// Draws the vectors of parallel sentences.
///
/// # Errors
/// Data: a vector that is not finite, with file and line; fewer than three sentences.
fn picture(
    model: &dyn DualEncoder,
    bitext: &Bitext,
    groups: &Groups,
    seed: u64,
) -> Result<(Space, Vec<String>)> {
    let mut warnings = bitext.notes.clone();
    let sides = sides(model, bitext, &mut warnings)?;
    let width = model.joint();
    let alike = alike(&sides, &bitext.pairs, width, &mut warnings)?;
    let map = map(&sides, &alike, &mut warnings)?;
    // What is drawn: as many sentences of every file.
    let each = (POINTS / sides.len()).max(1);
    let drawn: Vec<Vec<usize>> = sides.iter().map(|side| spread(side.lines.len(), each).collect()).collect();
    let row = |side: &Side, n: usize| side.vectors[n * width..][..width].to_vec();
    let rows = sides.iter().zip(&drawn).flat_map(|(side, drawn)| drawn.iter().flat_map(|&n| row(side, n)));
    let vectors: Vec<f32> = rows.collect();
    let perplexity = perplexity(vectors.len() / width);
    let points = tsne(&vectors, width, perplexity, derive(seed, Space::NAME, 0))?;
    let neighbours = ((points.len() - 1) / 2).clamp(1, TRUSTED);
    let trustworthiness = trustworthiness(&vectors, width, &points, neighbours)?;
    let mut left = points.iter().map(|p| p.map(|x| (x * 1e3).round() / 1e3));
    let placed = sides.iter().zip(&drawn).map(|(side, drawn)| Placed {
        language: side.language.clone(),
        set: side.set,
        lines: drawn.iter().map(|&n| side.lines[n] + 1).collect(),
        points: left.by_ref().take(drawn.len()).collect(),
    });
    let placed = placed.collect();
    let drawn = Drawn::new(&sides, &drawn, &vectors, width);
    let nearest = (0..sides.len()).map(|side| drawn.nearest(side)).collect();
    let examples = (0..sides.len()).flat_map(|side| drawn.examples(side)).collect();
    let groups = groups.0.clone();
    let found = Space {
        perplexity,
        neighbours,
        trustworthiness,
        sides: placed,
        alike,
        map,
        nearest,
        examples,
        groups,
    };
    Ok((found, warnings))
}

fn sides<'a>(
    model: &dyn DualEncoder,
    bitext: &'a Bitext,
    warnings: &mut Vec<String>,
) -> Result<Vec<Side<'a>>> {
    let (known, sets) = (model.languages(), sets(bitext.sides.len(), &bitext.pairs));
    let mut sides = Vec::new();
    for (side, set) in bitext.sides.iter().zip(sets) {
        let language = known[side.language].clone();
        let lines: Vec<usize> = spread(side.sentences.len(), SENTENCES).collect();
        let texts: Vec<&str> = lines.iter().map(|&n| side.sentences[n].as_str()).collect();
        let vectors = embed(model, side.language, &texts, &side.file, |row| lines[row] + 1, warnings)?;
        sides.push(Side { language, set, lines, texts: &side.sentences, vectors });
    }
    Ok(sides)
}

/// SVCCA of every pair; none of a language whose sentences all have one vector.
fn alike(
    sides: &[Side],
    pairs: &[[usize; 2]],
    width: usize,
    warnings: &mut Vec<String>,
) -> Result<Vec<Alike>> {
    let subspaces: Vec<Result<Subspace>> =
        sides.par_iter().map(|side| Subspace::of(&side.vectors, width)).collect();
    for (side, subspace) in sides.iter().zip(&subspaces) {
        if let Err(error) = subspace {
            warnings.push(format!("no SVCCA of `{}`: {error}", side.language));
        }
    }
    let of = |&[a, b]: &[usize; 2]| {
        let (Ok(x), Ok(y)) = (&subspaces[a], &subspaces[b]) else { return Ok(None) };
        Ok(Some(Alike {
            first: sides[a].language.clone(),
            second: sides[b].language.clone(),
            sentences: sides[a].lines.len(),
            directions: [x.directions(), y.directions()],
            svcca: x.similarity(y)?,
        }))
    };
    let found: Vec<Result<Option<Alike>>> = pairs.par_iter().map(of).collect();
    let found: Vec<Alike> = found.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
    let forced = |a: &&Alike| a.directions[0] + a.directions[1] >= a.sentences;
    if let Some(Alike { first, second, sentences, directions: [a, b], .. }) = found.iter().find(forced) {
        warnings.push(format!(
            "SVCCA of `{first}` and `{second}` is too high: {sentences} sentences for {a} and {b} directions; give more sentences"
        ));
    }
    Ok(found)
}

/// Languages in the plane, where every two are alike by a figure greater than 0.
fn map(sides: &[Side], alike: &[Alike], warnings: &mut Vec<String>) -> Result<Vec<(String, Point)>> {
    let mut languages: Vec<&str> = Vec::new();
    for side in sides {
        if !languages.contains(&side.language.as_str()) {
            languages.push(&side.language);
        }
    }
    let n = languages.len();
    let mut similarity = Array2::zeros((n, n));
    for one in alike {
        let place = |code: &str| languages.iter().position(|l| *l == code).expect("of a side");
        let (a, b) = (place(&one.first), place(&one.second));
        similarity[[a, b]] = one.svcca;
        similarity[[b, a]] = one.svcca;
    }
    let complete = similarity.indexed_iter().all(|((a, b), value)| a == b || *value > 0.0);
    if n < 3 || !complete {
        let why =
            if n < 3 { "it takes three or more" } else { "not every two of them have parallel sentences" };
        warnings.push(format!("no map of the languages: {why}"));
        return Ok(Vec::new());
    }
    let points = eigenmap(&similarity)?;
    Ok(languages.into_iter().map(String::from).zip(points).collect())
}

/// The sentences that are drawn, with what lies nearest to each.
struct Drawn<'a> {
    sides: &'a [Side<'a>],
    /// Of each side the places among its lines.
    places: &'a [Vec<usize>],
    /// The rows of each side among all.
    rows: Vec<Range<usize>>,
    /// For each row the nearest row of each other side, and its cosine.
    found: Vec<Vec<Option<(usize, f32)>>>,
}

impl<'a> Drawn<'a> {
    fn new(sides: &'a [Side<'a>], places: &'a [Vec<usize>], vectors: &[f32], width: usize) -> Drawn<'a> {
        let mut end = 0;
        let rows = places.iter().map(|places| {
            let first = end;
            end += places.len();
            first..end
        });
        let rows: Vec<Range<usize>> = rows.collect();
        let ends: Vec<usize> = rows.iter().map(|rows| rows.end).collect();
        Drawn { sides, places, rows, found: across(vectors, width, &ends) }
    }

    /// The line of a side's row, from 0.
    fn line(&self, side: usize, row: usize) -> usize {
        self.sides[side].lines[self.places[side][row - self.rows[side].start]]
    }

    fn translates(&self, (a, row): (usize, usize), (b, other): (usize, usize)) -> bool {
        self.sides[a].set == self.sides[b].set && self.line(a, row) == self.line(b, other)
    }

    /// The nearest row of each side in another language: the side, the row, and its cosine.
    fn elsewhere(&self, side: usize, row: usize) -> impl Iterator<Item = (usize, usize, f32)> {
        let other = move |b: &usize| self.sides[*b].language != self.sides[side].language;
        let found = &self.found[row];
        (0..self.sides.len()).filter(other).filter_map(|b| found[b].map(|(n, cosine)| (b, n, cosine)))
    }

    /// What lies nearest to the sentences of a side; languages that it has translations in are told, in which they lie.
    fn nearest(&self, side: usize) -> Nearest {
        let (mut right, mut counts) = (0, vec![0usize; self.sides.len()]);
        for row in self.rows[side].clone() {
            let nearer =
                |best: (usize, usize, f32), one: (usize, usize, f32)| if one.2 > best.2 { one } else { best };
            if let Some((b, other, _)) = self.elsewhere(side, row).reduce(nearer) {
                counts[b] += 1;
                right += usize::from(self.translates((side, row), (b, other)));
            }
        }
        let percent = |count: usize| 100.0 * count as f64 / self.rows[side].len() as f64;
        let own = &self.sides[side];
        let told = |b: &usize| self.sides[*b].set == own.set && self.sides[*b].language != own.language;
        let of =
            (0..self.sides.len()).filter(told).map(|b| (self.sides[b].language.clone(), percent(counts[b])));
        Nearest { language: own.language.clone(), translation: percent(right), of: of.collect() }
    }

    /// Of a side the sentence whose nearest ones in its set are least often translations, the first of such, and the one in the middle.
    fn examples(&self, side: usize) -> Vec<Example> {
        let missed = |row: usize| {
            let there =
                self.elsewhere(side, row).filter(|(b, ..)| self.sides[*b].set == self.sides[side].set);
            there.filter(|&(b, other, _)| !self.translates((side, row), (b, other))).count()
        };
        let rows = self.rows[side].clone();
        let middle = rows.start + rows.len() / 2;
        let worst = rows.reduce(|worst, row| if missed(row) > missed(worst) { row } else { worst });
        let mut shown: Vec<usize> = worst.into_iter().chain([middle]).collect();
        shown.dedup();
        shown.into_iter().map(|row| self.example(side, row)).collect()
    }

    fn example(&self, side: usize, row: usize) -> Example {
        let (own, line) = (&self.sides[side], self.line(side, row));
        let there = self.elsewhere(side, row).filter(|(b, ..)| self.sides[*b].set == own.set);
        let found = there.map(|(b, other, cosine)| Found {
            language: self.sides[b].language.clone(),
            text: self.sides[b].texts[self.line(b, other)].clone(),
            cosine,
            translation: self.translates((side, row), (b, other)),
        });
        Example {
            language: own.language.clone(),
            line: line + 1,
            text: own.texts[line].clone(),
            found: found.collect(),
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let points: usize = self.sides.iter().map(|side| side.points.len()).sum();
        writeln!(f, "{points} sentences, trustworthiness {:.1}", 100.0 * self.trustworthiness)?;
        writeln!(f, "languages  sentences  directions  SVCCA")?;
        for Alike { first, second, sentences, directions: [a, b], svcca } in &self.alike {
            let pair = format!("{first}–{second}");
            writeln!(f, "{pair:9} {sentences:10} {:>11} {:6.1}", format!("{a}, {b}"), 100.0 * svcca)?;
        }
        writeln!(f, "language   nearest is a translation, and in which language it is")?;
        for Nearest { language, translation, of } in &self.nearest {
            let of: Vec<String> = of.iter().map(|(l, share)| format!("{l} {share:.0}")).collect();
            writeln!(f, "{language:9} {translation:6.1}  ({})", of.join(", "))?;
        }
        write!(f, "{}", self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_of_one_set_by_way_of_a_third() {
        assert_eq!(sets(6, &[[0, 1], [4, 5], [2, 1]]), [0, 0, 0, 1, 2, 2]);
        assert_eq!(sets(2, &[]), [0, 1]);
    }

    #[test]
    fn lines_are_spread_evenly() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(spread(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 9).count(), 0);
    }
}
