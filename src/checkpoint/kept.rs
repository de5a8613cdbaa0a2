//! What a run remembers of itself in `run.json`: the configuration it was trained with, and the checksums of files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{DAMAGED, PREPARED, RunFolder, RunInfo, json};
use crate::config::{Config, changed_since, lasting, may_change};
use crate::error::{InFile, Kind};
use crate::{Error, Result, checksum, names};

impl RunFolder {
    /// Writes `run.json`, the last file of a run to be: with the configuration in `config.toml` and the checksums of the
    /// files there are.
    ///
    /// # Errors
    /// Config, where `config.toml` cannot be used; data, where a file cannot be read; run, where `run.json` cannot be written.
    pub fn write_info(&self, info: &RunInfo) -> Result<()> {
        let config = Config::load_run(&self.path.join("config.toml"), &[])?;
        let mut files = BTreeMap::new();
        for folder in PREPARED {
            self.add_checksums(folder, &mut files)?;
        }
        let info = RunInfo { trained_with: Some(lasting(&config)), files, ..info.clone() };
        json::write(&self.path.join("run.json"), &info)
    }

    fn add_checksums(&self, folder: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
        let path = self.path.join(folder);
        if !path.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(&path).map_err(|e| Error::reading(&path, e))? {
            let file = entry.map_err(|e| Error::reading(&path, e))?.path();
            if let (true, Some(name)) = (file.is_file(), file.file_name().and_then(|name| name.to_str())) {
                files.insert(format!("{folder}/{name}"), checksum::of_file(&file)?);
            }
        }
        Ok(())
    }

    /// Compares the files of a folder of the run with the checksums in `run.json`; earlier programs wrote none.
    ///
    /// # Errors
    /// Data, naming the file that is missing, or is not as it was written.
    pub fn check_files(&self, folder: &str) -> Result<()> {
        for (name, written) in self.info()?.files {
            // Nothing outside of the run is looked at, whatever is written there.
            if Path::new(&name).parent() == Some(Path::new(folder)) {
                checksum::check_file(&self.path.join(name), &written)?;
            }
        }
        Ok(())
    }

    /// Refuses a `config.toml` that says something else than the run was trained with. Where the data are and what may change
    /// when a run goes on may differ.
    ///
    /// # Errors
    /// Data, naming the keys.
    pub fn check_config(&self) -> Result<()> {
        let Some(trained) = self.info()?.trained_with else { return Ok(()) };
        // As it is written, without what is set over it.
        let config = self.config()?;
        let changed = changed_since(trained, &config).map_err(|e| {
            Error::data("not a run's description: `trained_with`").at(self.path.join("run.json")).because(e)
        })?;
        let family = config.family();
        let kept: Vec<String> =
            changed.into_iter().filter(|key| !may_change(family, key) && !key.starts_with("data.")).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let what = format!("was changed after training: `{}`", kept.join("`, `"));
        Err(Error::data(what)
            .at(self.path.join("config.toml"))
            .hint("give these keys the values in `run.json`, under `trained_with`, or train a run with the new ones"))
    }

    /// The description of the run.
    ///
    /// # Errors
    /// Data: no run, of another version, not as it was written.
    pub fn info(&self) -> Result<RunInfo> {
        let file = self.path.join("run.json");
        if !file.exists() {
            return Err(Error::data("no run here: `run.json` is missing")
                .at(&self.path)
                .hint("give the folder that `tinyglot train --out` made"));
        }
        let info: RunInfo = json::read_versioned(&file, "a run's description")?;
        info.languages.iter().try_for_each(|l| names::code(l, Kind::Data).map(drop)).in_file(&file)?;
        if info.languages.is_empty() || info.human.len() != info.languages.len() || info.features == 0 {
            let (languages, human) = (info.languages.len(), info.human.len());
            let what = format!(
                "has {languages} languages, {human} of them human or not, and features of width {}",
                info.features
            );
            return Err(Error::data(what).at(&file).hint(DAMAGED));
        }
        Ok(info)
    }
}
