"""Figures of tasks by NumPy, SciPy and scikit-learn, for tasks.rs: `python tasks.py` writes tasks.json beside this file.

Bitext retrieval by the definition of LASER's xsim (Artetxe & Schwenk 2019): of the k nearest targets by cosine the one with the highest ratio
margin. Where the right answer is among n equally good ones it counts 1/n; equal cosines are candidates in their order. F1 and precision are
scikit-learn's, weighted, of the first of the nearest. Rows of whole numbers make scores that are exact, and so ties that are.
"""

import json
import pathlib

import numpy as np
from scipy.special import log_softmax
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_score

K = 4


def way(scores):
    """scores (sources, targets), target i belongs to source i."""
    n = len(scores)
    k = min(K, n)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    back = np.argsort(-scores.T, axis=1, kind="stable")[:, :k]
    a = np.take_along_axis(scores, nearest, axis=1).mean(axis=1)
    b = np.take_along_axis(scores.T, back, axis=1).mean(axis=1)
    cosine = margin = 0.0
    for i in range(n):
        best = np.flatnonzero(scores[i] == scores[i].max())
        cosine += (i in best) / len(best)
        with np.errstate(divide="ignore", invalid="ignore"):
            margins = scores[i, nearest[i]] / ((a[i] + b[nearest[i]]) / 2)
        margins = np.where(np.isnan(margins), -np.inf, margins)
        best = nearest[i][margins == margins.max()]
        margin += (i in best) / len(best)
    picked = scores.argmax(axis=1)
    ties = int(((scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    return {
        "cosine": 100 * cosine / n,
        "margin": 100 * margin / n,
        "F1": 100 * f1_score(np.arange(n), picked, average="weighted", zero_division=0),
        "precision": 100 * precision_score(np.arange(n), picked, average="weighted", zero_division=0),
        "ties": ties,
    }


def bitext(name, x, y):
    scores = x.astype(np.float64) @ y.astype(np.float64).T
    floats = lambda rows: [float(v) for v in rows.astype(np.float32).ravel()]
    return {"name": name, "width": x.shape[1], "x": floats(x), "y": floats(y), "ways": [way(scores), way(scores.T)]}


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def correlations(x, y):
    return {"x": list(map(float, x)), "y": list(map(float, y)),
            "spearman": float(spearmanr(x, y).statistic), "pearson": float(pearsonr(x, y).statistic)}


def probes(rng):
    """Votes of the 20 nearest with exp((cos - 1) / 0.07), and logistic regression with several C."""
    classes, width = 4, 6
    centres = rng.normal(size=(classes, width))
    def draw(n):
        labels = rng.integers(0, classes, size=n)
        return unit(centres[labels] + 1.1 * rng.normal(size=(n, width))), labels
    (x, labels), (asked, answers) = draw(90), draw(40)
    scores = asked.astype(np.float64) @ x.astype(np.float64).T
    votes = np.zeros((len(asked), classes))
    for row, nearest in enumerate(np.argsort(-scores, axis=1, kind="stable")[:, :20]):
        np.add.at(votes[row], labels[nearest], np.exp((scores[row, nearest] - 1) / 0.07))
    linear = []
    for c in [0.1, 10.0, 100.0, 1000.0]:
        fitted = LogisticRegression(C=c, tol=1e-10, max_iter=100000).fit(x.astype(np.float64), labels)
        logits = fitted.decision_function(asked.astype(np.float64))
        linear.append({"C": c, "log_probabilities": log_softmax(logits, axis=1).ravel().tolist()})
    plain = lambda a: [float(v) for v in np.asarray(a).ravel()]
    return {"width": width, "classes": classes, "x": plain(x), "labels": labels.tolist(), "asked": plain(asked),
            "answers": answers.tolist(), "votes": plain(votes), "linear": linear}


def main():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(50, 8))
    whole = lambda shape, low, high: rng.integers(low, high, size=shape).astype(np.float32)
    base = whole((60, 4), -3, 4)
    repeated = whole((40, 5), 1, 5)
    repeated[10:25] = repeated[3]
    sets = [
        bitext("plain", unit(x), unit(x + 0.7 * rng.normal(size=x.shape))),
        bitext("ties, and cosines below 0", base, base + whole(base.shape, -1, 2)),
        bitext("repeated sentences", repeated, repeated + np.eye(40, 5, dtype=np.float32)),
        bitext("one pair", unit(x[:1]), unit(-x[:1])),
        bitext("fewer than k", unit(x[:3]), unit(x[:3] + 0.2)),
        bitext("all alike", np.ones((9, 2), np.float32), np.ones((9, 2), np.float32)),
    ]
    scores = rng.integers(0, 6, size=80) / 1.25
    cosines = np.round(scores / 5 + rng.normal(size=80) * 0.3, 1)
    lists = [
        correlations(cosines, scores),
        correlations(rng.normal(size=30), rng.normal(size=30)),
        correlations([0.5, 0.25], [1.0, 4.0]),
        correlations([1e-3, 1e3, 1e9, 1e9], [1, 2, 3, 3]),
    ]
    document = {"bitext": sets, "correlations": lists, "probes": probes(rng)}
    pathlib.Path(__file__).with_name("tasks.json").write_text(json.dumps(document) + "\n")


main()
