//! A run as it is shipped: what use needs, and nothing that only training needs.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::training::MODEL;
use super::{RunFolder, Stored, TensorFile, TrainState, Which, write_tensors};
use crate::checksum::sha256;
use crate::numbers::Format;
use crate::optim::ParameterTree;
use crate::{Error, Result};

/// How a run is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packing {
    /// N-grams that are kept of each language's FastText vectors, at most, for words that training has not seen; 0 keeps none, and leaves
    /// such words out.
    pub ngrams: usize,
    /// In what the weights are kept; they are computed with in f32.
    pub weights: Format,
    /// In what the vectors of words are kept, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Format>,
}

impl Packing {
    /// The formats of layers and of vectors of words.
    pub fn formats(&self) -> [Format; 2] {
        [self.weights, self.rows.unwrap_or(self.weights)]
    }
}

/// Numbers of pictures' vectors in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// Two bytes each.
    F16,
    /// Four bytes each.
    F32,
}

impl RunFolder {
    /// Writes the best checkpoint alone: layers in the first format, tables in the second.
    ///
    /// # Errors
    /// Data, where a weight is too large for its format, or not finite; as [`RunFolder::save`].
    pub fn save_packed(
        &self,
        model: &mut dyn ParameterTree,
        formats: [Format; 2],
        state: &TrainState,
    ) -> Result<()> {
        let mut wrong = None;
        model.visit(&mut |name, x| {
            let format = formats[usize::from(x.as_table().is_some())];
            let floats = x.floats();
            let format = match x.shape()[..] {
                [rows, columns] => format.of_matrix(rows, columns),
                _ => format.of_vector(&floats),
            };
            if let Some(x) = floats.iter().find(|x| x.is_nan() || x.abs() > format.largest()) {
                wrong.get_or_insert(format!("`{name}` has the number {x}, too large for {}", format.name()));
            }
        });
        match wrong {
            Some(what) => Err(Error::data(what).at(&self.path).hint("pack with `--weights f32`")),
            None => self.save_as(Which::Best, model, None, state, formats),
        }
    }

    /// The tensors of the best checkpoint as they are kept, and where training stood.
    ///
    /// # Errors
    /// Data, for files that are missing or broken.
    pub fn stored(&self) -> Result<(TrainState, Vec<Stored<'static>>)> {
        let (state, file) = self.snapshot(Which::Best)?;
        Ok((state, file.stored()?))
    }

    /// Writes the best checkpoint of tensors that are kept as they are.
    ///
    /// # Errors
    /// As [`RunFolder::save`].
    pub fn save_stored(&self, tensors: Vec<Stored>, state: &TrainState) -> Result<()> {
        self.swap_in(Which::Best, |folder| {
            write_tensors(&folder.join(MODEL), tensors)?;
            self.write_state(folder, state)
        })
    }

    /// SHA-256 of what makes vectors of pictures in the best checkpoint: the image branch, or the tower in whose space pictures were given.
    ///
    /// # Errors
    /// Data, where the checkpoint or the description cannot be read, or says nothing of a tower.
    pub fn pictures_by(&self) -> Result<String> {
        let info = self.info()?;
        if let Some(made_of) = info.pictures_by {
            return Ok(made_of);
        }
        let mut hash = Sha256::new();
        let file = TensorFile::open(&self.checkpoint(Which::Best).join(MODEL))?;
        let mut names: Vec<String> = file.names().into_iter().filter(|n| n.starts_with("image.")).collect();
        names.sort();
        for name in &names {
            let (numbers, shape) = file.floats(name)?;
            hash.update(format!("{name} {shape:?}\n"));
            hash.update(bytemuck::cast_slice::<f32, u8>(&numbers));
        }
        let tower: Vec<_> = info.files.iter().filter(|(file, _)| file.starts_with("tower/")).collect();
        if names.is_empty() {
            // An acquisition of an earlier program, which wrote no checksums.
            if tower.is_empty() {
                return Err(Error::data("does not say which tower its pictures are of")
                    .at(self.path.join("run.json"))
                    .hint("train the run again, or search without an index"));
            }
            tower.iter().for_each(|(file, checksum)| hash.update(format!("{file} {checksum}\n")));
        }
        Ok(sha256(hash))
    }

    /// Refuses a run that is not packed.
    ///
    /// # Errors
    /// Usage, where it is not.
    pub fn refuse_unpacked(&self) -> Result<()> {
        match self.info()?.packed {
            Some(_) => Ok(()),
            None => Err(Error::usage("the run is not packed")
                .at(&self.path)
                .hint("`tinyglot pack` makes a packed one of it")),
        }
    }

    /// Refuses to train or to change a packed run.
    ///
    /// # Errors
    /// Usage, where the run is packed.
    pub fn refuse_packed(&self) -> Result<()> {
        match self.info()?.packed {
            None => Ok(()),
            Some(_) => Err(Error::usage("the run was packed for use: what training needs is not there")
                .at(&self.path)
                .hint("give the run that it was packed from")),
        }
    }
}
