from os import PathLike
from pathlib import Path
from typing import Any, Callable, Literal, Sequence, TypedDict, Union, final, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Error", "Gallery", "Hit", "Run", "__version__", "main", "open", "set_threads", "train"]

_Path = Union[str, PathLike[str]]
_Weights = Literal["f32", "f16", "int8", "int4", "pq"]

__version__: str

class Error(Exception):
    """What went wrong: the message names the file and the line, says what is wrong and what to do about it."""

    kind: Literal["usage", "config", "data", "run", "stopped"]
    """As the command's exit status tells errors apart."""
    file: Path | None
    """The file that it is about, where there is one."""
    line: int | None
    """The line there, counted from 1."""

@final
class Hit:
    """A picture that was found."""

    @property
    def id(self) -> str:
        """What it is called; its row, where the gallery has no ids."""
    @property
    def row(self) -> int:
        """Its row in the gallery's file, array or index, from 0."""
    @property
    def score(self) -> float:
        """Cosine of query and picture."""

@final
class Gallery:
    """Pictures as vectors, in memory or in an index: made once and searched often, from many threads."""

    def __len__(self) -> int:
        """How many pictures there are."""
    @property
    def ids(self) -> list[str]:
        """What each row is called."""
    def search(self, queries: Sequence[str], language: str, k: int = 10) -> list[list[Hit]]:
        """The `k` best pictures of each query, the best first, as `tinyglot search` finds them."""
    def search_vectors(
        self, vectors: npt.ArrayLike, k: int = 10
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Rows and scores (queries, k) of the best pictures of each vector; `vectors`: (queries, width), of unit length."""

@final
class Run:
    """A trained run in use, or what was packed of one; many threads may use it."""

    @property
    def path(self) -> Path:
        """Its folder."""
    @property
    def languages(self) -> list[str]:
        """The codes of its languages."""
    @property
    def width(self) -> int:
        """Numbers of each vector."""
    @property
    def config(self) -> str:
        """Its configuration (TOML), defaults filled in."""
    def embed_sentences(self, sentences: Sequence[str], language: str) -> npt.NDArray[np.float32]:
        """Sentences as vectors (sentences, width), of unit length.

        Sentences without a known word, or longer than the model reads, are told by the logger `tinyglot`.
        """
    def embed_pictures(self, pictures: _Path | npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Pictures as vectors (pictures, width), of unit length.

        `pictures`: a file of features, .npy or .safetensors, or features (pictures, numbers) as an array, which is copied only where it
        is not of float32, row by row. It must not be changed meanwhile.
        """
    def embed_photographs(self, photographs: Sequence[_Path]) -> npt.NDArray[np.float32]:
        """Photographs, by their files, as vectors (photographs, width), of unit length.

        They go through the picture tower of the run's `data.tower`, or the one that `open` was given.
        """
    @overload
    def gallery(self, pictures: _Path, ids: _Path | None = None) -> Gallery: ...
    @overload
    def gallery(self, pictures: npt.ArrayLike, ids: Sequence[str] | None = None) -> Gallery:
        """Pictures to search, their vectors in memory; `pictures` as in `embed_pictures`.

        `ids` are those of an array; of a file they are a file, too, by default those in it or beside it (.ids).
        """
    def index(self, folder: _Path) -> Gallery:
        """The pictures of an index that `tinyglot index` made with this run; they may be more than memory holds."""
    def evaluate(
        self,
        split: Literal["train", "val", "test"] = "test",
        *,
        captions: Literal["human", "machine"] = "human",
        distractors: bool = False,
        folds: int = 1,
    ) -> dict[str, Any]:
        """Retrieval on a split of the run's data: what `tinyglot evaluate --json` prints.

        `A` is the mean of the languages' `mR`, in percent; `languages[code]` has `mR`, and in `t2i` and `i2t` `R@1`, `R@5`, `R@10` and
        `median_rank`. Nothing is written.
        """
    def pack(
        self,
        out: _Path,
        *,
        weights: _Weights = "f16",
        rows: _Weights | None = None,
        ngrams: int | None = None,
        languages: Sequence[str] = ...,
    ) -> Run:
        """Packs the run for use alone, as `tinyglot pack`, for some languages or all, and opens that."""
    def export_language(self, language: str, out: _Path) -> None:
        """Writes a language of a packed run to a file of its own."""
    def add_language(self, file: _Path, out: _Path) -> Run:
        """Makes a packed run with the language of a file that `export_language` wrote, and opens it."""
    def remove_language(self, language: str, out: _Path) -> Run:
        """Makes a run, packed or not, without a language, and opens it."""

class _Preparing(TypedDict):
    event: Literal["preparing"]
    stage: str
    done: int
    total: int
    loss: float

class _Step(TypedDict):
    event: Literal["step"]
    step: int
    steps: int
    loss: float

class _Validation(TypedDict):
    event: Literal["validation"]
    epoch: int
    evaluation: dict[str, Any]
    best: bool

def open(path: _Path, *, set: Sequence[str] = ..., tower: _Path | None = None) -> Run:
    """Opens the best checkpoint of a run, or what was packed of one.

    `set` says where the data are by now (`data.…`) or how languages are joined (`consistency.…`), e.g. "data.root=/mnt/data"; `tower` is
    the folder of a picture tower for photographs, by default the run's `data.tower`.
    """

def train(
    config: _Path,
    out: _Path,
    *,
    set: Sequence[str] = ...,
    resume: bool = False,
    cache: _Path | None = None,
    memory: float | None = None,
    stop_after: int | None = None,
    callback: Callable[[_Preparing | _Step | _Validation], object] | None = None,
) -> Run | None:
    """Trains a model by a configuration into the folder `out`, evaluates its best checkpoint on validation, and opens it.

    `set` sets keys over the file, each as the command's `--set`, e.g. "train.epochs=3". `resume` goes on from the latest checkpoint.
    `cache` keeps word vectors and pretraining for other runs. A training that needs more memory (GB) than `memory`, by default than is
    free, is refused; 0 has no limit. After `stop_after` epochs it stops and gives None.

    `callback` is told of every step, validation, and step of preparation, as a dict, in the thread that called. What it raises stops the
    training and is raised here; so does Ctrl-C. The checkpoint then holds the last step, and `resume` goes on to the same bits. Lines
    for people go to the logger `tinyglot`.
    """

def set_threads(count: int) -> None:
    """Computes with so many threads from now on, by default all cores or RAYON_NUM_THREADS; results do not depend on it."""

def main() -> int:
    """The command `tinyglot`, with the arguments of the process; gives its exit status."""
