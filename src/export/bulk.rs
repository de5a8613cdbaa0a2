//! Bodies of HTTP requests that load pictures into Qdrant (its manual, "Points": `PUT /collections/NAME/points`), OpenSearch and Elasticsearch (their
//! manuals, "Bulk API": `POST /_bulk` with lines of JSON).

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{LAST, Pictures, Reader};
use crate::write::write_whole;
use crate::{Error, Result};

/// Bytes of a body, about: half of the smallest limit that they have by default (Qdrant's 32 MiB).
const BODY: usize = 16 << 20;
/// Bytes of the longest id of OpenSearch and Elasticsearch.
const ID: usize = 512;
/// Numbers of the longest vector that Elasticsearch indexes, and OpenSearch.
const DIMENSIONS: [usize; 2] = [4096, 16_000];

/// Texts that become files of a limited size, one after the other.
struct Bodies<'a> {
    folder: &'a Path,
    /// What the names of the files begin and end with.
    name: [&'a str; 2],
    /// What a body begins and ends with, and what is between two texts.
    around: [&'a str; 3],
    body: String,
    written: usize,
}

impl Bodies<'_> {
    fn add(&mut self, text: &str) -> Result<()> {
        if !self.body.is_empty() && self.body.len() + text.len() > BODY {
            self.write()?;
        }
        self.body += if self.body.is_empty() { self.around[0] } else { self.around[2] };
        self.body += text;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.written += 1;
        self.body += self.around[1];
        let [begin, end] = self.name;
        write_whole(&self.folder.join(format!("{begin}-{:06}.{end}", self.written)), self.body.as_bytes())?;
        self.body.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        if self.body.is_empty() { Ok(()) } else { self.write() }
    }
}

/// What is said of a picture beside its vector.
fn payload(pictures: &Pictures, row: usize) -> Map<String, Value> {
    let mut all = Map::from_iter([("picture".to_string(), json!(pictures.ids[row]))]);
    if let Some(day) = pictures.day(row) {
        all.insert("day".into(), json!(day));
    }
    all
}

/// Writes `collection.json`, `points-NNNNNN.json` and what loads them.
///
/// # Errors
/// Data: pictures that cannot be used; run, where a file cannot be written.
pub(super) fn qdrant(pictures: &Pictures, name: &str, folder: &Path) -> Result<()> {
    let collection = json!({"vectors": {"size": pictures.vectors.joint(), "distance": "Cosine"}});
    write_json(&folder.join("collection.json"), &collection)?;
    let around = ["{\"points\": [\n", "\n]}\n", ",\n"];
    let mut bodies = Bodies { folder, name: ["points", "json"], around, body: String::new(), written: 0 };
    // Its ids are numbers: rows.
    pictures.each(&mut |row, vector| {
        bodies.add(&json!({"id": row, "vector": vector, "payload": payload(pictures, row)}).to_string())
    })?;
    bodies.finish()?;
    let script = format!(
        "#!/bin/sh\n\
         # Loads the pictures into Qdrant: sh load.sh http://localhost:6333\n\
         set -e\n\
         cd \"$(dirname \"$0\")\"\n\
         put() {{ curl --fail-with-body -sS -X PUT -H 'Content-Type: application/json' --data-binary \"@$2\" \"$1\"; echo; }}\n\
         put \"$1/collections/{name}\" collection.json\n\
         for points in points-*.json; do put \"$1/collections/{name}/points?wait=true\" \"$points\"; done\n"
    );
    write_whole(&folder.join("load.sh"), script.as_bytes())?;
    let text = format!(
        "# {} pictures for Qdrant\n\n\
         `sh load.sh http://localhost:6333` makes the collection `{name}` and loads its points; a point is a row, its payload has the picture's id. \
         The pictures nearest to a sentence, whose vector `tinyglot embed` or the server's `/api/embed` gives:\n\n\
         ```sh\n\
         curl -X POST http://localhost:6333/collections/{name}/points/query -H 'Content-Type: application/json' \\\n  \
         -d '{{\"query\": [0.1, …], \"limit\": 10, \"with_payload\": true}}'\n\
         ```\n",
        pictures.ids.len()
    );
    write_whole(&folder.join(LAST), text.as_bytes())
}

