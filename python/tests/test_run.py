"""A run in use: what Python gets is what the command prints, bit for bit."""

import io
import json
import logging

import numpy as np
import pytest
import tinyglot
from conftest import CLIP, command

TEST = "scenes/features/test.npy"
IDS = "scenes/image_splits/test.txt"


def loaded(npy):
    return np.load(io.BytesIO(npy))


def same(ours, theirs):
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def found(printed):
    """What `search --json` printed, as a list of (id, row, score) for each query."""
    lines = [json.loads(line) for line in printed.decode().splitlines()]
    return [[(hit["id"], hit["row"], np.float32(hit["score"])) for hit in line["hits"]] for line in lines]


def told(hits):
    return [[(hit.id, hit.row, np.float32(hit.score)) for hit in of] for of in hits]


def test_a_run_says_what_it_is(run, desk):
    assert run.path == desk / "run" and run.languages == ["en", "de", "ar"] and run.width == 16
    assert 'languages = [' in run.config and repr(run).endswith(": en, de, ar>")
    assert tinyglot.__version__ in command("--version").decode()


def test_sentences_are_those_of_the_command(run, sentences):
    theirs = loaded(command("-q", "embed", "run", "--language", "de", stdin="\n".join(sentences)))
    same(run.embed_sentences(sentences, "de"), theirs)
    assert np.allclose(np.linalg.norm(theirs, axis=1), 1, atol=1e-6)
    same(np.concatenate([run.embed_sentences([sentence], "de") for sentence in sentences]), theirs)
    same(run.embed_sentences(sentences * 600, "de"), np.tile(theirs, (600, 1)))
    assert run.embed_sentences([], "de").shape == (0, 16)


def test_what_is_wrong_with_sentences_is_logged(run, caplog):
    with caplog.at_level(logging.WARNING, "tinyglot"):
        run.embed_sentences(["% !?"], "de")
    assert [record.name for record in caplog.records] == ["tinyglot"]
    assert "no word of `% !?` in `de`" in caplog.text


def test_pictures_are_those_of_the_command(run):
    theirs = loaded(command("-q", "embed", "run", "--images", TEST))
    features = np.load(TEST)
    same(run.embed_pictures(TEST), theirs)
    same(run.embed_pictures(features), theirs)
    same(run.embed_pictures(np.load(TEST, mmap_mode="r")), theirs)
    same(run.embed_pictures(features.astype(np.float64)), theirs)
    same(run.embed_pictures(np.asfortranarray(features)), theirs)
    same(run.embed_pictures(features[::-2]), theirs[::-2])
    same(run.embed_pictures(features.tolist()), theirs)
    assert run.embed_pictures(features[:0]).shape == (0, 16)


def test_results_can_be_written_to(run, sentences):
    vectors = run.embed_sentences(sentences, "de")
    vectors *= 2
    assert vectors.flags.c_contiguous and not np.array_equal(vectors, run.embed_sentences(sentences, "de"))


def test_photographs_are_those_of_the_command(desk):
    for split in ["train", "val", "test"]:
        ids = (desk / f"scenes/image_splits/{split}.txt").read_text().split()
        (desk / f"{split}.txt").write_text("".join(f"{name}.png\n" for name in ids))
        out = f"clip/{split}.npy"
        (desk / "clip").mkdir(exist_ok=True)
        command("-q", "embed-images", CLIP, f"{split}.txt", "--root", "scenes/images", "--out", out)
    features = f'data.features=["{desk}/clip/{{split}}.npy"]'
    command("-q", "train", "little.toml", "--set", features, "--set", "train.epochs=1", "--out", "of-clip", "--cache", "cache")
    run = tinyglot.open("of-clip", tower=CLIP)
    files = [desk / "scenes/images" / name for name in (desk / "test.txt").read_text().split()]
    same(run.embed_photographs(files), loaded(command("-q", "embed", "of-clip", "--images", "clip/test.npy")))
    same(run.embed_photographs([str(files[3])]), run.embed_pictures("clip/test.npy")[3:4])
    (desk / "broken.png").write_bytes(files[0].read_bytes()[:100])
    with pytest.raises(tinyglot.Error, match="broken.png`: ") as error:
        run.embed_photographs([files[0], desk / "broken.png"])
    assert error.value.kind == "data" and error.value.file == desk / "broken.png"
    with pytest.raises(tinyglot.Error, match="does not say which picture tower"):
        tinyglot.open("of-clip").embed_photographs(files)


