"""Languages acquired on the tiny checkpoints beside this file, as PyTorch computes them: python acquire.py (needs torch,
transformers; make.py wrote the checkpoints).

acquired.safetensors holds, for acquisition on CLIP (`mla`; facts of AIM3-RUC/MLA: M-BERT word embedding, linear, CLIP blocks
each followed by an acquirer, the state at [SEP]) and in M-BERT (`cma`: its blocks each followed by an acquirer, the state at
[CLS], linear), with acquirers of each shape: the weights, the vectors of three sentences, and for both stages (`nlt`: squared
distance to the English teacher; `le`: contrast with pictures at a trained scale) the loss and the gradient of every weight.

acquired-more.safetensors holds the same of what came later, with MLPs unless said: acquirers that are the product of two
layers (`product`); English through M-BERT beside the other language (`cma-en`), taught by the tower's English; captions and
translations in one stage (`mse-nce` and `nce-nce`, of NLT and LE: rows 7 and 8 of the supplement's table 3), the translations of
other sentences than the captions, by half; and squared distance to pictures as they are (`le-raw`) and at unit length (`le-unit`).
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn.functional import cross_entropy, normalize
from transformers import BertModel, CLIPModel

HERE = pathlib.Path(__file__).parent
CONTEXT, WIDTH, LAYERS, PROJECTION = 24, 16, 3, 12


def random_(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=generator) * 0.3
    return module


def acquirers(shape, seed=12):
    between = nn.Identity if shape == "product" else nn.ReLU
    one = (lambda: nn.Linear(WIDTH, WIDTH)) if shape == "linear" else (
        lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH // 2), between(), nn.Linear(WIDTH // 2, WIDTH)))
    return random_(nn.ModuleList(one() for _ in range(LAYERS)), seed)


def through(blocks, acquirers, x, mask):
    for block, acquirer in zip(blocks, acquirers):
        x = block(x, mask)
        x = x[0] if isinstance(x, tuple) else x
        x = x + acquirer(x)
    return x


class Mla(nn.Module):
    def __init__(self, clip, bert, shape):
        super().__init__()
        self.clip = clip
        self.embedding = nn.Embedding.from_pretrained(bert.embeddings.word_embeddings.weight.detach().clone(), freeze=False)
        self.linear = random_(nn.Linear(WIDTH, WIDTH), 11)
        self.acquirers = acquirers(shape)

    def forward(self, ids, mask):
        text, n = self.clip.text_model, ids.shape[1]
        x = self.linear(self.embedding(ids)) + text.embeddings.position_embedding.weight[:n]
        causal = torch.full((n, n), float("-inf")).triu(1)[None, None]
        x = through(text.encoder.layers, self.acquirers, x, causal)
        last = mask.sum(1) - 1
        return self.clip.text_projection(text.final_layer_norm(x)[torch.arange(len(ids)), last])


class Cma(nn.Module):
    def __init__(self, bert, shape, seed=12):
        super().__init__()
        self.bert = bert
        self.linear = random_(nn.Linear(WIDTH, PROJECTION), 11)
        self.acquirers = acquirers(shape, seed)

    def forward(self, ids, mask):
        padding = torch.zeros(mask.shape).masked_fill(mask == 0, float("-inf"))[:, None, None]
        x = through(self.bert.encoder.layer, self.acquirers, self.bert.embeddings(ids), padding)
        return self.linear(x[:, 0])


def encoded(name, sentences):
    tokenizer = Tokenizer.from_file(str(HERE / name / "tokenizer.json"))
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.enable_padding()
    batch = tokenizer.encode_batch(sentences)
    return torch.tensor([e.ids for e in batch]), torch.tensor([e.attention_mask for e in batch])


def contrast(targets, vectors, scale):
    logits, right = scale * normalize(targets) @ normalize(vectors).T, torch.arange(len(vectors))
    return (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2


def squares(targets, vectors):
    return ((vectors - targets) ** 2).mean()


def record(out, name, model, losses):
    """The loss of each of `losses`, and the gradients of what is trained."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    out |= {f"{name}.weight.{of}": p.detach().clone() for of, p in trained.items()}
    for stage, loss in losses.items():
        model.zero_grad()
        loss = loss()
        loss.backward()
        out[f"{name}.{stage}.loss"] = loss.detach()[None]
        out |= {f"{name}.{stage}.grad.{of}": p.grad.clone() for of, p in trained.items() if p.grad is not None}


def save(out, name):
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, HERE / f"{name}.safetensors")


def main():
    clip, bert = CLIPModel.from_pretrained(HERE / "clip").eval(), BertModel.from_pretrained(HERE / "mbert").eval()
    for p in [*clip.parameters(), *bert.parameters()]:
        p.requires_grad = False
    texts = json.loads((HERE / "sentences.json").read_text())
    captions = encoded("mbert", texts["sentences"][3:6])
    assert len(set(captions[1].sum(1).tolist())) == 3, "sentences of three lengths, so that two are padded"
    translations = encoded("mbert", texts["sentences"][5:8])
    through_bert = encoded("mbert", texts["english"])
    english, english_mask = encoded("clip", texts["english"])
    with torch.no_grad():
        teacher = clip.text_projection(clip.text_model(input_ids=english, attention_mask=english_mask).pooler_output)
    pictures = torch.randn(3, PROJECTION, generator=torch.Generator().manual_seed(21))
    made = {"mla": lambda shape: Mla(clip, bert, shape), "cma": lambda shape: Cma(bert, shape)}

    def of(model, sentences):
        return {
            "nlt": lambda: squares(teacher, model(*sentences)),
            "le": lambda: contrast(pictures, model(*sentences), model.scale.exp()),
        }

    out, more = {"teacher": teacher, "pictures": pictures}, {}
    for kind, make in made.items():
        for shape in ("mlp", "linear", "product"):
            model = make(shape)
            model.scale = nn.Parameter(torch.tensor([1.5]))
            to = more if shape == "product" else out
            to[f"{kind}.{shape}.vectors"] = model(*captions).detach()
            record(to, f"{kind}.{shape}", model, of(model, captions))
        model = make("mlp")
        model.scale = nn.Parameter(torch.tensor([1.5]))
        le = of(model, captions)["le"]
        record(more, f"{kind}.mlp", model, {
            "mse-nce": lambda: le() + 0.5 * squares(teacher, model(*translations)),
            "nce-nce": lambda: le() + 0.5 * contrast(teacher, model(*translations), 1 / 0.2),
            "le-raw": lambda: squares(pictures, model(*captions)),
            "le-unit": lambda: squares(normalize(pictures), normalize(model(*captions))),
        })
    model = Cma(bert, "mlp", 13)
    model.scale = nn.Parameter(torch.tensor([1.5]))
    more["cma-en.mlp.vectors"] = model(*through_bert).detach()
    record(more, "cma-en.mlp", model, of(model, through_bert))
    save(out, "acquired")
    save(more, "acquired-more")


if __name__ == "__main__":
    main()
