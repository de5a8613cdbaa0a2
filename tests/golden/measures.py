"""Figures of evaluations by NumPy and scikit-learn, for measures.rs: `python measures.py` writes measures.json beside this file.

Crisscrossed Captions (Parekh et al. 2021): Spearman's correlation over samples of half of the queries with one of their pairs each, drawn here 20,000 times, so that ours,
of other draws, must be near; recall where a query has several right answers, over all orders of equal scores. Accuracy of classes: scikit-learn's where
no scores are equal, else over all orders; the mean over classes is `balanced_accuracy_score`; which class is
taken for which is `confusion_matrix`, and with equal scores its mean over all choices among the nearest. Rows of whole numbers make scores that are exact, and so ties that are.
"""

import itertools
import json
import math
import pathlib

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score


def sampled(rng):
    pairs = []
    for query in range(60):
        for _ in range(1 + query % 4):
            score = rng.integers(0, 26) / 5
            pairs.append([query, float(np.round(score / 5 + 0.5 * rng.normal(), 2)), float(score)])
    by_query = [[p for p in pairs if p[0] == query] for query in range(60)]
    found = []
    for _ in range(20000):
        chosen = [by_query[q][rng.integers(len(by_query[q]))] for q in rng.choice(60, 30, replace=False)]
        found.append(spearmanr([p[1] for p in chosen], [p[2] for p in chosen]).statistic)
    return {"pairs": pairs, "mean": float(np.mean(found)), "deviation": float(np.std(found, ddof=1))}


def hit(scores, right, k):
    """The share of orders of equal scores in which one of `right` is among the first k."""
    best = max(scores[j] for j in right)
    better = sum(s > best for s in scores)
    tied = [j for j in range(len(scores)) if scores[j] == best]
    places = k - better
    if places <= 0:
        return 0.0
    wrong = len([j for j in tied if j not in right])
    if places >= len(tied):
        return 1.0
    # Of all ways to fill the places those without a right one.
    return 1 - math.comb(wrong, places) / math.comb(len(tied), places)


def recall(name, asked, among, right, same):
    scores = asked.astype(np.float64) @ among.astype(np.float64).T
    hits = {1: [], 5: [], 10: []}
    for i, answers in enumerate(right):
        if not answers:
            continue
        keep = [j for j in range(len(among)) if not (same and i == j)]
        place = {j: n for n, j in enumerate(keep)}
        for k in hits:
            hits[k].append(hit([scores[i, j] for j in keep], [place[j] for j in answers], k))
    short = lambda rows: [float(v) for v in rows.ravel()]
    return {"name": name, "width": asked.shape[1], "asked": short(asked), "among": short(among), "right": right, "same": same,
            "queries": len(hits[1]), "recalls": [100 * float(np.mean(hits[k])) for k in hits]}


def recalls(rng):
    whole = lambda n: rng.integers(-2, 3, size=(n, 3)).astype(np.float32)
    some = lambda n, m, most, own: [sorted({int(j) for j in rng.integers(0, m, rng.integers(0, most + 1))} - ({i} if own else set())) for i in range(n)]
    a, b = whole(40), whole(25)
    floats = rng.normal(size=(30, 5)).astype(np.float32)
    return [
        recall("ties, within", a, a, some(40, 40, 3, True), True),
        recall("ties, across", a, b, some(40, 25, 4, False), False),
        recall("no ties", floats, floats, some(30, 30, 3, True), True),
        recall("all alike", np.ones((12, 2), np.float32), np.ones((12, 2), np.float32), [sorted([(i + 1) % 12, (i + 2) % 12]) if i != 11 else [3] for i in range(12)], True),
        recall("one asks", a[:1], b, [[2]], False),
    ]


def accuracy(name, scores, labels):
    n, classes = scores.shape
    first, five, by_class = [], [], {}
    for row, label in zip(scores, labels):
        one = hit(row, [label], 1)
        first.append(one)
        five.append(hit(row, [label], 5))
        by_class.setdefault(int(label), []).append(one)
    mean = float(np.mean([np.mean(hits) for hits in by_class.values()]))
    if all(len(set(row)) == classes for row in scores.tolist()):
        assert np.isclose(np.mean(first), top_k_accuracy_score(labels, scores, k=1, labels=range(classes)))
        assert np.isclose(np.mean(five), top_k_accuracy_score(labels, scores, k=5, labels=range(classes)))
        assert np.isclose(mean, balanced_accuracy_score(labels, scores.argmax(axis=1)))
    confusion = np.zeros((classes, classes))
    for row, label in zip(scores, labels):
        nearest = np.flatnonzero(row == row.max())
        for choice in nearest:
            confusion += confusion_matrix([label], [choice], labels=range(classes)) / len(nearest)
    if all((row == row.max()).sum() == 1 for row in scores):
        assert np.array_equal(confusion, confusion_matrix(labels, scores.argmax(axis=1), labels=range(classes)))
    return {"name": name, "classes": classes, "scores": [float(v) for v in scores.ravel()], "labels": [int(v) for v in labels],
            "top1": 100 * float(np.mean(first)), "top5": 100 * float(np.mean(five)), "mean_per_class": 100 * mean,
            "confusion": confusion.tolist()}


def accuracies(rng):
    floats = rng.normal(size=(50, 8)).astype(np.float32)
    uneven = np.concatenate([np.zeros(30, int), rng.integers(0, 7, 20)])
    return [
        accuracy("no ties", floats, rng.integers(0, 8, 50)),
        accuracy("uneven classes, one without pictures", floats, uneven),
        accuracy("ties", rng.integers(0, 3, size=(40, 9)).astype(np.float32), rng.integers(0, 9, 40)),
        accuracy("all alike", np.ones((6, 10), np.float32), rng.integers(0, 10, 6)),
        accuracy("one picture", floats[:1], np.array([3])),
    ]


def check(rng):
    """`hit` against all orders one by one."""
    for _ in range(50):
        scores, right = rng.integers(0, 3, 5), sorted(set(rng.integers(0, 5, 2).tolist()))
        for k in [1, 2, 4]:
            ranked = [sorted(order, key=lambda j: -scores[j]) for order in itertools.permutations(range(5))]
            share = np.mean([any(j in right for j in order[:k]) for order in ranked])
            assert np.isclose(hit(scores, right, k), share)


def main():
    rng = np.random.default_rng(21)
    check(rng)
    document = {"sampled": sampled(rng), "recalls": recalls(rng), "accuracies": accuracies(rng)}
    pathlib.Path(__file__).with_name("measures.json").write_text(json.dumps(document) + "\n")


main()
