"""Numbers of PyTorch that the tests compare with: python make.py (needs torch, numpy, safetensors).

For every NAME.toml beside this file it makes a small model and ten batches, trains it for ten steps in double precision,
and writes NAME.safetensors: starting weights, batches, and what the first step and the ten losses must be. ops.safetensors
holds single operations, liwe.safetensors words from characters. The equations are those of Burns et al. 2020, section 3, and of the documentation of `src/loss`;
tokens are looked up one by one and losses are written as loops over anchors, for reading and not for speed.
"""

import itertools
import pathlib
import tomllib

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

HERE = pathlib.Path(__file__).parent
STEPS = 10
PICTURES, FEATURES = 6, 9
WORDS = {"en": 11, "de": 9, "ja": 8}  # vocabulary by language
CAPTIONS = {"en": 2, "de": 1, "ja": 1}  # per picture; ja misses some pictures

# What src/config/sections.rs gives where a file is silent.
DEFAULTS = {
    "embedding": {"top_k": 5000, "train_words": True},
    "text": {"encoder": "gru", "pooling": "last"},
    "image": {"input": "raw"},
    "loss": {
        "triplet": {"sentence_anchor": 1.5, "distance": "cosine", "same_image_negatives": False},
        "info_nce": {"weight": 0.0, "text_weight": 0.0, "label_smoothing": 0.0, "text_temperature": 1.0},
        "neighbourhood": {"words": 0.0, "sentences": 0.0, "within": 0.0},
        "mclm": {"average": 0.0, "lstm": 0.0, "encoder": "own", "masked_triplet": 0.0, "mask": 0.2},
        "adversary": {"weight": 0.0, "reversal": 1.0},
    },
    "train": {"warmup": 0, "clip": 0.0, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.999},
}


def over(defaults, given):
    """`given` with what it leaves out from `defaults`."""
    both = dict(defaults)
    for key, value in given.items():
        both[key] = over(defaults.get(key, {}), value) if isinstance(value, dict) else value
    return both


# --- data -----------------------------------------------------------------------------------------------------------


class Sentence:
    """A caption: its language, the place of its picture in the batch, words, and which of them masking takes away."""

    def __init__(self, language, image, words, lost):
        self.language, self.image, self.words, self.lost = language, image, words, lost

    def kept(self):
        return [w for w, lost in zip(self.words, self.lost) if not lost]

    def replaced(self):
        return ["[MASK]" if lost else w for w, lost in zip(self.words, self.lost)]


def draw_batch(rng, config):
    """Picture features and captions, grouped by language."""
    images = rng.normal(size=(PICTURES, FEATURES)).astype(np.float32) * 2 + 1
    sentences = []
    for language in config["data"]["languages"]:
        for image in range(PICTURES):
            if language == "ja" and rng.random() < 0.4:
                continue
            for _ in range(CAPTIONS[language]):
                length = rng.integers(1, 7)
                # Low numbers are frequent words; the last word rests for most of the ten steps.
                words = (WORDS[language] * rng.random(length) ** 2).astype(int).tolist()
                lost = rng.random(length) < config["loss"]["mclm"]["mask"]
                lost[0] &= not lost.all()  # never the whole sentence
                sentences.append(Sentence(language, image, words, lost.tolist()))
    return torch.tensor(images, dtype=torch.float64), sentences


# --- model ----------------------------------------------------------------------------------------------------------


