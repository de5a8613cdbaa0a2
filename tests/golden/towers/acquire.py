"""Languages acquired on the tiny checkpoints beside this file, as PyTorch computes them: python acquire.py (needs torch,
transformers; make.py wrote the checkpoints).

acquired.safetensors holds, for acquisition on CLIP (`mla`; facts of AIM3-RUC/MLA: M-BERT word embedding, linear, CLIP blocks
each followed by an acquirer, the state at [SEP]) and in M-BERT (`cma`: its blocks each followed by an acquirer, the state at
[CLS], linear), with acquirers of each shape: the weights, the vectors of three sentences, and for both stages (`nlt`: squared
distance to the English teacher; `le`: contrast with pictures at a trained scale) the loss and the gradient of every weight.
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


def acquirers(shape):
    one = (lambda: nn.Linear(WIDTH, WIDTH)) if shape == "linear" else (
        lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH // 2), nn.ReLU(), nn.Linear(WIDTH // 2, WIDTH)))
    return random_(nn.ModuleList(one() for _ in range(LAYERS)), 12)


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
    def __init__(self, bert, shape):
        super().__init__()
        self.bert = bert
        self.linear = random_(nn.Linear(WIDTH, PROJECTION), 11)
        self.acquirers = acquirers(shape)

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


def main():
    clip, bert = CLIPModel.from_pretrained(HERE / "clip").eval(), BertModel.from_pretrained(HERE / "mbert").eval()
    for p in [*clip.parameters(), *bert.parameters()]:
        p.requires_grad = False
    texts = json.loads((HERE / "sentences.json").read_text())
    ids, mask = encoded("mbert", texts["sentences"][3:6])
    assert len(set(mask.sum(1).tolist())) == 3, "sentences of three lengths, so that two are padded"
    english, english_mask = encoded("clip", texts["english"])
    with torch.no_grad():
        teacher = clip.text_projection(clip.text_model(input_ids=english, attention_mask=english_mask).pooler_output)
    pictures = torch.randn(3, PROJECTION, generator=torch.Generator().manual_seed(21))
    out = {"teacher": teacher, "pictures": pictures}
    for kind, make in (("mla", lambda shape: Mla(clip, bert, shape)), ("cma", lambda shape: Cma(bert, shape))):
        for shape in ("mlp", "linear"):
            model = make(shape)
            model.scale = nn.Parameter(torch.tensor([1.5]))
            trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
            out |= {f"{kind}.{shape}.weight.{name}": p.detach().clone() for name, p in trained.items()}
            out[f"{kind}.{shape}.vectors"] = model(ids, mask).detach()
            for stage in ("nlt", "le"):
                vectors, right = model(ids, mask), torch.arange(3)
                logits = model.scale.exp() * normalize(pictures) @ normalize(vectors).T
                loss = ((vectors - teacher) ** 2).mean() if stage == "nlt" else (
                    (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2)
                model.zero_grad()
                loss.backward()
                out[f"{kind}.{shape}.{stage}.loss"] = loss.detach()[None]
                out |= {f"{kind}.{shape}.{stage}.grad.{name}": p.grad.clone() for name, p in trained.items()
                        if p.grad is not None}
    save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, HERE / "acquired.safetensors")


if __name__ == "__main__":
    main()
