//! `consistency.json`: how a run joins queries in several languages.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{RunFolder, VERSION, Which, json};
use crate::eval::Fitted;
use crate::write::{clear_partial, write_whole};
use crate::{Error, Result};

const AGAIN: &str = "fit it again with `tinyglot evaluate`";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    /// Of the checkpoint that it was fitted for.
    step: usize,
    fitted: Fitted,
}

impl RunFolder {
    fn joining(&self) -> PathBuf {
        self.path.join("consistency.json")
    }

    /// Keeps what was fitted for the checkpoint of a step, in place of an earlier one. While a training goes on, a better checkpoint
    /// may have come since that one was read: then nothing is kept.
    ///
    /// # Errors
    /// Data, where the state of the best checkpoint cannot be read; run, where the file cannot be written.
    pub fn write_fitted(&self, fitted: &Fitted, step: usize) -> Result<()> {
        if self.read_state(Which::Best)?.step != step {
            return Ok(());
        }
        let kept = Kept { version: VERSION, step, fitted: fitted.clone() };
        let text = serde_json::to_string_pretty(&kept).expect("plain data") + "\n";
        // What a kill has left of an earlier one; the run is not locked for this.
        clear_partial(&self.path)?;
        write_whole(&self.joining(), text.as_bytes())
    }

    /// What was fitted for the checkpoint of a step; nothing where nothing was.
    ///
    /// # Errors
    /// Data: a file of another version, of another checkpoint, of languages that the run does not have, or a damaged one.
    pub fn fitted(&self, step: usize) -> Result<Option<Fitted>> {
        let path = self.joining();
        if !path.exists() {
            return Ok(None);
        }
        let kept: Kept = json::read_versioned_or(&path, "what CLC-C was fitted to", [AGAIN; 2])?;
        let refuse = |what: String| Err(Error::data(what).at(&path).hint(AGAIN));
        if kept.step != step {
            return refuse(format!(
                "was fitted for the checkpoint of step {}; the one that was read is of {step}",
                kept.step
            ));
        }
        let known = self.info()?.languages;
        match kept.fitted.languages.iter().find(|l| !known.contains(l)) {
            Some(language) => refuse(format!("has `{language}`, which the run does not know")),
            None => Ok(Some(kept.fitted)),
        }
    }
}