class Model(nn.Module):
    def __init__(self, config, rng):
        super().__init__()
        self.config = config
        e, t, i, loss = config["embedding"], config["text"], config["image"], config["loss"]
        languages, width, joint = config["data"]["languages"], e["width"], t["joint"]
        self.latent = nn.Parameter(torch.tensor(rng.normal(size=(e["latents"], width))))
        # Words beyond the top K share latent tokens.
        self.assigned = {l: rng.integers(0, e["latents"], WORDS[l]).tolist() for l in languages}
        self.words, self.layers = nn.ParameterDict(), nn.ModuleDict()
        if e["top_k"] > 0:
            for l in languages:
                own = torch.tensor(rng.normal(size=(e["top_k"], e["word_width"])))
                self.words[l] = nn.Parameter(own, requires_grad=e["train_words"])
                self.layers[l] = nn.Linear(e["word_width"], width)
        self.gru = nn.GRU(width, t["hidden"], batch_first=True) if t["encoder"] == "gru" else None
        self.text_output = nn.Linear(t["hidden"] if self.gru else width, joint)
        self.image_hidden, self.norm = nn.Linear(FEATURES, i["hidden"]), nn.BatchNorm1d(i["hidden"])
        self.image_output = nn.Linear(i["hidden"], joint)
        self.heads = nn.ModuleDict()  # what predicts the lost part
        # With the sentence branch as encoder each variant predicts one kind of vector.
        own = loss["mclm"]["encoder"] == "own"
        for variant in ("average", "lstm"):
            if loss["mclm"][variant] > 0 and (own or variant == "average"):
                self.heads[variant + "_words"] = nn.Linear(2 * width, 2 * width)
            if loss["mclm"][variant] > 0 and (own or variant == "lstm"):
                self.heads[variant + "_sentences"] = nn.Linear(2 * joint, 2 * joint)
        self.mask = None
        if loss["mclm"]["lstm"] > 0:
            self.mask = nn.Parameter(torch.tensor(rng.normal(size=(1, width))))
        if loss["mclm"]["lstm"] > 0 and own:
            self.lstm, self.lstm_output = nn.LSTM(width, width, batch_first=True), nn.Linear(width, width)
        self.adversary = nn.Linear(width, len(languages)) if loss["adversary"]["weight"] > 0 else None
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("inverse", torch.ones(FEATURES))
        if i["input"] == "standard":
            self.centre, self.inverse = torch.full((FEATURES,), 1.1), torch.full((FEATURES,), 0.45)
        with torch.no_grad():
            self.norm.weight.copy_(1 + 0.3 * torch.tensor(rng.normal(size=i["hidden"])))
            self.norm.bias.copy_(0.2 * torch.tensor(rng.normal(size=i["hidden"])))
        self.double()
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            if tensor.is_floating_point():
                tensor.data = tensor.data.float().double()  # what the file can say

    def named(self):
        """The tensors by the names of `Model::visit`."""
        names = {"embedding.latent": self.latent}
        layers = {"text.output": self.text_output, "image.hidden": self.image_hidden, "image.output": self.image_output}
        recurrent = {"text.gru": self.gru} if self.gru else {}
        for l in self.words:
            names[f"embedding.{l}.words"] = self.words[l]
            layers[f"embedding.{l}.layer"] = self.layers[l]
        for name, head in self.heads.items():
            layers["mclm." + name.replace("_", ".")] = head
        if self.mask is not None:
            names["embedding.mask"] = self.mask
        if "lstm_words" in self.heads:
            recurrent["mclm.encoder.lstm"] = self.lstm
            layers["mclm.encoder.output"] = self.lstm_output
        if self.adversary:
            layers["adversary"] = self.adversary
        for name, layer in layers.items():
            names[f"{name}.weight"], names[f"{name}.bias"] = layer.weight, layer.bias
        for name, cell in recurrent.items():
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                names[f"{name}.{part}"] = getattr(cell, part + "_l0")
        names["image.norm.scale"], names["image.norm.shift"] = self.norm.weight, self.norm.bias
        names["image.norm.mean"], names["image.norm.variance"] = self.norm.running_mean, self.norm.running_var
        names["image.centre"], names["image.inverse"] = self.centre, self.inverse
        return names

    def vectors(self, language, words):
        """Token vectors of a sentence: (tokens, width)."""
        return torch.stack([self.vector(language, w) for w in words])

    def vector(self, language, word):
        if word == "[MASK]":
            return self.mask[0]
        if word < self.config["embedding"]["top_k"]:
            return self.layers[language](self.words[language][word])
        return self.latent[self.assigned[language][word]]

    def text(self, sentences):
        """Lists of token vectors → unit vectors (sentences, joint)."""
        if self.gru:
            pooled = recurrent(self.gru, sentences, self.config["text"]["pooling"])
        else:
            pooled = torch.stack([s.mean(0) for s in sentences])
        return normalize(self.text_output(pooled), dim=1)

    def image(self, features):
        if self.config["image"]["input"] == "unit":
            features = normalize(features, dim=1)
        if self.config["image"]["input"] == "standard":
            features = (features - self.centre) * self.inverse
        hidden = torch.relu(self.norm(self.image_hidden(features)))
        return normalize(self.image_output(hidden), dim=1)


