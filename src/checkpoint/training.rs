//! A checkpoint: model, optimiser and state, written together and read together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{
    DAMAGED, MIXED, PREPARED, RunFolder, Stored, TensorFile, TrainState, Which, json, write_tensors,
};
use crate::checksum::sha256;
use crate::map::Map;
use crate::numbers::Format;
use crate::ops::host_device::HostDeviceBuffer;
use crate::ops::rows::Table;
use crate::optim::ParameterTree;
use crate::optim::{Adam, AdamState};
use crate::{Error, Result, checksum};

pub(super) const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
/// The files of a checkpoint beside its state.
const TENSORS: [&str; 2] = [MODEL, OPTIMIZER];
/// Files in folders of [`PREPARED`] that say which row of a table a word is.
const TOKENS: [&str; 2] = ["lexicon.json", "tokenizer.json"];
/// No training comes so far: rows of tables count steps in 32 bits.
const LAST: usize = u32::MAX as usize;

impl RunFolder {
    pub(super) fn write_checkpoint(
        &self,
        folder: &Path,
        model: &mut dyn ParameterTree,
        training: Option<(&Adam, &BTreeMap<String, HostDeviceBuffer>)>,
        state: &TrainState,
        formats: [Format; 2],
    ) -> Result<()> {
        let mut tensors = Vec::new();
        model.visit(&mut |name, x| {
            let format = formats[usize::from(x.as_table().is_some())];
            tensors.extend(Stored::of(format, name, &x.shape(), x.floats().into_owned()));
        });
        write_tensors(&folder.join(MODEL), tensors)?;
        if let Some((adam, average)) = training {
            let mut tensors = Vec::new();
            for (name, s) in &adam.state {
                tensors.push(Stored::floats(&format!("m.{name}"), &[s.m.len()], s.m.host()));
                tensors.push(Stored::floats(&format!("v.{name}"), &[s.v.len()], s.v.host()));
                if !s.last.is_empty() {
                    tensors.push(Stored::words(&format!("last.{name}"), &s.last));
                }
                if s.born > 0 {
                    tensors.push(Stored::words(&format!("born.{name}"), std::slice::from_ref(&s.born)));
                }
            }
            for (name, x) in average {
                tensors.push(Stored::floats(&format!("average.{name}"), &[x.len()], x.host()));
            }
            write_tensors(&folder.join(OPTIMIZER), tensors)?;
        }
        self.write_state(folder, state)
    }

    /// Writes where training stood, with the checksums of what lies in the checkpoint and of what says what a token is.
    pub(super) fn write_state(&self, folder: &Path, state: &TrainState) -> Result<()> {
        let mut files = BTreeMap::new();
        for name in together() {
            let file = self.file_of(folder, &name);
            if file.exists() {
                files.insert(name, checksum::of_file(&file)?);
            }
        }
        json::write(&folder.join("state.json"), &TrainState { files, ..state.clone() })
    }

    fn file_of(&self, checkpoint: &Path, name: &str) -> PathBuf {
        if TENSORS.contains(&name) { checkpoint.join(name) } else { self.path.join(name) }
    }

    /// Fills a model of the right shape from a checkpoint, and tells where training stood.
    ///
    /// # Errors
    /// Data, naming the file: missing, of another version, not as it was written, of another model, or of another checkpoint.
    pub fn read_model(&self, which: Which, model: &mut dyn ParameterTree) -> Result<TrainState> {
        let (state, file) = self.snapshot(which)?;
        let path = self.checkpoint(which).join(MODEL);
        let mut problem = None;
        let mut names = BTreeSet::new();
        model.visit(&mut |name, mut x| {
            let shape = x.shape();
            names.insert(name.to_string());
            let rows = if x.as_table().is_some() { file.rows(name) } else { Ok(None) };
            let read = match rows {
                // They are read from the file as they are asked for.
                Ok(Some(rows)) if shape == [rows.rows(), rows.columns()] => return x.set_kept(rows),
                Ok(_) => file.floats(name),
                Err(e) => Err(e),
            };
            match read {
                Ok((stored, s)) if s == shape => x.set(&stored),
                Ok((_, s)) => {
                    let e = Error::data(format!(
                        "`{name}` has shape {s:?}, the configuration asks for {shape:?}"
                    ));
                    problem.get_or_insert(e.at(&path).hint(MIXED));
                }
                Err(e) => {
                    problem.get_or_insert(e);
                }
            }
        });
        if let Some(extra) = file.names().into_iter().find(|n| !names.contains(n)) {
            let e = Error::data(format!("`{extra}` is not a parameter of this model")).at(&path);
            problem.get_or_insert(e.hint(MIXED));
        }
        match problem {
            Some(problem) => Err(problem),
            None => self.check_together(which, &state, &file).map(|()| state),
        }
    }

