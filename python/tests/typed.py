"""What type checkers must accept (mypy --strict), and what they must refuse: an ignored line that is no error is one."""

from pathlib import Path
from typing import Union

import numpy as np
import numpy.typing as npt
import tinyglot

run: tinyglot.Run = tinyglot.open(Path("run"), set=["data.root=x"], tower="clip")
vectors: npt.NDArray[np.float32] = run.embed_sentences(["a"], language="en")
vectors = run.embed_pictures(np.zeros((3, 4)))
vectors = run.embed_pictures("features.npy")
gallery: tinyglot.Gallery = run.gallery("features.npy", ids=Path("ids.txt"))
gallery = run.gallery(vectors, ids=["a", "b"])
names: list[str] = [hit.id for hits in gallery.search(["a"], "en", k=3) for hit in hits]
rows, scores = gallery.search_vectors(vectors)
first: np.int64 = rows[0, 0]


def callback(event: object) -> None: ...


trained: Union[tinyglot.Run, None] = tinyglot.train("a.toml", "out", callback=callback)
try:
    run.evaluate("val", folds=5)
except tinyglot.Error as error:
    file: Union[Path, None] = error.file

run.evaluate("trian")  # type: ignore[arg-type]
run.pack("out", weights="int3")  # type: ignore[arg-type]
