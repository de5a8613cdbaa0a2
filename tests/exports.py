"""What `tinyglot export` writes, read by other programs: ONNX by onnxruntime, a table of words by model2vec, vectors by FAISS, a table by PostgreSQL with pgvector.

    pip install numpy onnxruntime model2vec faiss-cpu pgserver
    python tests/exports.py target/release/tinyglot

Makes a little corpus, trains on it for a moment, and compares with what tinyglot itself gives. Kinds whose package is not there are passed over, and
told. With NumPy 2.4.6, onnxruntime 1.32.0, model2vec 0.10.0, faiss-cpu 1.15.1 and pgserver 0.1.4 sentences and pictures of all models were within 2e-7
of tinyglot's, and FAISS and PostgreSQL found what NumPy finds.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CONFIG = """
[data]
root = 'data'
languages = ['en', 'de']
image_ids = 'image_splits/{{split}}.txt'
[[data.captions]]
languages = ['en', 'de']
files = ['captions/{{split}}.1.{{language}}']
[words.fasttext]
width = 12
epochs = 1
buckets = 500
[embedding]
top_k = {top_k}
word_width = 8
latents = 30
width = 16
align = {{ epochs = 1 }}
pretrain = {{ epochs = 1, top_m = 5 }}
[text]
hidden = 16
joint = 16
{text}
[image]
hidden = 32
input = '{image}'
[train]
epochs = 3
images = 12
"""
# Every kind of reading and of input.
MODELS = [
    (20, "", "standard"),
    (0, "pooling = 'mean'\nbag = true", "raw"),
    (20, "pooling = 'max'", "unit"),
    (20, "bidirectional = true", "root"),
    (20, "bidirectional = true\npooling = 'mean'", "standard"),
    (20, "encoder = 'average'", "standard"),
]


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, **more)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def there(package):
    found = importlib.util.find_spec(package) is not None
    if not found:
        print(f"passed over: no {package}")
    return found


def vectors_of(tinyglot, model, language, sentences, place):
    """What tinyglot gives."""
    out = run(tinyglot, "embed", model, "--language", language, "-q", input="".join(s + "\n" for s in sentences).encode())
    (place / "sentences.npy").write_bytes(out)
    return np.load(place / "sentences.npy")


def check_onnx(tinyglot, place, n, model):
    import onnxruntime as ort

    out = place / f"onnx{n}"
    run(tinyglot, "export", model, "--to", "onnx", "--out", out)
    lines = (out / "words.tsv").read_text(encoding="utf-8").splitlines()
    words = {tuple(line.split("\t")): n for n, line in enumerate(lines)}
    text = ort.InferenceSession(out / "text.onnx")
    for language in ["en", "de"]:
        sentences = (place / f"data/captions/test.1.{language}").read_text(encoding="utf-8").lower().splitlines()
        known = [[w for w in s.replace(".", "").replace(",", "").split() if (language, w) in words] for s in sentences]
        # Sentences of many lengths, of one word, and of none that is known.
        known += [known[0][:1], (known[1] * 3)[:40], []]
        want = vectors_of(tinyglot, model, language, [" ".join(s) or "." for s in known], place)
        length = max(map(len, known))
        places = np.zeros((len(known), length), dtype=np.int64)
        for row, sentence in zip(places, known):
            row[: len(sentence)] = [words[language, w] for w in sentence]
        lengths = np.array([len(s) for s in known], dtype=np.int64)
        (got,) = text.run(None, {"words": places, "lengths": lengths})
        apart = np.abs(got - want).max()
        worst = " ".join(known[np.abs(got - want).max(axis=1).argmax()])
        assert apart < 1e-4, (n, language, apart, worst)
        (one,) = text.run(None, {"words": places[:1, : lengths[0]], "lengths": lengths[:1]})
        assert np.abs(one - want[:1]).max() < 1e-4, "another batch and length"
        print(f"model {n}, {language}: {len(known)} sentences within {apart:.1e}")
    gallery, index, npy = place / "data/features/test.npy", place / f"index{n}", place / f"npy{n}"
    run(tinyglot, "index", model, "--gallery", gallery, "--numbers", "f32", "--out", index, "-q")
    run(tinyglot, "export", model, "--to", "npy", "--index", index, "--out", npy)
    want = np.load(npy / "vectors.npy")
    pictures = ort.InferenceSession(out / "pictures.onnx")
    (got,) = pictures.run(None, {"features": np.load(gallery).astype(np.float32)})
    apart = np.abs(got - want).max()
    assert apart < 1e-4, (n, apart)
    print(f"model {n}: {len(want)} pictures within {apart:.1e}")


def check_model2vec(tinyglot, place):
    from model2vec import StaticModel

    model = place / "run5"
    for language in ["en", "de"]:
        out = place / f"static-{language}"
        run(tinyglot, "export", model, "--to", "static", "--language", language, "--out", out)
        sentences = (place / f"data/captions/test.1.{language}").read_text(encoding="utf-8").splitlines()
        want = vectors_of(tinyglot, model, language, sentences, place)
        # Words that training has not seen have a vector there alone.
        vocabulary = StaticModel.from_pretrained(out).tokenizer.get_vocab()
        known = [all(w in vocabulary for w in s.lower().replace(".", " ").replace(",", " ").split()) for s in sentences]
        assert sum(known) > 5, known
        got = StaticModel.from_pretrained(out, normalize=True).encode(sentences)
        apart = np.abs(got - want)[known].max()
        assert apart < 1e-4, (language, apart)
        print(f"model2vec, {language}: {sum(known)} sentences within {apart:.1e}")


def check_faiss(place):
    import faiss

    vectors = np.load(place / "npy0/vectors.npy")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, rows = index.search(vectors, 1)
    assert (rows[:, 0] == np.arange(len(vectors))).all() and np.allclose(scores, 1, atol=1e-5)
    print("FAISS finds each vector first by itself")


def check_postgresql(tinyglot, place):
    import pgserver

    out = place / "table"
    run(tinyglot, "export", place / "run0", "--to", "pgvector", "--index", place / "index0", "--name", "album", "--out", out)
    server = pgserver.get_server(place / "database")
    try:
        uri, psql = server.get_uri(), Path(pgserver.__file__).parent / "pginstall/bin/psql"
        ask = lambda *words, **more: run(psql, uri, "-v", "ON_ERROR_STOP=1", *words, **more)
        ask("-f", out / "schema.sql")
        ask("-c", "COPY album (id, day, embedding) FROM STDIN", input=(out / "rows.copy").read_bytes())
        ask("-f", out / "index.sql")
        vectors = np.load(place / "npy0/vectors.npy")
        ids = (place / "npy0/ids.txt").read_text(encoding="utf-8").splitlines()
        query = "SELECT id FROM album ORDER BY embedding <=> '%s' LIMIT 3"
        for n in range(5):
            found = ask("-At", "-c", query % vectors[n].tolist()).decode().split()
            want = [ids[row] for row in np.argsort(-vectors @ vectors[n], kind="stable")[:3]]
            assert found == want, (found, want)
        plan = ask("-At", "-c", "SET enable_seqscan = off; EXPLAIN " + query % vectors[0].tolist()).decode()
        assert "album_embedding_idx" in plan, plan
        print("PostgreSQL finds what NumPy finds, by its HNSW index")
    finally:
        server.cleanup()


def main():
    tinyglot = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = ["--train", 60, "--val", 20, "--test", 20, "--languages", "en,de"]
        run(tinyglot, "data", "scenes", "--out", place / "data", *sizes, "-q")
        for n, (top_k, text, image) in enumerate(MODELS):
            config = place / f"config{n}.toml"
            config.write_text(CONFIG.format(top_k=top_k, text=text, image=image))
            run(tinyglot, "train", config, "--out", place / f"run{n}", "-q")
            if there("onnxruntime"):
                check_onnx(tinyglot, place, n, place / f"run{n}")
        if there("model2vec"):
            check_model2vec(tinyglot, place)
        if there("faiss"):
            check_faiss(place)
        if there("pgserver"):
            check_postgresql(tinyglot, place)


if __name__ == "__main__":
    main()