    /// Fills a part of a model, whose names begin with `prefix`, from a checkpoint of another one that has such a part.
    ///
    /// # Errors
    /// Data, naming the file: missing, not as it was written, or without this part in this shape.
    pub fn read_part(&self, which: Which, prefix: &str, part: &mut dyn ParameterTree) -> Result<()> {
        let (_, file) = self.snapshot(which)?;
        let mut left: BTreeSet<String> = file.names().into_iter().filter(|n| n.starts_with(prefix)).collect();
        let mut problem = None;
        part.visit(&mut |name, mut x| {
            let shape = x.shape();
            match left.remove(name).then(|| file.floats(name)) {
                Some(Ok((stored, s))) if s == shape => x.set(&stored),
                Some(Ok((_, s))) => {
                    problem.get_or_insert(Error::data(format!("`{name}` has shape {s:?}, not {shape:?}")));
                }
                Some(Err(e)) => {
                    problem.get_or_insert(e);
                }
                None => {
                    problem.get_or_insert(Error::data(format!("has no `{name}`")));
                }
            }
        });
        let extra = left.first().map(|name| Error::data(format!("has `{name}` beside it")));
        match problem.or(extra) {
            Some(problem) => Err(problem.at(self.checkpoint(which).join(MODEL))),
            None => Ok(()),
        }
    }

    /// SHA-256 of a checkpoint's parameters and of all that was prepared for it: what makes vectors of sentences.
    ///
    /// # Errors
    /// Data, where the checkpoint or the description cannot be read.
    pub fn sentences_by(&self, which: Which) -> Result<String> {
        let mut hash = Sha256::new();
        let info = self.info()?;
        info.files.iter().for_each(|(file, sum)| hash.update(format!("{file} {sum}\n")));
        info.languages.iter().for_each(|language| hash.update(format!("{language}\n")));
        let path = self.checkpoint(which).join(MODEL);
        hash.update(&*Map::open(&path)?);
        Ok(sha256(hash))
    }

    /// The size of the file with the model.
    ///
    /// # Errors
    /// Data, where it is missing.
    pub fn model_bytes(&self, which: Which) -> Result<u64> {
        let path = self.checkpoint(which).join(MODEL);
        Ok(fs::metadata(&path).map_err(|e| Error::reading(&path, e).hint(DAMAGED))?.len())
    }

    /// Refuses a checkpoint with far fewer numbers than the `asked` of a model of the configuration, which are counted before it is
    /// made: less than a quarter of all but 2²⁰ of them. Smaller differences [`Self::read_model`] tells, with the tensor.
    ///
    /// # Errors
    /// Data, where the file cannot be read or the configuration asks for far more numbers.
    pub fn check_count(&self, which: Which, asked: u128) -> Result<()> {
        let path = self.checkpoint(which).join(MODEL);
        let stored = TensorFile::open(&path)?.count()? as u128;
        if asked <= stored.saturating_mul(4).saturating_add(1 << 20) {
            return Ok(());
        }
        let what = format!("has {stored} numbers, the configuration asks for {asked}");
        Err(Error::data(what).at(&path).hint(MIXED))
    }

    /// Refuses a checkpoint whose files are not those that were written together, or that reads other tokens than the run.
    fn check_together(&self, which: Which, state: &TrainState, model: &TensorFile) -> Result<()> {
        let checkpoint = self.checkpoint(which);
        for name in together() {
            let Some(written) = state.files.get(&name) else { continue };
            let file = self.file_of(&checkpoint, &name);
            let hint = "files of two checkpoints or runs were mixed: copy the run again";
            let found = match name == MODEL {
                true => model.sum(),
                false => checksum::of_file(&file).map_err(|e| e.or_hint(hint))?,
            };
            if found != *written {
                let what = format!("does not belong to the checkpoint `{}`", checkpoint.display());
                return Err(Error::data(what).at(&file).hint(hint));
            }
        }
        Ok(())
    }