@pytest.mark.parametrize("ids", [None, IDS])
def test_a_gallery_finds_what_the_command_finds(run, sentences, ids):
    options = ["--ids", ids] if ids else []
    printed = command("search", "run", "--language", "de", "--gallery", TEST, *options, "-k", 7, "--json", *sentences[:9])
    gallery = run.gallery(TEST, ids)
    assert len(gallery) == 30 and len(gallery.ids) == 30
    assert told(gallery.search(sentences[:9], "de", 7)) == found(printed)
    names = open(IDS).read().split() if ids else None
    of_array = run.gallery(np.load(TEST), names)
    assert told(of_array.search(sentences[:9], language="de", k=7)) == found(printed)
    assert len(of_array.search(["Stern"], "de", 1000)[0]) == 30 and of_array.search([], "de") == []


@pytest.mark.parametrize("numbers", ["f32", "f16", "int8"])
def test_an_index_finds_what_the_command_finds(run, sentences, numbers):
    command("-q", "index", "run", "--gallery", TEST, "--ids", IDS, "--numbers", numbers, "--out", f"index-{numbers}")
    printed = command("search", "run", "--language", "de", "--index", f"index-{numbers}", "-k", 5, "--json", *sentences[:9])
    index = run.index(f"index-{numbers}")
    assert told(index.search(sentences[:9], "de", 5)) == found(printed)


def test_vectors_are_searched_with_too(run, sentences):
    gallery = run.gallery(TEST)
    rows, scores = gallery.search_vectors(run.embed_sentences(sentences, "de"), 4)
    hits = gallery.search(sentences, "de", 4)
    assert rows.tolist() == [[hit.row for hit in of] for of in hits]
    assert scores.tolist() == [[hit.score for hit in of] for of in hits]
    products = run.embed_sentences(sentences, "de") @ run.embed_pictures(TEST).T
    assert np.allclose(scores, -np.sort(-products, axis=1)[:, :4], atol=1e-6)
    assert gallery.search_vectors(np.zeros((0, 16)))[0].shape == (0, 10)
    assert gallery.search_vectors(np.zeros((2, 16)), 99)[0].shape == (2, 30)
    with pytest.raises(ValueError, match="8 numbers each, those of the model 16"):
        gallery.search_vectors(np.zeros((2, 8)))
    assert repr(hits[0][0]).startswith("Hit(id=") and hits[0][0] == gallery.search(sentences[:1], "de", 1)[0][0]


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_evaluation_is_that_of_the_command(run, split):
    ours = run.evaluate(split)
    assert ours == json.loads(command("-q", "evaluate", "run", "--split", split, "--json"))
    assert set(ours["languages"]) == {"en", "de", "ar"} and 0 <= ours["A"] <= 100
    assert ours["languages"]["de"]["t2i"]["R@10"] > 0


def test_an_evaluation_is_cut_into_folds_as_the_command_does(run):
    assert run.evaluate(folds=3) == json.loads(command("-q", "evaluate", "run", "--folds", 3, "--json"))
    with pytest.raises(ValueError, match="`split` is"):
        run.evaluate("trian")


def test_data_that_have_moved_are_told_where_a_run_is_opened(run, desk):
    (desk / "scenes").rename(desk / "moved")
    try:
        with pytest.raises(tinyglot.Error, match="data.root=DIR"):
            run.evaluate()
        assert tinyglot.open("run", set=["data.root=moved"]).evaluate()["A"] > 0
    finally:
        (desk / "moved").rename(desk / "scenes")


def test_a_language_of_a_packed_run_is_taken_out_and_put_in(run, desk, sentences):
    packed = run.pack("packed", weights="int8", ngrams=0)
    command("-q", "pack", "run", "--out", "theirs", "--weights", "int8", "--ngrams", 0)
    weights = "checkpoints/best/model.safetensors"
    assert (desk / "packed" / weights).read_bytes() == (desk / "theirs" / weights).read_bytes()
    packed.export_language("de", "de.language")
    without = packed.remove_language("de", "without")
    assert without.languages == ["en", "ar"]
    again = without.add_language("de.language", "again")
    assert sorted(again.languages) == ["ar", "de", "en"]
    same(again.embed_sentences(sentences, "de"), packed.embed_sentences(sentences, "de"))
    with pytest.raises(tinyglot.Error, match="the run is not packed"):
        run.export_language("de", "not.language")
    with pytest.raises(ValueError, match="`int3` is no format"):
        run.pack("none", weights="int3")


def test_a_language_is_taken_out_of_a_run(run, sentences):
    fewer = run.remove_language("ar", "fewer")
    assert fewer.languages == ["en", "de"]
    same(fewer.embed_sentences(sentences, "de"), run.embed_sentences(sentences, "de"))