def recurrent(cell, sentences, pooling):
    """States of a GRU or LSTM over sentences of different lengths, pooled."""
    lengths = torch.tensor([len(s) for s in sentences])
    packed = pack_padded_sequence(pad_sequence(sentences, batch_first=True), lengths, batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(cell(packed)[0], batch_first=True)
    pool = {"last": lambda s: s[-1], "mean": lambda s: s.mean(0), "max": lambda s: s.max(0).values}[pooling]
    return torch.stack([pool(s[:n]) for s, n in zip(states, lengths)])


# --- losses ---------------------------------------------------------------------------------------------------------


def distance(x, y, kind):
    """1 − cos, or √(‖x − y‖² + 1e-4), between all rows of x and y."""
    if kind == "cosine":
        return 1 - x @ y.T
    return (((x[:, None] - y[None]) ** 2).sum(2) + 1e-4).sqrt()


def triplet(anchors, items, anchor_images, item_images, config, farthest=False, siblings_are_negatives=False):
    """Equation 1: the worst N negatives of every pair of anchor and match (or of its farthest match), zeros included.

    Where there are fewer items than N to compare with, N is their number.
    """
    n, d = min(config["top_n"], len(items)), distance(anchors, items, config["distance"])
    total, pairs = 0.0, 0
    for i, image in enumerate(anchor_images):
        matches = [j for j, other in enumerate(item_images) if other == image]
        if farthest and matches:
            matches = [max(matches, key=lambda j: d[i, j].item())]
        for match in matches:
            pairs += 1
            others = [j for j, other in enumerate(item_images) if other != image or (siblings_are_negatives and j != match)]
            hinges = torch.relu(config["margin"] + d[i, match] - d[i, others])
            total = total + hinges.topk(min(n, len(others))).values.sum()
    return total / (pairs * n)


def bidirectional(images, sentences, of, config):
    """Equation 3: pictures against wrong sentences, and λ1 times sentences against wrong pictures."""
    numbers, siblings = list(range(len(images))), config["same_image_negatives"]
    ours = triplet(images, sentences, numbers, of, config, siblings_are_negatives=siblings)
    theirs = triplet(sentences, images, of, numbers, config, siblings_are_negatives=siblings)
    return ours + config["sentence_anchor"] * theirs


def contrast(x, y, x_images, y_images, temperature, smoothing):
    """InfoNCE, the mean of both directions; other matches of the anchor do not compete."""

    def one_way(a, b, a_images, b_images):
        terms = []
        for i, j in itertools.product(range(len(a)), range(len(b))):
            if a_images[i] == b_images[j]:
                negatives = [k for k in range(len(b)) if b_images[k] != a_images[i]]
                logits = (a[i] @ b[[j] + negatives].T) / temperature
                terms.append(cross_entropy(logits[None], torch.tensor([0]), label_smoothing=smoothing))
        return torch.stack(terms).mean()

    return (one_way(x, y, x_images, y_images) + one_way(y, x, y_images, x_images)) / 2


def masked_pair(masked_a, masked_b, whole_a, whole_b, head):
    """Equation 2, the mean over rows."""
    lost_a, lost_b = head(torch.cat([masked_a, masked_b], 1)).chunk(2, 1)
    both = [(masked_a + lost_a, whole_a), (masked_b + lost_b, whole_b)]
    return sum((normalize(x, dim=1) - normalize(y, dim=1)).norm(dim=1).mean() for x, y in both)


def reversed_gradient(x, factor):
    return x.detach() * (1 + factor) - factor * x


class Step:
    """The terms of equation 4, and of the losses beside them, for one batch."""

    def __init__(self, model, batch, progress):
        self.model, self.config, self.progress = model, model.config["loss"], progress
        features, self.sentences = batch
        self.images = model.image(features)
        tokens = [model.vectors(s.language, s.words) for s in self.sentences]
        self.text = model.text(tokens)
        self.means = torch.stack([t.mean(0) for t in tokens])
        self.of = [s.image for s in self.sentences]
        languages = model.config["data"]["languages"]
        places = lambda l: [n for n, s in enumerate(self.sentences) if s.language == l]
        self.groups = [g for g in map(places, languages) if g]
        self.languages = torch.tensor([languages.index(s.language) for s in self.sentences])
        mclm = self.config["mclm"]
        if mclm["average"] > 0:
            self.kept = [model.vectors(s.language, s.kept()) for s in self.sentences]
        if mclm["lstm"] > 0:
            self.replaced = [model.vectors(s.language, s.replaced()) for s in self.sentences]
        self.tokens = tokens
        self.masked_texts = {}
        alone = mclm["lstm"] == 0 and mclm["masked_triplet"] > 0
        if mclm["average"] > 0 and (mclm["encoder"] == "own" or alone):
            self.masked_texts["average"] = model.text(self.kept)
        if mclm["lstm"] > 0:
            self.masked_texts["lstm"] = model.text(self.replaced)

    def terms(self):
        """(name, weight, value) of every loss that is on."""
        c = self.config
        nce, near, mclm = c["info_nce"], c["neighbourhood"], c["mclm"]
        to_pictures = lambda text: [bidirectional(self.images, text[g], self.where(g), c["triplet"]) for g in self.groups]
        all_terms = [
            ("triplet", c["triplet"]["weight"], lambda: to_pictures(self.text)),
            ("info_nce", nce["weight"], self.contrasts),
            ("masked_triplet", mclm["masked_triplet"], lambda: sum(map(to_pictures, self.masked_texts.values()), [])),
            ("neighbourhood_sentences", near["sentences"], lambda: self.near(self.text)),
            ("neighbourhood_words", near["words"], lambda: self.near(normalize(self.means, dim=1))),
            ("neighbourhood_within", near["within"], self.within),
            ("info_nce_text", nce["text_weight"], self.text_contrasts),
            ("mclm_average", mclm["average"], self.mclm_average),
            ("mclm_lstm", mclm["lstm"], self.mclm_lstm),
            ("adversary", c["adversary"]["weight"], self.adversary),
        ]
        return [(name, weight, torch.stack(parts()).mean()) for name, weight, parts in all_terms if weight > 0]

    def where(self, group):
        return [self.of[n] for n in group]

    def language_pairs(self):
        return itertools.combinations(self.groups, 2)

    def contrasts(self):
        c, numbers = self.config["info_nce"], list(range(len(self.images)))
        both = lambda g: (self.images, self.text[g], numbers, self.where(g), c["temperature"], c["label_smoothing"])
        return [contrast(*both(g)) for g in self.groups]

    def text_contrasts(self):
        t = self.config["info_nce"]["text_temperature"]
        both = lambda a, b: (self.text[a], self.text[b], self.where(a), self.where(b), t, 0.0)
        return [contrast(*both(a, b)) for a, b in self.language_pairs()]

    def near(self, x):
        """Captions of the first language as anchors, for each pair of languages; the farthest match counts."""
        one = lambda a, b: triplet(x[a], x[b], self.where(a), self.where(b), self.config["triplet"], farthest=True)
        return [one(a, b) for a, b in self.language_pairs()]

    def within(self):
        one = lambda g: triplet(self.text[g], self.text[g], self.where(g), self.where(g), self.config["triplet"], farthest=True)
        return [one(g) for g in self.groups]

    def matched(self):
        """For each pair of languages the first caption of every picture that both describe."""
        firsts = lambda g: {self.of[n]: n for n in reversed(g)}
        for a, b in self.language_pairs():
            a, b = firsts(a), firsts(b)
            pictures = sorted(a.keys() & b.keys())
            yield [a[p] for p in pictures], [b[p] for p in pictures]

    def mclm(self, variant, masked, whole):
        """On token level and on final sentence vectors, over all pairs of languages."""
        heads, text, masked_text = self.model.heads, self.text, self.masked_texts.get(variant)
        parts = []
        for a, b in self.matched():
            if variant + "_words" in heads:
                parts.append(masked_pair(masked[a], masked[b], whole[a], whole[b], heads[variant + "_words"]))
            if variant + "_sentences" in heads:
                head = heads[variant + "_sentences"]
                parts.append(masked_pair(masked_text[a], masked_text[b], text[a], text[b], head))
        return parts

    def mclm_average(self):
        return self.mclm("average", torch.stack([t.mean(0) for t in self.kept]), self.means)

    def mclm_lstm(self):
        if "lstm_words" not in self.model.heads:
            return self.mclm("lstm", None, None)
        read = lambda sentences: self.model.lstm_output(recurrent(self.model.lstm, sentences, "last"))
        return self.mclm("lstm", read(self.replaced), read(self.tokens))

    def adversary(self):
        ramp = 2 / (1 + np.exp(-10 * self.progress)) - 1
        x = reversed_gradient(normalize(self.means, dim=1), self.config["adversary"]["reversal"] * ramp)
        return [cross_entropy(self.model.adversary(x), self.languages)]


# --- training -------------------------------------------------------------------------------------------------------


def optimiser(model, config):
    """AdamW and its schedule; the rows of tables do not decay."""
    tables = [model.latent, *model.words.values()]
    tables = [t for t in tables if t.requires_grad]
    dense = [p for p in model.parameters() if p.requires_grad and not any(p is t for t in tables)]
    rate, warmup = config["learning_rate"], config["warmup"]
    groups = [{"params": dense, "weight_decay": config["weight_decay"]}, {"params": tables, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=rate, betas=(config["beta1"], config["beta2"]), eps=1e-8)
    if config["schedule"] == "constant":
        after = torch.optim.lr_scheduler.ConstantLR(adam, 1.0)
    else:
        after = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS - warmup)
    if warmup == 0:
        return adam, after
    before = torch.optim.lr_scheduler.LinearLR(adam, 1 / warmup, 1.0, warmup - 1)
    return adam, torch.optim.lr_scheduler.SequentialLR(adam, [before, after], [warmup])


def train(name, seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    config = over(DEFAULTS, tomllib.loads((HERE / f"{name}.toml").read_text()))
    model, batches = Model(config, rng), [draw_batch(rng, config) for _ in range(STEPS)]
    out = {f"weight.{n}": x.detach().clone() for n, x in model.named().items()}
    progress = [0.1 + 0.08 * k for k in range(STEPS)]
    adam, schedule = optimiser(model, config["train"])
    losses = []
    for k, batch in enumerate(batches):
        put_batch(out, f"batch.{k}", batch, model)
        step = Step(model, batch, progress[k])
        terms = step.terms()
        loss = sum(weight * value for _, weight, value in terms)
        losses.append(loss.item())
        out |= {f"term.{k}.{n}": torch.stack([value.detach(), torch.tensor(w)]) for n, w, value in terms}
        adam.zero_grad()
        loss.backward()
        if k == 0:
            out |= first_step(model, step, batch)
        if config["train"]["clip"] > 0:
            nn.utils.clip_grad_norm_(model.parameters(), config["train"]["clip"])
        adam.step()
        schedule.step()
    out |= {"losses": torch.tensor(losses, dtype=torch.float64), "progress": torch.tensor(progress)}
    print(name, *(f"{x:.6f}" for x in losses))
    write(name, out)


def first_step(model, step, batch):
    """What the first step computes: sentence and picture vectors, gradients, running statistics."""
    out = {"text": step.text, "image": step.images}
    for name, x in model.named().items():
        if x.requires_grad:
            out[f"gradient.{name}"] = torch.zeros_like(x) if x.grad is None else x.grad.clone()
    model.eval()
    out |= {"norm.mean": model.norm.running_mean.clone(), "norm.variance": model.norm.running_var.clone()}
    out["image.inference"] = model.image(batch[0])
    model.train()
    return out


def put_batch(out, name, batch, model):
    """Tokens as (table, row): table 0 holds the latent tokens, 1 + l the own words of language l."""
    features, sentences = batch
    languages, top_k = model.config["data"]["languages"], model.config["embedding"]["top_k"]
    number = lambda s: languages.index(s.language)
    words = [(s, w) for s in sentences for w in s.words]
    columns = {
        "image_of": [s.image for s in sentences],
        "language": [number(s) for s in sentences],
        "length": [len(s.words) for s in sentences],
        "table": [1 + number(s) if w < top_k else 0 for s, w in words],
        "row": [w if w < top_k else model.assigned[s.language][w] for s, w in words],
        "lost": [lost for s in sentences for lost in s.lost],
    }
    out[f"{name}.images"] = features
    out |= {f"{name}.{c}": torch.tensor(x, dtype=torch.int64) for c, x in columns.items()}


# --- single operations ----------------------------------------------------------------------------------------------


def operations():
    torch.manual_seed(5)
    rng = np.random.default_rng(5)
    draw = lambda *shape: torch.tensor(rng.normal(size=shape)).float().double()
    out = {"tokens": draw(7, 4)}
    lengths = [3, 1, 5, 2, 4, 1, 6]
    rows = [torch.tensor(rng.integers(0, 7, n)) for n in lengths]
    out |= {"lengths": torch.tensor(lengths), "rows": torch.cat(rows)}
    for name, cell in (("gru", nn.GRU(4, 5, batch_first=True)), ("lstm", nn.LSTM(4, 5, batch_first=True))):
        cell = cell.double()
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            weight = getattr(cell, part + "_l0")
            weight.data = draw(*weight.shape) * 0.6
            out[f"{name}.{part}"] = weight.data.float()
            weight.data = out[f"{name}.{part}"].double()
        for pooling in ("last", "mean", "max"):
            tokens, pull = out["tokens"].clone().requires_grad_(), draw(len(rows), 5)
            cell.zero_grad()
            states = recurrent(cell, [tokens[r] for r in rows], pooling)
            (states * pull).sum().backward()
            out |= {f"{name}.{pooling}.states": states, f"{name}.{pooling}.pull": pull}
            out |= {f"{name}.{pooling}.tokens": tokens.grad, f"{name}.{pooling}.weight_hh": cell.weight_hh_l0.grad.clone()}
    norm = nn.BatchNorm1d(4).double()
    norm.weight.data, norm.bias.data = draw(4), draw(4)
    out |= {"norm.scale": norm.weight.data.clone(), "norm.shift": norm.bias.data.clone()}
    out |= {"norm.x": draw(5, 6, 4) * 2 + 1}
    out["norm.training"] = torch.stack([torch.relu(norm(x)) for x in out["norm.x"]])
    out |= {"norm.mean": norm.running_mean.clone(), "norm.variance": norm.running_var.clone()}
    norm.eval()
    out["norm.inference"] = torch.relu(norm(out["norm.x"][0]))
    start, gradients = draw(3, 4), draw(20, 3, 4) * torch.tensor([1e-3, 1.0, 100.0]).double()[:, None]
    out |= {"adam.start": start, "adam.gradients": gradients}
    for name, decay, clip in (("adam", 0.0, 0.0), ("adamw", 0.3, 50.0)):
        p = nn.Parameter(start.clone())
        adam = torch.optim.AdamW([p], lr=0.01, betas=(0.8, 0.95), eps=1e-8, weight_decay=decay)
        for gradient in gradients:
            p.grad = gradient.clone()
            if clip > 0:
                nn.utils.clip_grad_norm_([p], clip)
            adam.step()
        out[f"{name}.end"] = p.data
    write("ops", out)


# --- words from characters -----------------------------------------------------------------------------------------

SPELLED = ["ab", "gfedc", "cab", "fede", "dabba", "ax", "gggg", "bad"]
READ = [[0, 1, 0], [4], [3, 2, 5, 7], [6, 1]]


def liwe():
    """LIWE in small: characters a to g, words of 5, layers of 6 and 4, a GRU both ways to 5, its mean at the last word."""
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    draw = lambda *shape: torch.tensor(rng.normal(size=shape)).float().double()
    code = lambda c: "abcdefg".index(c) + 2 if c in "abcdefg" else 1
    codes = torch.tensor([[code(c) for c in w] + [0] * (5 - len(w)) for w in SPELLED])
    out, table = {"table": draw(9, 3)}, nn.Embedding(9, 3).double()
    table.weight.data = out["table"].clone()
    parts = []
    for n, (inputs, outputs) in enumerate(((15, 6), (6, 4))):
        linear = nn.utils.parametrizations.weight_norm(nn.Linear(inputs, outputs).double(), dim=0)
        norm, weight = nn.BatchNorm1d(outputs).double(), linear.parametrizations.weight
        named = {"directions": weight.original1, "gains": weight.original0, "bias": linear.bias}
        named |= {"norm.scale": norm.weight, "norm.shift": norm.bias}
        for name, parameter in named.items():
            # A gain near 0 would leave a variance near 0 to divide by.
            values = draw(*parameter.shape)
            parameter.data = values.abs() + 0.5 if name == "gains" else values
            out[f"{n}.{name}"] = parameter.data.float()
            parameter.data = out[f"{n}.{name}"].double()
        parts.append((linear, norm, named))
    gru = nn.GRU(4, 5, batch_first=True, bidirectional=True).double()
    for name, parameter in gru.named_parameters():
        parameter.data = draw(*parameter.shape) * 0.6
        out[f"gru.{name}"] = parameter.data.float()
        parameter.data = out[f"gru.{name}"].double()

    def words():
        x = table(codes).flatten(1)
        for linear, norm, _ in parts:
            x = nn.functional.leaky_relu(norm(linear(x)), 0.1)
        return x

    tokens, pull = words(), draw(len(READ), 5)
    lengths = torch.tensor([len(r) for r in READ])
    packed = pack_padded_sequence(
        pad_sequence([tokens[r] for r in READ], batch_first=True), lengths, batch_first=True, enforce_sorted=False
    )
    both = pad_packed_sequence(gru(packed)[0], batch_first=True)[0]
    states = ((both[..., :5] + both[..., 5:]) / 2)[torch.arange(len(READ)), lengths - 1]
    (states * pull).sum().backward()
    out |= {"words": tokens, "states": states, "pull": pull, "gradient.table": table.weight.grad}
    for n, (_, norm, named) in enumerate(parts):
        out |= {f"gradient.{n}.{name}": parameter.grad for name, parameter in named.items()}
    out |= {f"gradient.gru.{name}": parameter.grad for name, parameter in gru.named_parameters()}
    for _, norm, _ in parts:
        norm.eval()
    out["inference"] = words()
    write("liwe", out)


def write(name, out):
    kind = lambda x: np.float32 if x.is_floating_point() else np.uint32
    save_file({n: np.ascontiguousarray(x.detach().numpy().astype(kind(x))) for n, x in out.items()}, HERE / f"{name}.safetensors")


if __name__ == "__main__":
    train("smalr", 1)
    train("hem", 2)
    train("la", 3)
    train("branch", 4)
    operations()
    liwe()
