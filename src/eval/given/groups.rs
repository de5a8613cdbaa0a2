//! Groups of languages that means are taken over, such as those seen and those not seen in training.

use std::fs;
use std::path::Path;

use super::Known;
use crate::error::InFile;
use crate::{Error, Result, names};

/// Groups by name, each with the languages of the model that are in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(pub Vec<(String, Vec<String>)>);

impl Groups {
    /// Reads a TOML file of lists: `seen = ["en", "de"]`. Languages that the model does not know are left out.
    ///
    /// # Errors
    /// Data, with the file: no TOML, no list of codes, or a group of which the model knows no language.
    pub fn read(file: &Path, known: Known) -> Result<Groups> {
        let text = fs::read_to_string(file).map_err(|e| Error::reading(file, e))?;
        Groups::parse(&text, known).in_file(file)
    }

    fn parse(text: &str, known: Known) -> Result<Groups> {
        let table: toml::Table = toml::from_str(text).map_err(|e| {
            Error::data(format!("is not TOML: {}", e.message()))
                .hint("write groups as `seen = [\"en\", \"de\"]`")
        })?;
        let mut groups = Vec::new();
        for (name, value) in table {
            let all =
                value.as_array().map(|all| all.iter().map(|code| code.as_str()).collect::<Option<Vec<_>>>());
            let codes = all.flatten().ok_or_else(|| {
                Error::data(format!("`{name}` is `{value}`"))
                    .hint("a group is a list of codes: `seen = [\"en\", \"de\"]`")
            })?;
            if let Some(code) = codes.iter().find(|code| !names::is_code(code)) {
                return Err(Error::data(format!("`{name}` holds `{code}`, which is no language code")));
            }
            let mut places: Vec<usize> = codes
                .iter()
                .filter_map(|code| known.data.meant(known.languages, code))
                .map(|m| m.0)
                .collect();
            places.sort_unstable();
            places.dedup();
            if places.is_empty() {
                return Err(Error::data(format!(
                    "the run knows no language of the group `{name}`: `{}`",
                    codes.join("`, `")
                ))
                .hint(known.hint()));
            }
            groups.push((name, places.into_iter().map(|place| known.languages[place].clone()).collect()));
        }
        Ok(Groups(groups))
    }

    /// For each group its name and the mean over those of `values` whose languages are all in it; groups without any are left out.
    pub fn means<'a>(&'a self, values: &[(Vec<&str>, f64)]) -> Vec<(&'a str, f64)> {
        let of = |(name, members): &'a (String, Vec<String>)| {
            let inside = |languages: &Vec<&str>| languages.iter().all(|l| members.iter().any(|m| m == l));
            let own: Vec<f64> =
                values.iter().filter(|(languages, _)| inside(languages)).map(|v| v.1).collect();
            mean(&own).map(|mean| (name.as_str(), mean))
        };
        self.0.iter().filter_map(of).collect()
    }
}

/// The mean, where there is anything to take it over.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DataConfig;

    #[test]
    fn means_are_over_the_languages_of_a_group() {
        let (languages, data) = (["en", "de", "cs"].map(String::from), DataConfig::default());
        let known = Known { languages: &languages, data: &data };
        let groups = Groups::parse("seen = ['deu', 'eng_Latn', 'xx']\nunseen = ['ces']", known).unwrap();
        assert_eq!(groups.0[0], ("seen".into(), vec!["en".into(), "de".into()]));
        let values = [(vec!["en"], 1.0), (vec!["de"], 2.0), (vec!["cs"], 5.0), (vec!["de", "cs"], 9.0)];
        assert_eq!(groups.means(&values), [("seen", 1.5), ("unseen", 5.0)]);
        for (text, said) in [
            ("seen = 'en'", "`seen` is `\"en\"`"),
            ("seen = [1]", "`seen` is `[1]`"),
            ("seen = ['../en']", "`../en`, which is no language code"),
            ("seen = ['xx']", "knows no language of the group `seen`: `xx`"),
            ("seen", "is not TOML"),
        ] {
            let error = Groups::parse(text, known).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
