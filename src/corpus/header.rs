//! The header of a `.npy` file: a Python dictionary of strings, whole numbers, truth values and tuples.
//!
//! NumPy reads it as a Python literal, so keys come in any order, strings in either quotes, spaces anywhere; Python 2 wrote
//! long numbers with an `L`, and some programs write numbers as they print, `np.int64(12)`.

/// A Python literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(usize),
    Truth(bool),
    /// A tuple or a list.
    Several(Vec<Literal>),
}

/// The entries of a dictionary, in order; `None` where the text is none.
pub(super) fn dictionary(text: &str) -> Option<Vec<(String, Literal)>> {
    let mut rest = Rest(text);
    rest.take('{')?;
    let mut entries = Vec::new();
    while rest.take('}').is_none() {
        let Literal::Text(key) = rest.literal()? else { return None };
        rest.take(':')?;
        entries.push((key, rest.literal()?));
        if rest.take(',').is_none() {
            rest.take('}')?;
            break;
        }
    }
    rest.0.trim_end_matches(|c: char| c.is_whitespace() || c == '\0').is_empty().then_some(entries)
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Passes over white space and then this, if it is next.
    fn take(&mut self, wanted: char) -> Option<()> {
        self.0 = self.0.trim_start();
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }

    /// As many as hold.
    fn word(&mut self, holds: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !holds(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn literal(&mut self) -> Option<Literal> {
        self.0 = self.0.trim_start();
        match self.0.chars().next()? {
            quote @ ('\'' | '"') => self.text(quote),
            '(' => self.several('(', ')'),
            '[' => self.several('[', ']'),
            '0'..='9' => {
                let digits = self.word(|c| c.is_ascii_digit() || c == '_');
                self.0 = self.0.strip_prefix(['L', 'l']).unwrap_or(self.0);
                digits.replace('_', "").parse().ok().map(Literal::Number)
            }
            _ => self.named(),
        }
    }

    /// No string that describes numbers needs an escape.
    fn text(&mut self, quote: char) -> Option<Literal> {
        self.take(quote)?;
        let (text, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        (!text.contains('\\')).then(|| Literal::Text(text.to_string()))
    }

    fn several(&mut self, open: char, close: char) -> Option<Literal> {
        self.take(open)?;
        let (mut all, mut comma) = (Vec::new(), false);
        while self.take(close).is_none() {
            all.push(self.literal()?);
            comma = self.take(',').is_some();
            if !comma {
                self.take(close)?;
                break;
            }
        }
        // Brackets around one value, without a comma, are no tuple.
        match all.len() {
            1 if open == '(' && !comma => all.pop(),
            _ => Some(Literal::Several(all)),
        }
    }

    /// `True`, `False`, a string with a letter before it, or a number as NumPy prints it.
    fn named(&mut self) -> Option<Literal> {
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        match (name, self.0.chars().next()) {
            ("True", _) => Some(Literal::Truth(true)),
            ("False", _) => Some(Literal::Truth(false)),
            ("u" | "U" | "b" | "B" | "r" | "R", Some(quote @ ('\'' | '"'))) => self.text(quote),
            (name, Some('(')) => {
                let name = name.rsplit('.').next().unwrap_or(name);
                let whole = name.trim_start_matches('u').strip_prefix("int").is_some();
                let inside = self.several('(', ')')?;
                (whole && matches!(inside, Literal::Number(_))).then_some(inside)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Literal::{Number, Several, Text, Truth};

    fn shape(written: &str) -> Option<Literal> {
        let entries = dictionary(&format!("{{'shape': {written}}}"))?;
        entries.into_iter().next().map(|(_, value)| value)
    }

    #[test]
    fn dictionaries_are_read_however_they_are_written() {
        let entries = |shape: Vec<Literal>| {
            vec![
                ("descr".to_string(), Text("<f4".into())),
                ("fortran_order".into(), Truth(false)),
                ("shape".into(), Several(shape)),
            ]
        };
        for written in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 16), }      \n",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (12L, 16L)}\n",
            "{\"descr\" : \"<f4\" , \"fortran_order\" : False , \"shape\" : ( 12 ,16 , ) }",
            "{u'descr':b'<f4',u'fortran_order':False,u'shape':(np.int64(12), numpy.uint32(16))}\0\0",
            "{\n 'descr':\n'<f4',\t'fortran_order':False,'shape':[1_2,16]}",
        ] {
            assert_eq!(dictionary(written), Some(entries(vec![Number(12), Number(16)])), "{written}");
        }
        assert_eq!(dictionary("{}"), Some(Vec::new()));
    }

    #[test]
    fn brackets_make_a_tuple_by_the_comma() {
        assert_eq!(shape("(3)"), Some(Number(3)));
        assert_eq!(shape("(3,)"), Some(Several(vec![Number(3)])));
        assert_eq!(shape("()"), Some(Several(Vec::new())));
        assert_eq!(
            shape("[('a', '<f4')]"),
            Some(Several(vec![Several(vec![Text("a".into()), Text("<f4".into())])]))
        );
    }

    #[test]
    fn what_is_no_literal_is_none() {
        for written in
            ["-1", "1.5", "(1 2)", "(1,", "'a", "'\\x41'", "None", "float(3)", "int64('a')", "nope", ""]
        {
            assert_eq!(shape(written), None, "{written}");
        }
        for written in ["", "{", "[]", "{'a' 1}", "{'a': 1 'b': 2}", "{1: 2}", "{'a': 1} x", "{,}"] {
            assert_eq!(dictionary(written), None, "{written}");
        }
    }
}
