"""Figures of pictures of the space by NumPy and scikit-learn, for space.rs: `python space.py` writes space.json beside this file.

The joint probabilities of t-SNE are scikit-learn's, and so is the picture whose divergence is worked out from them; trustworthiness is
`sklearn.manifold.trustworthiness`, and beside it the definition of Venna & Kaski (2001) written out here. SVCCA is Raghu et al. (2017) by QR and
SVD: directions with 99 % of the variance, then the mean of the singular values of Qx' Qy. Laplacian eigenmaps are scikit-learn's.
"""

import json
import pathlib

import numpy as np
from sklearn.manifold import TSNE, SpectralEmbedding, trustworthiness
from sklearn.manifold._t_sne import _joint_probabilities_nn
from sklearn.neighbors import NearestNeighbors


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clusters(rng, n, width, centres, spread):
    centre = rng.normal(size=(centres, width))
    return unit(centre[np.arange(n) % centres] + spread * rng.normal(size=(n, width)))


def squares(x):
    x = x.astype(np.float64)
    return np.maximum(0, ((x[:, None] - x[None]) ** 2).sum(-1))


def short(rows):
    """As short as single precision allows."""
    return [float(f"{v:.9g}") for v in np.asarray(rows).ravel()]


def joint(x, perplexity):
    """scikit-learn's probabilities of the three times as many nearest neighbours, as its quick method has them."""
    k = min(len(x) - 1, int(3 * perplexity))
    near = NearestNeighbors(n_neighbors=k).fit(x.astype(np.float64)).kneighbors_graph(mode="distance")
    near.data **= 2
    return _joint_probabilities_nn(near, perplexity, 0).toarray().astype(np.float64)


def trust(distances, points, k):
    """As defined: equal distances in the order of the rows."""
    n = len(points)
    between = ((points[:, None] - points[None]) ** 2).sum(-1)
    total = 0
    for i in range(n):
        others = np.array([j for j in range(n) if j != i])
        order = others[np.argsort(distances[i, others], kind="stable")]
        rank = {j: r + 1 for r, j in enumerate(order)}
        near = others[np.argsort(between[i, others], kind="stable")][:k]
        total += sum(max(0, rank[j] - k) for j in near)
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


def picture(name, x, perplexity, neighbours):
    n, d = len(x), squares(x)
    fitted = TSNE(perplexity=perplexity, init="pca", method="exact", random_state=0, max_iter=1000).fit(x.astype(np.float64))
    points = np.round(fitted.embedding_.astype(np.float64), 4)
    p = joint(x, perplexity)
    q = 1 / (1 + squares(points))
    np.fill_diagonal(q, 0)
    q /= q.sum()
    there = p > 0
    divergence = (p[there] * np.log(p[there] / q[there])).sum()
    by_k = []
    for k in neighbours:
        theirs, ours = trustworthiness(x.astype(np.float64), points, n_neighbors=k), trust(d, points, k)
        assert abs(theirs - ours) < 1e-12, (name, k, theirs, ours)
        by_k.append([k, theirs])
    return {"name": name, "width": x.shape[1], "x": short(x), "points": points.tolist(), "perplexity": perplexity,
            "p": [short(row) for row in p] if n <= 60 else None,
            "divergence": float(divergence), "trustworthiness": by_k}


def kept(x):
    x = x.astype(np.float64) - x.astype(np.float64).mean(axis=0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    count = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.99)) + 1
    return np.linalg.qr(u[:, :count] * s[:count])[0]


def svcca(rng):
    n = 120
    base = rng.normal(size=(n, 6))
    width = 10
    sides = []
    for noise in [0.0, 0.3, 1.0, 3.0]:
        mixed = base @ rng.normal(size=(6, width)) + noise * rng.normal(size=(n, width))
        sides.append(unit(mixed))
    found = []
    for a in range(len(sides)):
        for b in range(a + 1, len(sides)):
            qx, qy = kept(sides[a]), kept(sides[b])
            s = np.linalg.svd(qx.T @ qy, compute_uv=False)
            found.append([a, b, qx.shape[1], qy.shape[1], float(np.clip(s, 0, 1).mean())])
    return {"width": width, "sides": [short(side) for side in sides], "pairs": found}


def eigenmap(rng):
    n = 9
    w = rng.uniform(0.2, 1.0, size=(n, n))
    w = (w + w.T) / 2
    np.fill_diagonal(w, 1.0)
    points = SpectralEmbedding(n_components=2, affinity="precomputed", eigen_solver="arpack", random_state=0).fit_transform(w)
    return {"likeness": w.tolist(), "points": points.tolist()}


def main():
    rng = np.random.default_rng(11)
    small = clusters(rng, 60, 5, 4, 0.4)
    equal = clusters(rng, 50, 4, 3, 0.3)
    equal[[7, 20, 21]] = equal[3]
    pictures = [
        picture("clusters", small, 8.0, [1, 5, 12]),
        picture("a cloud", clusters(rng, 300, 16, 300, 1.0), 30.0, [5, 12]),
        picture("many clusters", clusters(rng, 240, 12, 20, 0.6), 20.0, [5, 12]),
    ]
    points = np.round(rng.normal(size=(50, 2)), 3)
    ties = {"width": 4, "x": short(equal), "points": points.tolist(),
            "trustworthiness": [[k, trust(squares(equal), points, k)] for k in [1, 4, 9]]}
    document = {"pictures": pictures, "ties": ties, "svcca": svcca(rng), "eigenmap": eigenmap(rng)}
    pathlib.Path(__file__).with_name("space.json").write_text(json.dumps(document) + "\n")


main()
