"""Numbers of NumPy for the loss that turns from all negatives to the hardest (LIWE): python mining.py (needs numpy, safetensors).

Writes mining.safetensors: similarities of pictures and captions, and for some steps the loss and its gradient. The loss is a loop
over matching pairs, in double precision; the gradient is its central difference.
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

STEPS = [0, 1, 57, 400, 5000]  # counted from 0
BETA, MARGIN, CAPTION_WEIGHT = 0.991, 0.2, 1.5
PICTURES = [0, 1, 2, 3, 4, 5]
CAPTIONS = [0, 0, 1, 2, 2, 2, 3, 4, 7]  # picture 5 has no caption, caption 8 no picture


def distance(cosines, kind):
    return 1 - cosines if kind == "cosine" else np.sqrt(2 - 2 * cosines + 1e-4)


def one_way(d, anchors, items, k):
    total = 0.0
    for i, picture in enumerate(anchors):
        wrong = [j for j, other in enumerate(items) if other != picture]
        for match in (j for j, other in enumerate(items) if other == picture):
            hinges = np.maximum(0, MARGIN + d[i, match] - d[i, wrong])
            total += (1 - k) * hinges.sum() + k * hinges.max()
    return total


def loss(cosines, kind, step):
    k, d = 1 - BETA ** (step + 1), distance(cosines, kind)
    return one_way(d, PICTURES, CAPTIONS, k) + CAPTION_WEIGHT * one_way(d.T, CAPTIONS, PICTURES, k)


def gradient(cosines, kind, step, h=1e-6):
    slopes = np.zeros_like(cosines)
    for place in np.ndindex(cosines.shape):
        there = np.zeros_like(cosines)
        there[place] = h
        slopes[place] = (loss(cosines + there, kind, step) - loss(cosines - there, kind, step)) / (2 * h)
    return slopes


if __name__ == "__main__":
    rng = np.random.default_rng(5)
    # As single precision has them, so that both see the same numbers.
    cosines = rng.uniform(-0.3, 0.9, (len(PICTURES), len(CAPTIONS))).astype(np.float32)
    out = {"cosines": cosines}
    out |= {n: np.array(x, np.uint32) for n, x in [("pictures", PICTURES), ("captions", CAPTIONS), ("steps", STEPS)]}
    out["settings"] = np.array([BETA, MARGIN, CAPTION_WEIGHT], np.float32)
    for kind in ["cosine", "euclidean"]:
        for step in STEPS:
            exact = cosines.astype(np.float64)
            out[f"{kind}.{step}.value"] = np.array([loss(exact, kind, step)], np.float32)
            out[f"{kind}.{step}.gradient"] = gradient(exact, kind, step).astype(np.float32)
    save_file(out, pathlib.Path(__file__).parent / "mining.safetensors")
