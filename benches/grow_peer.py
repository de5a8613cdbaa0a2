"""A step of adding a language to a frozen model, in PyTorch as its best users would write it: the peer of `tinyglot add-language`.

    python benches/grow_peer.py CAPTIONS [--threads 2] [--steps 100]

CAPTIONS: the new language's captions, one a line, one per picture. Sizes are those of configs/multi30k-8k.toml and
configs/grow/multi30k-8k-cs.toml: 128 pictures a batch and 768 further ones, 1,800 own words of width 160 and a layer into 512, other words frozen latent tokens;
frozen GRU 512, mean of the words beside its state, frozen layer into 512 and a product of rank 32 beside it; pictures and one caption of each of three known languages are
vectors that were computed before; bidirectional triplet with the ten hardest negatives, neighbourhood of weight 1. Weights are random: only the time counts.
Frozen parameters ask for no gradient; the GRU runs on packed sequences; Adam is fused. Prints one JSON line.
"""
import argparse
import collections
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_sequence

BATCH, NEGATIVES, OWN, WIDTH, RANK, SPACE, MARGIN, HARDEST, KNOWN = 128, 768, 1800, 160, 32, 512, 0.1, 10, 3


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.layer = nn.Embedding(OWN, WIDTH), nn.Linear(WIDTH, SPACE)
        self.latent, self.gru = nn.Embedding(5000, SPACE), nn.GRU(SPACE, SPACE)
        self.output = nn.Linear(2 * SPACE, SPACE)
        self.down, self.up = nn.Linear(2 * SPACE, RANK), nn.Linear(RANK, SPACE)
        for frozen in (self.latent, self.gru, self.output):
            frozen.requires_grad_(False)

    def forward(self, batch):
        flat, sizes, unsort, owner, lengths = batch
        own = flat < OWN
        tokens = torch.empty(len(flat), SPACE)
        tokens[~own] = self.latent(flat[~own] - OWN)
        tokens[own] = self.layer(self.words(flat[own]))
        packed = nn.utils.rnn.PackedSequence(tokens, sizes)
        state = self.gru(packed)[1][0]
        mean = torch.zeros_like(state).index_add(0, owner, tokens) / lengths[:, None]
        x = torch.cat([state, F.normalize(mean)], 1)
        return F.normalize(self.output(x) + self.up(self.down(x)))[unsort]


def triplet(s):
    """Both ways, the ten hardest negatives; row n belongs to column n, and rows may be left over."""
    positive, eye = s.diagonal(), torch.eye(*s.shape, dtype=torch.bool)
    total = 0
    for scores, own in ((s[: len(positive)], eye[: len(positive)]), (s.t(), eye.t())):
        violation = (MARGIN + scores - positive[:, None]).clamp(min=0).masked_fill(own, 0)
        total = total + violation.topk(HARDEST, 1).values.mean()
    return total


def main():
    cli = argparse.ArgumentParser()
    cli.add_argument("captions")
    cli.add_argument("--threads", type=int, default=2)
    cli.add_argument("--steps", type=int, default=100)
    args = cli.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    lines = [line.lower().split() for line in open(args.captions, encoding="utf-8")]
    counts = collections.Counter(word for line in lines for word in line)
    place = {word: n for n, (word, _) in enumerate(counts.most_common())}
    ids = [[p if p < OWN else OWN + p % 5000 for p in map(place.get, line)] for line in lines]
    unit = lambda: F.normalize(torch.randn(len(ids), SPACE))
    images, known = unit(), [unit() for _ in range(KNOWN)]
    model = Model()
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=5e-3, fused=True)
    order, times = torch.randperm(len(ids)), []
    for step in range(args.steps + 3):
        # The loader's work is not timed.
        rows = order[(step * BATCH) % (len(ids) - BATCH):][:BATCH]
        some = sorted(range(BATCH), key=lambda i: -len(ids[rows[i]]))
        packed = pack_sequence([torch.tensor(ids[rows[i]]) for i in some])
        owner = torch.cat([torch.arange(int(n)) for n in packed.batch_sizes])
        lengths = torch.tensor([float(len(ids[rows[i]])) for i in some])
        batch = (packed.data, packed.batch_sizes, torch.tensor(some).argsort(), owner, lengths)
        shown = torch.cat([rows, torch.randint(len(ids), (NEGATIVES,))])
        start = time.perf_counter()
        y = model(batch)
        loss = triplet(images[shown] @ y.t()) + sum(triplet(x[rows] @ y.t()) for x in known) / KNOWN
        loss.backward()
        adam.step()
        adam.zero_grad()
        times.append(time.perf_counter() - start)
    print(json.dumps({"median_ms": round(1e3 * statistics.median(times[3:]), 2), "threads": args.threads,
                      "tokens": len(packed.data), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
