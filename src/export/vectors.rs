//! A matrix for NumPy, and whatever reads that.

use std::io::Write;
use std::path::Path;

use super::{LAST, Pictures};
use crate::corpus::NpyWriter;
use crate::write::{write_whole, write_whole_with};
use crate::{Error, Result};

/// Writes `vectors.npy` (pictures, joint) of f32, `ids.txt` and how they are read.
///
/// # Errors
/// Data: pictures that cannot be used; run, where a file cannot be written.
pub(super) fn write(pictures: &Pictures, folder: &Path) -> Result<()> {
    let (file, joint) = (folder.join("vectors.npy"), pictures.vectors.joint());
    let mut failed = None;
    let written = write_whole_with(&file, |out| {
        let mut npy = NpyWriter::new(out, pictures.ids.len(), joint)?;
        let all = pictures.each(&mut |_, vector| npy.write(vector).map_err(|e| Error::writing(&file, e)));
        all.map_err(|error| {
            failed = Some(error);
            std::io::Error::other("the pictures cannot be used")
        })
    });
    match failed {
        Some(error) => return Err(error),
        None => written?,
    }
    write_whole_with(&folder.join("ids.txt"), |out| {
        pictures.ids.iter().try_for_each(|id| writeln!(out, "{id}"))
    })?;
    let text = format!(
        "# Vectors of {} pictures\n\n\
         `vectors.npy` has a row of {joint} numbers for each picture, of unit length; `ids.txt` has their ids, a line each. A sentence's vector, as \
         `tinyglot embed` gives it, is nearest to the pictures that it describes.\n\n\
         ```python\n\
         import faiss, numpy as np\n\n\
         vectors = np.load(\"vectors.npy\")\n\
         ids = open(\"ids.txt\", encoding=\"utf-8\").read().splitlines()\n\
         index = faiss.IndexFlatIP(vectors.shape[1])\n\
         index.add(vectors)\n\
         scores, rows = index.search(queries, 10)  # queries: (n, {joint}), of `tinyglot embed`\n\
         ```\n",
        pictures.ids.len()
    );
    write_whole(&folder.join(LAST), text.as_bytes())
}
