"""An epoch of HEM on real captions, in PyTorch as its best users would write it: the peer of `tinyglot train` at the parity settings.

    python benches/epoch_peer.py ROOT [--threads 1] [--steps 46] [--packed]

ROOT is the folder of multi30k-8k. Sizes are those of HEM in configs/sweeps/parity-multi30k-8k.toml: 128 pictures a batch with 2 English, 2
German, 1 French and 1 Czech caption each; 5,000 own words a language of width 50 and a layer into 512, other words latent tokens;
GRU 512, layer into 512; features into 2,048, batch normalisation, ReLU, dropout, into 512; bidirectional triplet with the ten hardest
negatives per language. Weights are random, and rare words latent tokens in turn: only the time counts.
The GRU is a loop over time steps, one product for all inputs and one a step over the sentences that are left: nn.GRU on packed sequences takes
twice as long on a CPU, nearly all of the difference for filling the gradients of its slices with zeros; --packed takes it all the same. Adam
is dense and fused, which is the faster one for tables of this size. Making the batch is the loader's work and not timed. Prints one JSON line;
on AMD processors MKL takes AVX2, see benches/RESULTS.md for AVX-512.
"""
import argparse
import collections
import json
import pathlib
import re
import statistics
import time

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence

BATCH, OWN, LATENT, WIDTH, SPACE, MARGIN, HARDEST = 128, 5000, 5000, 50, 512, 0.05, 10
FILES = {
    "en": [f"task2/train.{n}.en" for n in range(1, 6)],
    "de": [f"task2/train.{n}.de" for n in range(1, 6)],
    "fr": ["task1/train.fr"],
    "cs": ["task1/train.cs"],
}
CAPTIONS = {"en": 2, "de": 2, "fr": 1, "cs": 1}


def ids(root):
    """By language, caption file and picture: tokens; row 5,000 l + w is own word w of language l, what comes after them latent."""
    tokens = {}
    for l, (language, files) in enumerate(FILES.items()):
        texts = [[re.findall(r"\w+", line.lower()) for line in (root / f).read_text("utf-8").splitlines()] for f in files]
        counts = collections.Counter(word for text in texts for line in text for word in line)
        place = {word: n for n, (word, _) in enumerate(counts.most_common())}
        row = lambda p: OWN * l + p if p < OWN else OWN * len(FILES) + p % LATENT
        tokens[language] = [[torch.tensor([row(place[w]) for w in line]) for line in text] for text in texts]
    return tokens


class Batch:
    """Length-sorted and packed."""

    def __init__(self, tokens, features, pictures, step):
        sentences, self.groups = [], []
        for language, texts in tokens.items():
            first = len(sentences)
            for n in range(CAPTIONS[language]):
                sentences += [texts[(step + n + int(i)) % len(texts)][i] for i in pictures]
            self.groups.append((slice(first, len(sentences)), torch.arange(len(pictures)).repeat(CAPTIONS[language])))
        lengths = torch.tensor([len(s) for s in sentences])
        order = lengths.argsort(descending=True, stable=True)
        packed = nn.utils.rnn.pack_sequence([sentences[i] for i in order])
        self.tokens, self.sizes, self.unsort = len(packed.data), packed.batch_sizes, order.argsort()
        language = packed.data.div(OWN, rounding_mode="floor")
        self.places = [(language == l).nonzero()[:, 0] for l in range(len(FILES))]
        self.places.append((language >= len(FILES)).nonzero()[:, 0])
        self.rows = [packed.data[at] - OWN * l for l, at in enumerate(self.places)]
        self.images = features[pictures]


def gru(x, weights, sizes):
    """The last states (sentences, hidden) of sentences sorted by length, packed time-major."""
    gates = F.linear(x, weights.weight_ih_l0, weights.bias_ih_l0).split(sizes.tolist())
    h, last = x.new_zeros(int(sizes[0]), weights.hidden_size), []
    for now in gates:
        if len(now) < len(h):
            h, ended = h.split([len(now), len(h) - len(now)])
            last.append(ended)
        (xr, xz, xn), (hr, hz, hn) = now.chunk(3, 1), F.linear(h, weights.weight_hh_l0, weights.bias_hh_l0).chunk(3, 1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        n = torch.tanh(xn + r * hn)
        h = n + z * (h - n)
    return torch.cat([h] + last[::-1])


class Model(nn.Module):
    def __init__(self, features, packed):
        super().__init__()
        self.packed = packed
        self.words = nn.ModuleList([nn.Embedding(OWN, WIDTH) for _ in FILES])
        self.layers = nn.ModuleList([nn.Linear(WIDTH, SPACE) for _ in FILES])
        self.latent, self.gru, self.text = nn.Embedding(LATENT, SPACE), nn.GRU(SPACE, SPACE), nn.Linear(SPACE, SPACE)
        self.image = nn.Sequential(
            nn.Linear(features, 2048), nn.BatchNorm1d(2048), nn.ReLU(), nn.Dropout(0.5), nn.Linear(2048, SPACE)
        )

    def forward(self, batch):
        own = [layer(words(rows)) for words, layer, rows in zip(self.words, self.layers, batch.rows)]
        x = torch.cat(own + [self.latent(batch.rows[-1])])
        x = x.index_select(0, torch.cat(batch.places).argsort())
        state = self.gru(PackedSequence(x, batch.sizes))[1][0] if self.packed else gru(x, self.gru, batch.sizes)
        return F.normalize(self.image(batch.images)), F.normalize(self.text(state.index_select(0, batch.unsort)))


def triplet(image, text, image_of):
    """Mean over positives of the mean of the 10 worst hinges, both ways; a caption of the same picture is no negative."""
    s = image @ text.t()
    own = torch.arange(len(image))[:, None] == image_of[None]
    positive = s[image_of, torch.arange(len(text))]
    wrong_image = (MARGIN + s - positive[None]).clamp(min=0).masked_fill(own, 0)
    wrong_text = (MARGIN + s[image_of] - positive[:, None]).clamp(min=0).masked_fill(own[image_of], 0)
    return wrong_image.topk(HARDEST, 0)[0].mean() + wrong_text.topk(HARDEST, 1)[0].mean()


def main():
    cli = argparse.ArgumentParser()
    cli.add_argument("root", type=pathlib.Path)
    cli.add_argument("--threads", type=int, default=1)
    cli.add_argument("--steps", type=int, default=46)
    cli.add_argument("--packed", action="store_true")
    args = cli.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    tokens = ids(args.root)
    features = torch.from_numpy(numpy.load(args.root / "features/train.npy").astype("f4"))
    model = Model(features.shape[1], args.packed)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order, seen, times = torch.randperm(len(features)), [], []
    per_epoch = len(features) // BATCH
    for step in range(args.steps + 3):
        batch = Batch(tokens, features, order[step % per_epoch * BATCH :][:BATCH], step)
        start = time.perf_counter()
        image, text = model(batch)
        loss = sum(triplet(image, text[group], image_of) for group, image_of in batch.groups)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        times.append(time.perf_counter() - start)
        seen.append(batch.tokens)
    print(json.dumps({"epoch_s": round(per_epoch * statistics.mean(times[3:]), 2), "steps": per_epoch,
                      "tokens_per_step": round(statistics.mean(seen[3:])), "threads": args.threads,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