/// Writes `index.json`, `bulk-NNNNNN.ndjson` and what loads them.
///
/// # Errors
/// Data: pictures that cannot be used, ids or vectors that are too long; run, where a file cannot be written.
pub(super) fn search_engine(pictures: &Pictures, engine: Reader, name: &str, folder: &Path) -> Result<()> {
    let joint = pictures.vectors.joint();
    let (called, most) = match engine {
        Reader::Elasticsearch => ("Elasticsearch", DIMENSIONS[0]),
        _ => ("OpenSearch", DIMENSIONS[1]),
    };
    if joint > most {
        return Err(Error::data(format!("{called}'s vectors have {most} numbers at most, not {joint}")));
    }
    if let Some(long) = pictures.ids.iter().find(|id| id.len() > ID) {
        let what = format!("the id `{long}` has {} bytes, and {called} takes {ID} at most", long.len());
        return Err(Error::data(what).hint("rename the picture"));
    }
    write_json(&folder.join("index.json"), &mapping(engine, joint))?;
    let mut bodies = Bodies {
        folder,
        name: ["bulk", "ndjson"],
        around: ["", "\n", "\n"],
        body: String::new(),
        written: 0,
    };
    pictures.each(&mut |row, vector| {
        let action = json!({"index": {"_index": name, "_id": pictures.ids[row]}});
        let mut document = payload(pictures, row);
        document.insert("embedding".into(), json!(vector));
        bodies.add(&format!("{action}\n{}", Value::Object(document)))
    })?;
    bodies.finish()?;
    let script = format!(
        "#!/bin/sh\n\
         # Loads the pictures into {called}: sh load.sh http://localhost:9200\n\
         set -e\n\
         cd \"$(dirname \"$0\")\"\n\
         curl --fail-with-body -sS -X PUT -H 'Content-Type: application/json' --data-binary @index.json \"$1/{name}\"; echo\n\
         for bulk in bulk-*.ndjson; do\n  \
         curl --fail-with-body -sS -X POST -H 'Content-Type: application/x-ndjson' --data-binary \"@$bulk\" \"$1/_bulk?filter_path=errors,items.*.error\" |\n    \
         grep -q '\"errors\":false' || {{ echo \"$bulk: not all of it was taken\" >&2; exit 1; }}\n\
         done\n"
    );
    write_whole(&folder.join("load.sh"), script.as_bytes())?;
    write_whole(&folder.join(LAST), read_me(pictures.ids.len(), engine, called, name).as_bytes())
}

/// The index: a vector by cosine, the id, the day.
fn mapping(engine: Reader, joint: usize) -> Value {
    let (settings, embedding) = match engine {
        Reader::Elasticsearch => {
            (json!({}), json!({"type": "dense_vector", "dims": joint, "index": true, "similarity": "cosine"}))
        }
        _ => (
            json!({"index": {"knn": true}}),
            json!({
                "type": "knn_vector",
                "dimension": joint,
                "method": {"name": "hnsw", "space_type": "cosinesimil", "engine": "lucene"},
            }),
        ),
    };
    let properties = json!({"picture": {"type": "keyword"}, "day": {"type": "date"}, "embedding": embedding});
    json!({"settings": settings, "mappings": {"properties": properties}})
}

fn read_me(count: usize, engine: Reader, called: &str, name: &str) -> String {
    let query = match engine {
        Reader::Elasticsearch => {
            "{\"knn\": {\"field\": \"embedding\", \"query_vector\": [0.1, …], \"k\": 10, \"num_candidates\": 100}}"
        }
        _ => "{\"query\": {\"knn\": {\"embedding\": {\"vector\": [0.1, …], \"k\": 10}}}}",
    };
    format!(
        "# {count} pictures for {called}\n\n\
         `sh load.sh http://localhost:9200` makes the index `{name}` and loads the pictures. Those nearest to a sentence, whose vector `tinyglot embed` or \
         the server's `/api/embed` gives:\n\n\
         ```sh\n\
         curl -X POST http://localhost:9200/{name}/_search -H 'Content-Type: application/json' \\\n  \
         -d '{query}'\n\
         ```\n"
    )
}

fn write_json(file: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("plain data") + "\n";
    write_whole(file, text.as_bytes())
}
