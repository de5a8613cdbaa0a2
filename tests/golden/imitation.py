"""Losses of a student beside a teacher, in plain Python and double precision, for imitation.rs: `python imitation.py` writes imitation.json.

Each loss is written from its definition, sentence by sentence, of vectors brought to unit length or as they are. The gradient with respect to the
student's vectors, before they are brought to unit length, is the central difference of the loss.
"""

import json
import math
import pathlib
import random

ITEMS, WIDTH, TAU, STEP = 5, 4, 0.2, 1e-5


def unit(row):
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def log_softmax(logits):
    highest = max(logits)
    total = math.log(sum(math.exp(x - highest) for x in logits)) + highest
    return [x - total for x in logits]


def mse(student, teacher):
    return sum((s - t) ** 2 for a, b in zip(student, teacher) for s, t in zip(a, b)) / (ITEMS * WIDTH)


def unit_mse(student, teacher):
    return mse([unit(s) for s in student], [unit(t) for t in teacher])


def cosine(student, teacher):
    return sum(1 - dot(unit(s), unit(t)) for s, t in zip(student, teacher)) / ITEMS


def softmax(student, teacher):
    """Sentences among vectors and vectors among sentences, half of each."""
    s, t = [unit(x) for x in student], [unit(x) for x in teacher]
    one = [-log_softmax([dot(s[i], t[j]) / TAU for j in range(ITEMS)])[i] for i in range(ITEMS)]
    other = [-log_softmax([dot(t[i], s[j]) / TAU for j in range(ITEMS)])[i] for i in range(ITEMS)]
    return (sum(one) + sum(other)) / (2 * ITEMS)


def relational(student, teacher):
    """KL divergence of what the others are like to each (CompRess: Koohpayegani et al. 2020, equation 2)."""
    s, t = [unit(x) for x in student], [unit(x) for x in teacher]
    total = 0.0
    for i in range(ITEMS):
        others = [j for j in range(ITEMS) if j != i]
        p = log_softmax([dot(t[i], t[j]) / TAU for j in others])
        q = log_softmax([dot(s[i], s[j]) / TAU for j in others])
        total += sum(math.exp(a) * (a - b) for a, b in zip(p, q))
    return total / ITEMS


def gradient(loss, student, teacher):
    slopes = []
    for i in range(ITEMS):
        for k in range(WIDTH):
            values = []
            for step in (STEP, -STEP):
                moved = [row[:] for row in student]
                moved[i][k] += step
                values.append(loss(moved, teacher))
            slopes.append((values[0] - values[1]) / (2 * STEP))
    return slopes


random.seed(20)
student, teacher = ([[random.gauss(0, 1) for _ in range(WIDTH)] for _ in range(ITEMS)] for _ in range(2))
losses = {"mse": mse, "unit_mse": unit_mse, "cosine": cosine, "softmax": softmax, "relational": relational}
document = {
    "width": WIDTH,
    "temperature": TAU,
    "student": sum(student, []),
    "teacher": sum(teacher, []),
    "losses": [
        {"name": name, "value": loss(student, teacher), "gradient": gradient(loss, student, teacher)}
        for name, loss in losses.items()
    ],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(document, indent=1) + "\n")
