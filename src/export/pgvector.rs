//! A table of PostgreSQL with pgvector: schema, rows for `COPY` in its text format (PostgreSQL's manual, "COPY"), and an HNSW index by cosine.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::{LAST, Pictures};
use crate::write::{write_whole, write_whole_with};
use crate::{Error, Result};

/// Numbers of the longest vector that an HNSW index takes in single and in half precision (pgvector 0.7 and later), and of the longest there is.
const SINGLE: usize = 2000;
const HALF: usize = 4000;
const MOST: usize = 16_000;

/// Writes `schema.sql`, `rows.copy`, `index.sql` and how they are loaded.
///
/// # Errors
/// Data: pictures that cannot be used, ids that PostgreSQL cannot hold, or vectors that are too long; run, where a file cannot be written.
pub(super) fn write(pictures: &Pictures, name: &str, folder: &Path) -> Result<()> {
    let joint = pictures.vectors.joint();
    if joint > MOST {
        return Err(Error::data(format!("pgvector's vectors have {MOST} numbers at most, not {joint}")));
    }
    let schema = format!(
        "CREATE EXTENSION IF NOT EXISTS vector;\n\
         CREATE TABLE {name} (\n    id text PRIMARY KEY,\n    day date,\n    embedding vector({joint}) NOT NULL\n);\n"
    );
    write_whole(&folder.join("schema.sql"), schema.as_bytes())?;
    write_rows(pictures, &folder.join("rows.copy"))?;
    let index = if joint <= SINGLE {
        format!("CREATE INDEX ON {name} USING hnsw (embedding vector_cosine_ops);\n")
    } else if joint <= HALF {
        format!("CREATE INDEX ON {name} USING hnsw ((embedding::halfvec({joint})) halfvec_cosine_ops);\n")
    } else {
        format!("-- No index of pgvector takes vectors of more than {HALF} numbers: search is exact.\n")
    };
    write_whole(&folder.join("index.sql"), (index + &format!("ANALYZE {name};\n")).as_bytes())?;
    let half = if joint > SINGLE && joint <= HALF { format!("::halfvec({joint})") } else { String::new() };
    let text = format!(
        "# {} pictures for PostgreSQL with pgvector\n\n\
         ```sh\n\
         psql -f schema.sql\n\
         psql -c \"COPY {name} (id, day, embedding) FROM STDIN\" < rows.copy\n\
         psql -f index.sql\n\
         ```\n\n\
         The pictures nearest to a sentence, whose vector `tinyglot embed` or the server's `/api/embed` gives as `$1`:\n\n\
         ```sql\n\
         SELECT id, 1 - (embedding{half} <=> $1) AS cosine FROM {name} ORDER BY embedding{half} <=> $1 LIMIT 10;\n\
         ```\n",
        pictures.ids.len()
    );
    write_whole(&folder.join(LAST), text.as_bytes())
}

fn write_rows(pictures: &Pictures, file: &Path) -> Result<()> {
    let mut failed = None;
    let written = write_whole_with(file, |out| {
        let all = pictures.each(&mut |row, vector| {
            let line = line(&pictures.ids[row], pictures.day(row), vector)?;
            out.write_all(line.as_bytes()).map_err(|e| Error::writing(file, e))
        });
        all.map_err(|error| {
            failed = Some(error);
            std::io::Error::other("the pictures cannot be used")
        })
    });
    match failed {
        Some(error) => Err(error),
        None => written,
    }
}

/// A row in the text format of `COPY`.
pub(super) fn line(id: &str, day: Option<String>, vector: &[f32]) -> Result<String> {
    if id.contains('\0') {
        return Err(Error::data(format!("the id {id:?} holds a NUL, which no text of PostgreSQL does")));
    }
    let mut line = String::with_capacity(16 * vector.len());
    for c in id.chars() {
        match c {
            '\\' => line += "\\\\",
            '\t' => line += "\\t",
            '\n' => line += "\\n",
            '\r' => line += "\\r",
            c => line.push(c),
        }
    }
    line += "\t";
    line += day.as_deref().unwrap_or("\\N");
    line += "\t[";
    for (n, x) in vector.iter().enumerate() {
        let _ = write!(line, "{}{x}", if n > 0 { "," } else { "" });
    }
    Ok(line + "]\n")
}
