//! `tinyglot pack`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::stdout;
use super::terminal::Terminal;
use crate::Result;
use crate::checkpoint::ReservedFolder;
use crate::family::{Packed, bytes_of};
use crate::numbers::Format;
use crate::run::PackOptions;

/// Make a run small enough to ship: what search, embed and evaluate need, and nothing that only training needs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new folder is used as a run is. It cannot be trained on, and no language can be added to it: keep the run for that.

Words that training has not seen are guessed from their character n-grams, whose FastText vectors are most of a run. Of these the ones
that weigh most are kept, in eight bits each. What that costs is told: how many of the words that FastText has seen and the
model has not keep their latent token. `--ngrams 0` leaves unseen words out.

Weights take two bytes a number in f16, one in int8 (a scale for each row), 4.5 bits in int4 (a scale for each 32) and two bits in pq (four
numbers as one of 256 centres). `--rows` keeps the vectors of words, of which a search reads a few, in another format than the layers.
`tinyglot evaluate MODEL` says what is lost.

Examples:
  tinyglot pack runs/multi30k --out model
  tinyglot pack runs/multi30k --out model --weights int8 --rows int4 --ngrams 3000
  tinyglot pack runs/multi30k --out model --ngrams 0
  tinyglot search model --language de \"ein Hund im Schnee\" --images gallery.npy")]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Folder to make
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Languages that the model is for; not of models whose languages share what reads them [default: all of the run]
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub languages: Vec<String>,
    /// N-grams to keep of each language, at most [default: 10000]
    #[arg(long, value_name = "N")]
    pub ngrams: Option<usize>,
    /// Numbers that weights are kept in; they are computed with in f32
    #[arg(long, value_name = "FORMAT", default_value = "f16", value_parser = format())]
    pub weights: Format,
    /// Numbers that the vectors of words are kept in [default: those of the weights]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub rows: Option<Format>,
}

/// A format by its name.
pub fn format() -> impl TypedValueParser<Value = Format> {
    let by_name =
        |name: String| Format::ALL.into_iter().find(|format| format.name() == name).expect("a name");
    PossibleValuesParser::new(Format::ALL.map(Format::name)).map(by_name)
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let place = ReservedFolder::new(&args.out)?;
    let Args { run, ngrams, weights, rows, languages, .. } = args;
    let options = PackOptions { ngrams, weights, rows, languages };
    let Packed { folder, unseen, .. } = crate::run::pack(&run, options, place)?;
    for language in &unseen {
        terminal.say(&format!(
            "`{}`: of {} words that FastText has seen and the model has not, {:.1} % keep their latent token (mean cosine {:.3})",
            language.language,
            language.words,
            100.0 * language.same,
            language.cosine
        ));
    }
    let (before, after) = (bytes_of(&run)?, bytes_of(&folder.path)?);
    terminal.say(&format!("{} → {}", megabytes(before), megabytes(after)));
    for (part, what) in [("checkpoints", "weights"), ("words", "words")] {
        let path = folder.path.join(part);
        if path.exists() {
            terminal.say(&format!("  {what}: {}", megabytes(bytes_of(&path)?)));
        }
    }
    stdout::print(&format!("{}\n", folder.path.display()))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
