"""Cross-lingual consistency computed apart from the program: python clc.py (needs numpy, scipy).

Writes clc.json: sentences in three languages, pictures, and what CLC-A, CLC-C and the weighted join must give for them. Two query languages,
one with two captions a picture and one with one, are fitted together. Everything is in double precision, losses are loops over anchors, gradients
are finite differences and the weights are found by a general optimiser, so nothing here is derived as the program derives it
(Burns et al. 2020, section 3.4, equations 1 and 3).
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import rankdata

LANGUAGES, WIDTH, HIDDEN, RATE, ITERATIONS = ["en", "de", "ja"], 6, 4, 0.01, 30
MARGIN, TOP, SENTENCE_ANCHOR, RIDGE = 0.05, 3, 1.5, 1e-3
random = np.random.default_rng(7)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def split(pictures, captions, noise):
    """Pictures (n, width) and for each query language (picture of each query, sentences by language)."""
    images = unit(random.normal(size=(pictures, WIDTH))).astype(np.float32)
    sets = []
    for times in captions:
        of = np.repeat(np.arange(pictures), times)
        say = lambda strength: unit(images[of] + strength * random.normal(size=(len(of), WIDTH))).astype(np.float32)
        sets.append((of, [say(strength) for strength in noise]))
    return images, sets


def scores(images, sentences):
    """(languages, queries, pictures)"""
    return np.stack([s.astype(np.float64) @ images.astype(np.float64).T for s in sentences])


def network(parameters, s):
    first = parameters[: HIDDEN * len(LANGUAGES)].reshape(HIDDEN, len(LANGUAGES))
    hidden = np.maximum(0, np.einsum("hl,lqp->hqp", first, s))
    return np.einsum("h,hqp->qp", parameters[HIDDEN * len(LANGUAGES) :], hidden)


def triplet(joined, of):
    """Equation 3: the mean over pairs of the mean of their TOP worst hinges, sentences as anchors and pictures as anchors."""
    by_sentence, by_picture = [], []
    for q, picture in enumerate(of):
        wrong = [joined[q, p] for p in range(joined.shape[1]) if p != picture]
        by_sentence.append(sorted((max(0, MARGIN + w - joined[q, picture]) for w in wrong), reverse=True)[:TOP])
        wrong = [joined[other, picture] for other in range(len(of)) if of[other] != picture]
        by_picture.append(sorted((max(0, MARGIN + w - joined[q, picture]) for w in wrong), reverse=True)[:TOP])
    return SENTENCE_ANCHOR * np.mean(by_sentence) + np.mean(by_picture)


def pooled(loss, sets):
    """Every pair of a query and its picture counts once, whatever its language."""
    return sum(len(of) * loss(s, of) for s, of in sets) / sum(len(of) for _, of in sets)


def fit_network(sets):
    loss = lambda parameters: pooled(lambda s, of: triplet(network(parameters, s), of), sets)
    x = np.full(HIDDEN * (len(LANGUAGES) + 1), 1 / np.sqrt(HIDDEN * len(LANGUAGES)))
    first, last = loss(x), None
    m, v = np.zeros_like(x), np.zeros_like(x)
    for step in range(1, ITERATIONS + 1):
        g = np.array([(loss(x + h) - loss(x - h)) / 2e-7 for h in 1e-7 * np.eye(len(x))])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - RATE * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    last = loss(x)
    assert last < 0.95 * first, (first, last)
    return x


def fit_weights(sets):
    spread = np.array([np.std(np.concatenate([s[l].ravel() for s, _ in sets])) for l in range(len(LANGUAGES))])

    def softmax(weights):
        def one(s, of):
            joined = np.einsum("l,lqp->qp", weights / spread, s)
            there = [logsumexp(joined[q]) - joined[q, p] for q, p in enumerate(of)]
            back = []
            for q, p in enumerate(of):
                against = [other for other in range(len(of)) if other == q or of[other] != p]
                back.append(logsumexp(joined[against, p]) - joined[q, p])
            return np.mean(there) + np.mean(back)

        return pooled(one, sets) + RIDGE * np.sum(weights**2)

    found = minimize(softmax, np.ones(len(LANGUAGES)), method="BFGS", options={"gtol": 1e-9})
    return found.x / spread


def recalls(joined, of):
    """R@1, 5, 10 of sentence to picture, then of picture to any of its sentences; percent. Nothing ties."""
    ranks = [rankdata(-row)[p] for row, p in zip(joined, of)]
    back = [min(rankdata(-joined[:, p])[of == p]) for p in range(joined.shape[1])]
    return [100 * float(np.mean(np.array(r) <= k)) for r in (ranks, back) for k in (1, 5, 10)]


val, test = split(9, [2, 1], [0.5, 0.7, 1.3]), split(14, [2, 1], [0.5, 0.7, 1.3])
fitting = [(scores(val[0], sentences), of) for of, sentences in val[1]]
parameters, weights = fit_network(fitting), fit_weights(fitting)
rounded = lambda x: [float(v) for v in np.asarray(x, dtype=np.float32).ravel()]
say = lambda images, sets: {
    "images": rounded(images),
    "sets": [{"image_of": of.tolist(), "sentences": [rounded(s) for s in sentences]} for of, sentences in sets],
}
results = []
for place, (of, sentences) in enumerate(test[1]):
    s = scores(test[0], sentences)
    mean, joined = s.mean(axis=0), network(parameters, s)
    weighted = unit(np.einsum("l,lqw->qw", weights, np.stack(sentences))) @ test[0].astype(np.float64).T
    results.append({
        "CLC-A scores": mean.ravel().tolist(),
        "CLC-C scores": joined.ravel().tolist(),
        "alone": recalls(s[place], of),
        "CLC-A": recalls(mean, of),
        "CLC-C": recalls(joined, of),
        "Weighted": recalls(weighted, of),
    })
document = {
    "languages": LANGUAGES,
    "width": WIDTH,
    "hidden": HIDDEN,
    "top_n": TOP,
    "val": say(*val),
    "test": say(*test),
    "parameters": parameters.tolist(),
    "weights": weights.tolist(),
    "results": results,
}
pathlib.Path(__file__).with_name("clc.json").write_text(json.dumps(document) + "\n")
