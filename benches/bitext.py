"""Bitext retrieval by NumPy, beside bench `bitext`: xsim by its definition (Artetxe & Schwenk 2019). For each side the k = 4 nearest of the other by
blocks of scores, then ratio margins. `OPENBLAS_NUM_THREADS=2 python benches/bitext.py`."""

import resource
import time

import numpy as np

N, WIDTH, K, BLOCK = 100_000, 512, 4, 1024


def nearest(x, y):
    rows, scores = np.empty((N, K), np.int64), np.empty((N, K), np.float32)
    for at in range(0, N, BLOCK):
        block = x[at : at + BLOCK] @ y.T
        some = np.argpartition(block, -K, axis=1)[:, -K:]
        found = np.take_along_axis(block, some, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        rows[at : at + BLOCK] = np.take_along_axis(some, order, axis=1)
        scores[at : at + BLOCK] = np.take_along_axis(found, order, axis=1)
    return rows, scores


def way(rows, scores, a, b):
    margins = scores.astype(np.float64) / ((a[:, None] + b[rows]) / 2)
    best = np.take_along_axis(rows, margins.argmax(1)[:, None], axis=1)[:, 0]
    return 100 * (rows[:, 0] == np.arange(N)).mean(), 100 * (best == np.arange(N)).mean()


rng = np.random.default_rng(0)
x = rng.standard_normal((N, WIDTH), dtype=np.float32)
y = x + 3.2 * rng.standard_normal((N, WIDTH), dtype=np.float32)
for side in (x, y):
    side /= np.linalg.norm(side, axis=1, keepdims=True)
start = time.perf_counter()
forth, back = nearest(x, y), nearest(y, x)
a, b = (found[1].astype(np.float64).mean(1) for found in (forth, back))
figures = way(*forth, a, b), way(*back, b, a)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(figures, f"{time.perf_counter() - start:.1f} s, {usage.ru_utime:.1f} s of processor time, {usage.ru_maxrss // 1024} MB")
