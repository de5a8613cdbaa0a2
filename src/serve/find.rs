//! What is asked of a run and its index, and what they answer.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use crate::Result;
use crate::eval::joined;
use crate::pixels::Day;
use crate::retrieve::{Hit, Index, Retriever, search};

/// Characters of the longest text that is taken.
pub const LONGEST: usize = 1000;
/// Pictures of the longest answer.
pub const MOST: usize = 1000;
/// Texts that are embedded at a time.
pub const TEXTS: usize = 256;
/// Folders that a page lets one choose from.
const FOLDERS: usize = 500;
/// Languages that a query is given in at most.
pub const LANGUAGES: usize = 16;

/// An index that is open, and its pictures by their ids.
pub struct Opened {
    pub index: Index,
    /// The first one's row, where several have an id.
    rows: HashMap<String, usize>,
    folders: Vec<String>,
}

impl Opened {
    pub fn new(index: Index) -> Opened {
        // The first of equal ids is put in last.
        let rows = index.ids().iter().cloned().enumerate().rev().map(|(row, id)| (id, row)).collect();
        let folders = folders(&index);
        Opened { index, rows, folders }
    }

    /// The row of a picture, by its id.
    ///
    /// # Errors
    /// What the index does not have, or no longer.
    pub fn row(&self, id: &str) -> Result<usize, Refusal> {
        let row = self.rows.get(id).copied();
        row.ok_or_else(|| Refusal::missing(format!("the index has no picture `{id}`")))
    }

    /// The folders of photographs, also those that hold folders alone, sorted: as many as a page shows.
    pub fn folders(&self) -> &[String] {
        &self.folders
    }

    /// What is told of a picture.
    pub fn found(&self, row: usize, score: f64) -> Found {
        let date = self.index.day(row).map(|day| day.to_string());
        Found { id: self.index.ids()[row].clone(), row, score, date }
    }

    /// The `k` pictures nearest to a vector, among those that a filter lets through.
    fn nearest(&self, vector: &[f32], k: usize, filter: &Filter) -> Result<Vec<Hit>> {
        let Some(rows) = filter.rows(&self.index) else {
            return Ok(search(&self.index, vector, k)?.swap_remove(0));
        };
        let mut found = search(&self.index.among(&rows), vector, k)?.swap_remove(0);
        found.iter_mut().for_each(|hit| hit.row = rows[hit.row as usize]);
        Ok(found)
    }
}

/// Which pictures are searched: those of a folder, and of some days. Pictures without a day are of none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub folder: Option<String>,
    pub from: Option<Day>,
    pub to: Option<Day>,
}

impl Filter {
    /// By texts, of which empty ones say nothing.
    ///
    /// # Errors
    /// What is no day, or days of which the last is before the first.
    pub fn new([folder, from, to]: [Option<String>; 3]) -> Result<Filter, Refusal> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let day = |name: &str, text: Option<String>| {
            let day = given(text).map(|text| text.parse::<Day>()).transpose();
            day.map_err(|e| Refusal::bad(format!("`{name}`: {e}")))
        };
        let (from, to) = (day("from", from)?, day("to", to)?);
        if let (Some(first), Some(last)) = (from, to)
            && last < first
        {
            return Err(Refusal::bad(format!("`to` is {last}, before `from`, {first}")));
        }
        let folder = given(folder).map(|folder| folder.trim_end_matches('/').to_string());
        Ok(Filter { folder, from, to })
    }

    pub fn is_none(&self) -> bool {
        *self == Filter::default()
    }

    /// The rows that it lets through; nothing, where that is all of them.
    pub fn rows(&self, index: &Index) -> Option<Vec<u32>> {
        if self.is_none() {
            return None;
        }
        let within = self.folder.as_ref().map(|folder| format!("{folder}/"));
        let timed = self.from.is_some() || self.to.is_some();
        let fits = |(row, id): &(u32, &String)| {
            let day = || index.day(*row as usize);
            let in_time =
                |day: Day| self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to);
            within.as_ref().is_none_or(|within| id.starts_with(within))
                && (!timed || day().is_some_and(in_time))
        };
        Some((0..).zip(index.ids()).filter(fits).map(|(row, _)| row).collect())
    }
}

/// The folders that ids of photographs name.
fn folders(index: &Index) -> Vec<String> {
    let mut all = BTreeSet::new();
    if index.has_photographs() {
        for id in index.ids() {
            for (at, _) in id.match_indices('/') {
                if all.len() < FOLDERS && !all.contains(&id[..at]) {
                    all.insert(id[..at].to_string());
                }
            }
        }
    }
    all.into_iter().collect()
}