    /// Reads the optimiser's moments and the average of the weights into an optimiser that has taken `adam.step` steps of its
    /// stage; refuses those of another model or another step.
    ///
    /// # Errors
    /// Data, naming the file: missing, not as it was written, numbers that no optimiser has, or the state of another model or step.
    pub fn read_optimizer(
        &self,
        adam: &mut Adam,
        model: &mut dyn ParameterTree,
        state: &TrainState,
    ) -> Result<BTreeMap<String, HostDeviceBuffer>> {
        let path = self.checkpoint(Which::Latest).join(OPTIMIZER);
        let file = TensorFile::open(&path)?;
        let refuse = |what: String| Err(Error::data(what).at(&path).hint(MIXED));
        let mut average = BTreeMap::new();
        for name in file.names() {
            let Some((kind, parameter)) = name.split_once('.') else {
                return refuse(format!("`{name}` is no optimiser state"));
            };
            let moments: &mut AdamState = adam.state.entry(parameter.to_string()).or_default();
            match kind {
                "m" => moments.m = file.floats(&name)?.0.into(),
                "v" => {
                    let (v, _) = file.floats(&name)?;
                    if let Some(at) = v.iter().position(|&v| v < 0.0) {
                        return refuse(format!(
                            "`{name}` has {} in number {at} (from 0), a mean of squares",
                            v[at]
                        ));
                    }
                    moments.v = v.into();
                }
                "last" => {
                    moments.last = file.words(&name)?;
                    if let Some(row) = moments.last.iter().position(|&last| last as usize > adam.step) {
                        let (seen, step) = (moments.last[row], adam.step);
                        return refuse(format!(
                            "row {row} of `{name}` has seen step {seen}, but `state.json` says {step}"
                        ));
                    }
                }
                "born" => {
                    let born = file.words(&name)?;
                    match born[..] {
                        [born] if born as usize <= adam.step => moments.born = born,
                        _ => {
                            return refuse(format!(
                                "`{name}` is {born:?}, which is no step before {}",
                                adam.step
                            ));
                        }
                    }
                }
                "average" => {
                    average.insert(parameter.to_string(), file.floats(&name)?.0.into());
                }
                _ => return refuse(format!("`{name}` is no optimiser state")),
            }
        }
        adam.state.retain(|_, s| !s.m.is_empty());
        // A row takes part in no step before the first of its table.
        let early = |s: &AdamState| s.last.iter().any(|&last| last != 0 && last <= s.born);
        if let Some((name, _)) = adam.state.iter().find(|(_, s)| early(s)) {
            return refuse(format!("rows of `last.{name}` have seen steps before `born.{name}`"));
        }
        let (step, averaged) = (state.step, state.averaged);
        if adam.state.is_empty() != (adam.step == 0) {
            let moments = if adam.step == 0 { "moments" } else { "no moments" };
            return refuse(format!("has {moments}, but `state.json` says step {step}"));
        }
        if average.is_empty() != (averaged == 0) {
            let some = if averaged == 0 { "an average" } else { "no average" };
            return refuse(format!(
                "has {some} of the weights, but `state.json` says {averaged} updates of it"
            ));
        }
        match misfit(adam, &average, model) {
            Some(name) => refuse(format!("the state of `{name}` does not fit the model")),
            None => Ok(average),
        }
    }
}

/// The files that a checkpoint is of, by their path in it or in the run.
fn together() -> impl Iterator<Item = String> {
    let tokens = PREPARED.iter().flat_map(|folder| TOKENS.map(|file| format!("{folder}/{file}")));
    TENSORS.map(String::from).into_iter().chain(tokens)
}

/// Reads `state.json`.
///
/// # Errors
/// Data: missing, of another version, not as it was written, or numbers that no training can have come to.
pub(super) fn read_state(path: &Path) -> Result<TrainState> {
    let state: TrainState = json::read_versioned(path, "a training state")?;
    let TrainState { step, best, best_step, stale, averaged, skipped, seconds, .. } = state;
    let wrong = [
        (step > LAST, format!("`step` is {step}")),
        (best_step > step, format!("`best_step` is {best_step} in step {step}")),
        (stale > step, format!("`stale` is {stale} in step {step}")),
        (averaged > step, format!("`averaged` is {averaged} in step {step}")),
        (skipped > step, format!("`skipped` is {skipped} in step {step}")),
        (!(-1.0..=100.0).contains(&best), format!("`best` is {best}, which is no mean recall")),
        (!(seconds >= 0.0 && seconds.is_finite()), format!("`seconds` is {seconds}")),
    ];
    match wrong.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, what)) => Err(Error::data(what).at(path).hint(DAMAGED)),
        None => Ok(state),
    }
}

/// A name whose moments or average have not the size of its parameter, are missing, or belong to no parameter.
fn misfit(
    adam: &Adam,
    average: &BTreeMap<String, HostDeviceBuffer>,
    model: &mut dyn ParameterTree,
) -> Option<String> {
    let mut left: BTreeSet<String> = adam.state.keys().cloned().collect();
    let mut left_average: BTreeSet<String> = average.keys().cloned().collect();
    let mut wrong = None;
    model.visit(&mut |name, x| {
        left_average.remove(name);
        if average.get(name).is_some_and(|a| a.len() != x.count()) {
            wrong.get_or_insert(name.to_string());
        }
        if x.trained() && !average.is_empty() && !average.contains_key(name) {
            wrong.get_or_insert(name.to_string());
        }
        let (size, rows) = (x.count(), x.as_table().map_or(0, Table::rows));
        let sizes = adam.state.get(name).map_or([0; 3], |s| [s.m.len(), s.v.len(), s.last.len()]);
        // Before the first step nothing has moments, and what was frozen later may have some.
        let expected = x.trained() && !adam.state.is_empty() || left.remove(name);
        left.remove(name);
        if expected && sizes != [size, size, rows] {
            wrong.get_or_insert(name.to_string());
        }
    });
    wrong.or_else(|| left.into_iter().chain(left_average).next())
}
