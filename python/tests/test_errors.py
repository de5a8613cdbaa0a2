"""What goes wrong is an exception that names file, line and remedy; many threads and forked processes work side by side."""

import _thread
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tinyglot
from conftest import CONFIG, command

TEST = "scenes/features/test.npy"


def refused(call, *arguments, **options):
    with pytest.raises(tinyglot.Error) as error:
        call(*arguments, **options)
    return error.value


def test_a_configuration_is_refused_as_the_command_refuses_it(desk):
    (desk / "wrong.toml").write_text(CONFIG.replace("learning_rate = 1e-2", "learning_rat = 1"))
    error = refused(tinyglot.train, "wrong.toml", "wrong")
    line = CONFIG.splitlines().index("learning_rate = 1e-2") + 1
    assert str(error).startswith(f"`wrong.toml`:{line}: ")
    assert error.kind == "config"
    assert str(error) in command("train", "wrong.toml", "--out", "wrong", status=3)
    assert not (desk / "wrong").exists()


def test_errors_have_their_place(desk):
    (desk / "ids.txt").write_text("a\n\nb\n")
    error = refused(tinyglot.open("run").gallery, TEST, "ids.txt")
    assert (error.kind, error.line) == ("data", 2) and error.file.name == "ids.txt"
    assert str(error).startswith("`ids.txt`:2: ")


def test_what_cannot_be_used_is_refused(run, desk):
    error = refused(tinyglot.open, "absent")
    assert error.kind == "data" and "absent" in str(error) and error.line is None
    error = refused(run.embed_sentences, ["a"], "xx")
    assert error.kind == "usage" and "it knows en, de, ar" in str(error)
    error = refused(run.embed_pictures, np.ones((3, 5)))
    assert error.kind == "data" and "rows of 5 numbers" in str(error)
    features = np.load(TEST)
    features[3, 2] = np.nan
    assert "`the array`: row 3, column 2 (both from 0) is NaN" in str(refused(run.embed_pictures, features))
    features[3] = 0
    assert "row 3 (from 0) is all zeros" in str(refused(run.gallery, features))
    assert "`data.root" not in str(refused(tinyglot.open, "run", set=["text.hidden=9"]))
    assert refused(run.index, "scenes").kind == "data"


def test_what_python_can_refuse_is_refused_by_its_types(run):
    for wrong in ["a sentence", 3, [1, 2]]:
        with pytest.raises(TypeError):
            run.embed_sentences(wrong, "de")
    for wrong in [np.ones(5), np.ones((2, 3, 4))]:
        with pytest.raises(TypeError, match="a matrix of numbers"):
            run.embed_pictures(wrong)
    with pytest.raises(ValueError, match="2 ids are given, and 3 pictures"):
        run.gallery(np.ones((3, 2048)), ["a", "b"])
    with pytest.raises((ValueError, OverflowError)):
        tinyglot.set_threads(0)


def test_threads_work_side_by_side(run, sentences):
    gallery = run.gallery(TEST)
    expected = [gallery.search([sentence], "de", 3) for sentence in sentences]
    vectors = run.embed_sentences(sentences, "de").tobytes()

    def ask(n):
        assert run.embed_sentences(sentences, "de").tobytes() == vectors
        return [gallery.search([sentence], "de", 3) for sentence in sentences]

    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(ask, range(24)))


def test_the_number_of_threads_changes_no_bit(run, sentences):
    one = run.embed_sentences(sentences, "de").tobytes()
    try:
        for count in [1, 3]:
            tinyglot.set_threads(count)
            assert run.embed_sentences(sentences, "de").tobytes() == one
    finally:
        tinyglot.set_threads(2)


def forked(run, sentences, queue):
    queue.put(run.embed_sentences(sentences, "de").tobytes())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_works(run, sentences):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    expected = run.embed_sentences(sentences, "de").tobytes()
    process = context.Process(target=forked, args=(run, sentences, queue))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and queue.get() == expected


def test_ctrl_c_ends_the_wait_for_work_that_cannot_be_stopped(run, sentences):
    many = sentences * 10_000
    timer = threading.Timer(0.3, _thread.interrupt_main)
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run.embed_sentences(many, "de")
        time.sleep(5)
    assert time.monotonic() - start < 3
    # Nor does the work go on for long, in the way of other.
    run.embed_sentences(sentences, "de")
    assert time.monotonic() - start < 15


def test_the_command_gives_its_exit_status(desk):
    assert "Usage" in command("nonsense", status=2)
    assert "absent" in command("evaluate", "absent", status=4)


def test_the_command_starts_itself_again(desk):
    (desk / "sweep.toml").write_text('base = "little.toml"\nseeds = [1]\n[set]\ntrain.epochs = 1\n[axes]\nembedding.latents = [20]\n')
    command("-q", "sweep", "sweep.toml", "--out", "sweep", "--jobs", 1, "--cache", "cache")
    assert len((desk / "sweep/results.csv").read_text().splitlines()) == 2