/// One text, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
pub enum OneOrMore {
    /// One
    One(#[schemars(length(min = 1, max = 1000))] String),
    /// Several, in order
    More(#[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 1000)))] Vec<String>),
}

impl OneOrMore {
    pub fn new(mut all: Vec<String>) -> OneOrMore {
        match all.len() {
            1 => OneOrMore::One(all.swap_remove(0)),
            _ => OneOrMore::More(all),
        }
    }

    pub fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(all) => all,
        }
    }
}

/// A sentence, once in each of some languages, and how many pictures are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub texts: Vec<String>,
    pub languages: Vec<String>,
    pub k: usize,
    pub filter: Filter,
}

/// A picture that was found.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Found {
    /// Its id in the index
    pub id: String,
    /// Its row in the index, from 0
    pub row: usize,
    /// Cosine of query and picture
    pub score: f64,
    /// Of photographs, the day on which it was taken, or else its file was changed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// The pictures that were found for a query, the best first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Searched {
    /// The query, in each language
    pub query: OneOrMore,
    /// The language of each
    pub language: OneOrMore,
    /// The pictures, the best first
    pub hits: Vec<Found>,
    /// What is wrong with the query: no known word in it, or too long for the model
    pub warnings: Vec<String>,
}

/// The pictures that are nearest to one of them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Similar {
    /// The picture's own id
    pub id: String,
    /// Other pictures, the nearest first
    pub hits: Vec<Found>,
}

/// The pictures that are nearest to one that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SimilarTo {
    /// The pictures, the nearest first
    pub hits: Vec<Found>,
}

/// Sentences as vectors.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Embedded {
    /// The language of the sentences
    pub language: String,
    /// Numbers of each vector
    pub width: usize,
    /// A vector for each sentence, of unit length
    pub vectors: Vec<Vec<f32>>,
    /// What is wrong with sentences: no known word in them, or too long for the model
    pub warnings: Vec<String>,
}

impl Query {
    /// Texts without blanks around them, each in a language of its own.
    ///
    /// # Errors
    /// What cannot be searched for.
    pub fn new(
        texts: Vec<String>,
        languages: Vec<String>,
        k: usize,
        filter: Filter,
    ) -> Result<Query, Refusal> {
        if texts.is_empty() {
            return Err(Refusal::bad("`q` is missing: say what the picture shows"));
        }
        if languages.len() > LANGUAGES {
            return Err(Refusal::bad(format!("`language` has more than {LANGUAGES} languages")));
        }
        if texts.len() != languages.len() {
            let what = format!("`q` has {} texts, `language` has {}", texts.len(), languages.len());
            return Err(Refusal::bad(format!("{what}: give `q` once in each language, in their order")));
        }
        let texts = texts.iter().map(|text| clean(text, "q")).collect::<Result<_, _>>()?;
        Ok(Query { texts, languages, k: count(k)?, filter })
    }
}

/// A text that a model can read.
fn clean(text: &str, name: &str) -> Result<String, Refusal> {
    let text = text.trim();
    let length = text.chars().count();
    match () {
        () if text.is_empty() => Err(Refusal::bad(format!("`{name}` is empty: say what the picture shows"))),
        () if length > LONGEST => {
            Err(Refusal::bad(format!("`{name}` has {length} characters, of {LONGEST} at most")))
        }
        () if text.contains('\0') => Err(Refusal::bad(format!("`{name}` holds a NUL, which is no text"))),
        () => Ok(text.to_string()),
    }
}

/// How many pictures are to be found.
pub fn count(k: usize) -> Result<usize, Refusal> {
    match (1..=MOST).contains(&k) {
        true => Ok(k),
        false => Err(Refusal::bad(format!("`k` is {k}, and must be from 1 to {MOST}"))),
    }
}

/// The pictures that fit a query, as `tinyglot search --index` finds them.
pub fn searched(run: &dyn Retriever, opened: &Opened, query: Query) -> Result<Searched> {
    let (mut vectors, mut warnings) = (Vec::new(), Vec::new());
    for (text, language) in query.texts.iter().zip(&query.languages) {
        vectors.push(sentences(run, language, &[text], &mut warnings)?);
    }
    let by_language: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
    let vector = match by_language[..] {
        [one] => one.to_vec(),
        _ => {
            let weights = run.weights(&query.languages)?;
            let weights = weights.unwrap_or_else(|| vec![1.0; query.languages.len()]);
            joined(&by_language, &weights, run.joint())
        }
    };
    let hits = found(opened, &opened.nearest(&vector, query.k, &query.filter)?);
    let (query, language) = (OneOrMore::new(query.texts), OneOrMore::new(query.languages));
    Ok(Searched { query, language, hits, warnings })
}

