//! What is written, as its readers take it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::corpus::Features;

/// Vectors in memory.
struct Three;

const VECTORS: [f32; 6] = [1.0, 0.0, 0.6, -0.8, 1e-7, 1.0];

impl PictureVectors for Three {
    fn joint(&self) -> usize {
        2
    }

    fn tiles(&self, take: &mut dyn FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        take(0, &VECTORS[..4])?;
        take(2, &VECTORS[4..])
    }
}

/// What a reader gets, by file.
fn written(reader: Reader, ids: [&str; 3]) -> Result<BTreeMap<String, String>> {
    let place = tempfile::tempdir().unwrap();
    let (ids, out) = (ids.map(String::from), place.path().join("out"));
    let pictures = Pictures { ids: &ids, vectors: &Three, index: None };
    vectors(&pictures, reader, "my_pictures", &out)?;
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    let files = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    if reader == Reader::Npy {
        let features = Features::open(&[out.join("vectors.npy")]).unwrap();
        let mut row = [0.0; 2];
        for n in 0..3 {
            features.copy_row(n, &mut row);
            assert_eq!(row, VECTORS[2 * n..2 * n + 2]);
        }
        fs::remove_file(out.join("vectors.npy")).unwrap();
        return Ok(fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (name(&path), fs::read_to_string(&path).unwrap()))
            .collect());
    }
    Ok(files.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect())
}

const IDS: [&str; 3] = ["a/1.jpg", "tab\tand \\ \"quote\"", "日本"];

#[test]
fn numpy_gets_a_matrix_and_ids() {
    let files = written(Reader::Npy, ["a", "b", "a"]).unwrap();
    assert_eq!(files["ids.txt"], "a\nb\na\n");
    assert!(files["README.md"].contains("faiss.IndexFlatIP"));
}

#[test]
fn postgresql_gets_rows_as_copy_reads_them() {
    let files = written(Reader::Pgvector, IDS).unwrap();
    let rows: Vec<&str> = files["rows.copy"].lines().collect();
    assert_eq!(rows[0], "a/1.jpg\t\\N\t[1,0]");
    assert_eq!(rows[1], "tab\\tand \\\\ \"quote\"\t\\N\t[0.6,-0.8]");
    assert_eq!(rows[2], "日本\t\\N\t[0.0000001,1]");
    assert!(
        files["schema.sql"].contains("CREATE TABLE my_pictures (")
            && files["schema.sql"].contains("vector(2) NOT NULL")
    );
    assert_eq!(
        files["index.sql"],
        "CREATE INDEX ON my_pictures USING hnsw (embedding vector_cosine_ops);\nANALYZE my_pictures;\n"
    );
    let line = pgvector::line("\\.", Some("2024-05-31".into()), &[0.5]).unwrap();
    assert_eq!(line, "\\\\.\t2024-05-31\t[0.5]\n", "not the mark of the end");
    assert!(pgvector::line("a\0", None, &[0.5]).is_err());
}

#[test]
fn qdrant_gets_points_by_row() {
    let files = written(Reader::Qdrant, IDS).unwrap();
    let collection: Value = serde_json::from_str(&files["collection.json"]).unwrap();
    assert_eq!(collection, serde_json::json!({"vectors": {"size": 2, "distance": "Cosine"}}));
    let points: Value = serde_json::from_str(&files["points-000001.json"]).unwrap();
    let points = points["points"].as_array().unwrap();
    assert_eq!(points.len(), 3);
    for (n, point) in points.iter().enumerate() {
        assert_eq!(
            (point["id"].as_u64(), &point["payload"]["picture"]),
            (Some(n as u64), &Value::from(IDS[n]))
        );
        let vector: Vec<f32> = serde_json::from_value(point["vector"].clone()).unwrap();
        assert_eq!(vector, VECTORS[2 * n..2 * n + 2]);
    }
    assert!(files["load.sh"].contains("/collections/my_pictures/points?wait=true"));
}

#[test]
fn search_engines_get_an_index_and_bulk_lines() {
    for (reader, kind, size) in
        [(Reader::OpenSearch, "knn_vector", "dimension"), (Reader::Elasticsearch, "dense_vector", "dims")]
    {
        let files = written(reader, IDS).unwrap();
        let index: Value = serde_json::from_str(&files["index.json"]).unwrap();
        let embedding = &index["mappings"]["properties"]["embedding"];
        assert_eq!((&embedding["type"], &embedding[size]), (&Value::from(kind), &Value::from(2)));
        let bulk = &files["bulk-000001.ndjson"];
        assert!(bulk.ends_with("}\n"), "the last line ends too");
        let lines: Vec<Value> = bulk.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 6);
        for (n, pair) in lines.chunks(2).enumerate() {
            assert_eq!(pair[0]["index"], serde_json::json!({"_index": "my_pictures", "_id": IDS[n]}));
            assert_eq!(pair[1]["picture"], IDS[n]);
            let vector: Vec<f32> = serde_json::from_value(pair[1]["embedding"].clone()).unwrap();
            assert_eq!(vector, VECTORS[2 * n..2 * n + 2]);
        }
    }
    let long = "a".repeat(513);
    assert!(written(Reader::OpenSearch, ["a", &long, "b"]).unwrap_err().to_string().contains("513 bytes"));
}

#[test]
fn what_cannot_be_keys_or_names_is_refused_and_leaves_nothing() {
    for reader in [Reader::Pgvector, Reader::Qdrant, Reader::OpenSearch, Reader::Elasticsearch] {
        let error = written(reader, ["a", "b", "a"]).unwrap_err();
        assert!(error.to_string().contains("two pictures have the id `a`"), "{error}");
    }
    let place = tempfile::tempdir().unwrap();
    let ids = ["a", "b", "c\0"].map(String::from);
    let pictures = Pictures { ids: &ids, vectors: &Three, index: None };
    let out = place.path().join("out");
    assert!(vectors(&pictures, Reader::Pgvector, "p", &out).is_err());
    assert!(!out.exists(), "nothing is left");
    for name in ["", "Pictures", "1a", "a-b", "a b", "a;drop", &"a".repeat(64)] {
        assert_eq!(vectors(&pictures, Reader::Npy, name, &out).unwrap_err().exit_status(), 2, "{name}");
    }
    vectors(&pictures, Reader::Npy, "p", &out).unwrap();
    let again = vectors(&pictures, Reader::Npy, "p", &out).unwrap_err().to_string();
    assert!(again.contains("the folder is not empty"), "{again}");
}
