"""Trainings: the bits of the command's, told step by step, stopped by exceptions and by Ctrl-C."""

import logging
import signal
import subprocess
import sys
import threading
import time

import pytest
import tinyglot

WEIGHTS = "checkpoints/best/model.safetensors"


def train(out, **options):
    return tinyglot.train("little.toml", out, cache="cache", **options)


def weights(folder):
    return (folder / WEIGHTS).read_bytes()


def test_a_training_has_the_bits_of_the_commands_and_tells_its_steps(desk, run, caplog):
    events = []
    thread = threading.get_ident()

    def callback(event):
        assert threading.get_ident() == thread
        events.append(event)

    with caplog.at_level(logging.INFO, "tinyglot"):
        ours = train("ours", callback=callback)
    assert weights(desk / "ours") == weights(desk / "run")
    assert ours.evaluate("val") == run.evaluate("val")
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, steps[0]["steps"] + 1))
    assert all(event["loss"] > 0 for event in steps)
    validations = [event for event in events if event["event"] == "validation"]
    assert [event["epoch"] for event in validations] == [1, 2] and validations[0]["best"]
    assert validations[1]["evaluation"]["A"] > 0
    assert "100 training pictures" in caplog.text


def test_keys_are_set_over_the_file(desk):
    short = train("short", set=["train.epochs=1", "seed=7"])
    assert "epochs = 1\n" in short.config and weights(desk / "short") != weights(desk / "run")
    assert train("stopped", stop_after=1) is None


def test_an_exception_in_the_callback_stops_and_is_raised_and_the_training_goes_on(desk):
    class Enough(Exception):
        pass

    seen = []

    def callback(event):
        if event["event"] == "step":
            seen.append(event["step"])
            if event["step"] == 3:
                raise Enough("at step 3")

    with pytest.raises(Enough, match="at step 3"):
        train("enough", callback=callback)
    assert seen == [1, 2, 3]
    with pytest.raises(tinyglot.Error, match="--resume") as error:
        train("enough")
    assert error.value.kind == "usage"
    train("enough", resume=True, callback=lambda event: seen.append(event.get("step")))
    assert seen[3] == 4 and weights(desk / "enough") == weights(desk / "run")


def test_an_exception_during_the_preparation_leaves_nothing(desk):
    def callback(event):
        assert event["event"] == "preparing"
        raise RuntimeError(event["stage"])

    with pytest.raises(RuntimeError, match="segment"):
        train("never", callback=callback)
    assert not (desk / "never").exists()


def test_the_callback_may_use_runs(run, sentences):
    tinyglot.set_threads(1)
    try:
        found = []
        train("used", callback=lambda event: found.append(run.embed_sentences(sentences[:1], "de").shape))
        assert set(found) == {(1, 16)}
    finally:
        tinyglot.set_threads(2)


def test_other_threads_run_meanwhile():
    counted = 0
    ended = threading.Event()

    def count():
        nonlocal counted
        while not ended.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    start = time.monotonic()
    train("beside", set=["train.epochs=4"])
    took = time.monotonic() - start
    ended.set()
    thread.join()
    assert counted > 50 * took, f"counted to {counted} in {took} s"


TRAINING = """
import sys, tinyglot
def callback(event):
    if event["event"] == "step" and event["step"] >= 3:
        print("step", event["step"], flush=True)
try:
    tinyglot.train("little.toml", "interrupted", cache="cache", set=["train.epochs=400"], callback=callback)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def test_ctrl_c_saves_and_stops(desk):
    process = subprocess.Popen([sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("step 3")
    process.send_signal(signal.SIGINT)
    last = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 130 and last[-1] == "interrupted"
    done = int(last[-2].split()[1]) if len(last) > 1 else 3
    steps = []
    with pytest.raises(StopIteration):
        train("interrupted", resume=True, set=["train.epochs=400"], callback=lambda event: next(iter(steps.append(event["step"]) or ())))
    assert done <= steps[0] - 1 <= done + 3