/// The pictures nearest to one of them, itself left out.
pub fn similar(opened: &Opened, row: usize, k: usize, filter: &Filter) -> Result<Similar> {
    let mut hits = found(opened, &opened.nearest(&opened.index.vector(row), k + 1, filter)?);
    hits.retain(|hit| hit.row != row);
    hits.truncate(k);
    Ok(Similar { id: opened.index.ids()[row].clone(), hits })
}

/// The pictures nearest to the vector of one that is not in the index.
pub fn similar_to(opened: &Opened, vector: &[f32], k: usize, filter: &Filter) -> Result<Vec<Found>> {
    Ok(found(opened, &opened.nearest(vector, k, filter)?))
}

/// Refuses texts that cannot be embedded.
pub fn check_texts(texts: &[String]) -> Result<Vec<String>, Refusal> {
    if !(1..=TEXTS).contains(&texts.len()) {
        let what = format!("`texts` has {} texts, and must have from 1 to {TEXTS}", texts.len());
        return Err(Refusal::bad(what));
    }
    (0..).zip(texts).map(|(n, text)| clean(text, &format!("texts[{n}]"))).collect()
}

/// The vectors of sentences, as `tinyglot embed` gives them.
pub fn embedded(run: &dyn Retriever, language: String, texts: &[String]) -> Result<Embedded> {
    let (mut warnings, width) = (Vec::new(), run.joint());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = sentences(run, &language, &texts, &mut warnings)?;
    let vectors = vectors.chunks(width).map(<[f32]>::to_vec).collect();
    Ok(Embedded { language, width, vectors, warnings })
}

fn sentences(
    run: &dyn Retriever,
    language: &str,
    texts: &[&str],
    warnings: &mut Vec<String>,
) -> Result<Vec<f32>> {
    let (vectors, more) = run.embed(run.language(language)?, texts)?;
    warnings.extend(more);
    Ok(vectors)
}

fn found(opened: &Opened, hits: &[Hit]) -> Vec<Found> {
    hits.iter().map(|hit| opened.found(hit.row as usize, hit.score.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_checked() {
        let of = |texts: &[&str], languages: &[&str], k| {
            let all = |some: &[&str]| some.iter().map(|&one| one.to_string()).collect::<Vec<_>>();
            Query::new(all(texts), all(languages), k, Filter::default())
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!(of(&[" a dog\n"], &["en"], 3).unwrap().texts, ["a dog"]);
        assert!(of(&[&"ß".repeat(1000)], &["de"], 1000).is_ok());
        for (refused, said) in [
            (of(&[], &["en"], 1), "`q` is missing"),
            (of(&["a", "b"], &["en"], 1), "`q` has 2 texts, `language` has 1"),
            (of(&[" \t"], &["en"], 1), "`q` is empty"),
            (of(&["a\0b"], &["en"], 1), "NUL"),
            (of(&[&"ß".repeat(1001)], &["de"], 1), "1001 characters"),
            (of(&["a"], &["en"], 0), "`k` is 0"),
            (of(&["a"], &["en"], 1001), "`k` is 1001"),
            (of(&["a"; 17], &["en"; 17], 1), "more than 16"),
        ] {
            assert!(refused.unwrap_err().contains(said), "{said}");
        }
        let filter = |folder: &str, from: &str, to: &str| {
            Filter::new([folder, from, to].map(|text| Some(text.to_string()))).map_err(|e| e.to_string())
        };
        assert!(filter("", "", "").unwrap().is_none());
        assert_eq!(filter("a/b/", "", "").unwrap().folder.as_deref(), Some("a/b"));
        assert!(filter("", "2024-05-01", "2024-05-01").is_ok());
        assert!(filter("", "2024-05-02", "2024-05-01").unwrap_err().contains("before `from`"));
        assert!(filter("", "", "1.5.2024").unwrap_err().contains("`to`: `1.5.2024` is no day"));
        assert_eq!(check_texts(&vec!["a".into(); 257]).unwrap_err().status(), 400);
        assert!(check_texts(&["a".into(), " ".into()]).unwrap_err().to_string().contains("texts[1]"));
    }
}
