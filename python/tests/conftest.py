"""The little pictures of `tinyglot data scenes`, and runs that the command has trained on them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CLIP = REPOSITORY / "tests/golden/vision/clip"

CONFIG = """
[data]
root = "scenes"
languages = ["en", "de", "ar"]
parallel = "parallel/{split}.{language}"

[[data.captions]]
languages = ["en", "de", "ar"]
files = ["captions/{split}.1.{language}"]

[words.fasttext]
width = 12
epochs = 1
buckets = 500

[embedding]
top_k = 50
word_width = 8
latents = 30
width = 16
align = { epochs = 1 }
pretrain = { epochs = 1, top_m = 5 }

[text]
hidden = 24
joint = 16

[image]
hidden = 24

[loss]
info_nce.weight = 1.0

[train]
epochs = 2
images = 20
learning_rate = 1e-2
"""


def command(*arguments, status=0, stdin=""):
    """Runs the command of this Python's environment and gives what it printed."""
    program = Path(sys.executable).with_name("tinyglot")
    arguments = [str(argument) for argument in arguments]
    ran = subprocess.run([program, *arguments], input=stdin.encode(), capture_output=True)
    assert ran.returncode == status, (arguments, ran.returncode, ran.stderr.decode())
    return ran.stdout if status == 0 else ran.stderr.decode()


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """A folder with a corpus, a configuration, and the run that was trained by it."""
    folder = tmp_path_factory.mktemp("desk")
    os.chdir(folder)
    sizes = ["--train", "100", "--val", "20", "--test", "30"]
    command("-q", "data", "scenes", "--out", "scenes", *sizes, "--languages", "en,de,ar")
    (folder / "little.toml").write_text(CONFIG)
    command("-q", "train", "little.toml", "--out", "run", "--cache", "cache")
    return folder


@pytest.fixture(scope="session")
def run(desk):
    import tinyglot

    return tinyglot.open(desk / "run")


@pytest.fixture(scope="session")
def sentences(desk):
    return (desk / "scenes/captions/test.1.de").read_text(encoding="utf-8").splitlines()
