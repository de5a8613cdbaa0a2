//! Queries in several languages at once: their texts in the corpus.

use crate::config::Source;
use crate::corpus::{Asked, Corpus, SplitName};

/// Queries of a split, the same ones in each of several languages.
pub(crate) struct Together<'a> {
    /// The place of the language whose captions they are; nothing for parallel captions.
    pub language: Option<usize>,
    /// Places of the languages.
    pub languages: Vec<usize>,
    pub image_of: Vec<u32>,
    /// For each language the text of each query.
    pub texts: Vec<Vec<&'a str>>,
}

/// What asks in several languages in `val` or `test`: captions with their translations by language, else the parallel captions. Nothing
/// where there is nothing in two languages.
pub(crate) fn together<'a>(corpus: &'a Corpus, split: SplitName) -> Vec<Together<'a>> {
    if let Some(translations) = &corpus.translations {
        let set = |(language, asked): (usize, &'a Asked)| Together {
            language: Some(language),
            languages: translations.languages.clone(),
            image_of: asked.image_of.clone(),
            texts: asked.texts.iter().map(|of| of.iter().map(String::as_str).collect()).collect(),
        };
        return translations.split(split).map(set).collect();
    }
    let Some(parallel) = &corpus.parallel else { return Vec::new() };
    let Some(texts) = parallel.split(split) else { return Vec::new() };
    let both = |l: &usize| parallel.val[*l].is_some() && parallel.test[*l].is_some();
    let languages: Vec<usize> = (0..corpus.languages.len()).filter(both).collect();
    if languages.len() < 2 {
        return Vec::new();
    }
    vec![Together {
        language: None,
        image_of: (0..corpus.split(split).features.rows() as u32).collect(),
        texts: languages.iter().map(|&l| texts[l].iter().flatten().map(String::as_str).collect()).collect(),
        languages,
    }]
}

/// The captions by people of a language among queries in several languages.
pub(crate) struct Covered {
    pub captions: usize,
    /// The place of the queries.
    pub set: usize,
    /// The rows of those captions that are there.
    pub rows: Vec<usize>,
}

/// Nothing where no query is in the language.
pub(crate) fn covered(
    corpus: &Corpus,
    split: SplitName,
    language: usize,
    sets: &[Together],
) -> Option<Covered> {
    let own: Vec<_> =
        corpus.split(split).captions[language].iter().filter(|c| c.source == Source::Human).collect();
    let asks = |set: &Together| set.language.map_or(set.languages.contains(&language), |of| of == language);
    let set = sets.iter().position(asks)?;
    let rows = match sets[set].language {
        Some(_) => (0..own.len()).collect(),
        // Parallel captions translate those captions that they are.
        None => {
            let place = sets[set].languages.iter().position(|&l| l == language)?;
            let of_picture = own.iter().map(|c| (c.image as usize, &c.text));
            of_picture
                .filter(|(row, text)| sets[set].texts[place][*row] == **text)
                .map(|(row, _)| row)
                .collect()
        }
    };
    Some(Covered { captions: own.len(), set, rows })
}
