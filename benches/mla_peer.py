"""The peer of benches/mla.rs: transformers' CLIPTextModel with acquirers put behind its blocks (needs torch, transformers).

    python benches/mla_peer.py --write DIR                     checkpoints of ViT-B/32's sizes with random weights
    python benches/mla_peer.py DIR [--threads 2] [--steps 10] [--device cuda]     one JSON line, as the bench prints

What a careful user would write: frozen weights without gradients, the embedding's gradients sparse with SparseAdam, fused
AdamW for the rest, inference mode and batches of neighbours in length for encoding, padding to the longest of a batch.
"""

import argparse
import json
import pathlib
import time

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

CAPTIONS, BATCH, WIDTH, MULTILINGUAL = 10_000, 128, 512, (119_547, 768)


def tokenizer(path, size, start, end, names):
    vocab = {f"w{n}": n for n in range(size)}
    for name, place in zip(names, (start, end)):
        del vocab[f"w{place}"]
        vocab[name] = place
    words = Tokenizer(models.WordLevel(vocab, unk_token="w5"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single=f"{names[0]} $A {names[1]}", special_tokens=[(names[0], start), (names[1], end)])
    words.save(str(path))


def write(folder):
    """Lengths as Multi30K's captions have: some 12 words, a few very long."""
    from safetensors.torch import save_file
    rng = np.random.default_rng(1)
    (folder / "mbert").mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    CLIPTextModelWithProjection(CLIPTextConfig()).save_pretrained(folder / "clip")
    tokenizer(folder / "clip/tokenizer.json", 49_408, 49_406, 49_407, ("<|startoftext|>", "<|endoftext|>"))
    rows, width = MULTILINGUAL
    save_file({"embeddings.word_embeddings.weight": torch.randn(rows, width) * 0.05}, folder / "mbert/model.safetensors")
    (folder / "mbert/config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": rows}))
    tokenizer(folder / "mbert/tokenizer.json", rows, 101, 102, ("[CLS]", "[SEP]"))
    for name, size, mean in (("english", 49_406, 13), ("german", rows, 17)):
        lengths = np.clip(rng.lognormal(np.log(mean), 0.35, CAPTIONS), 4, 70).astype(int)
        line = lambda n: " ".join(f"w{i}" for i in np.minimum(rng.zipf(1.3, n) + 200, size - 1))
        (folder / f"{name}.txt").write_text("".join(line(n) + "\n" for n in lengths))


class Acquired(nn.Module):
    def __init__(self, folder):
        super().__init__()
        from safetensors.torch import load_file
        self.clip = CLIPTextModelWithProjection.from_pretrained(folder / "clip", dtype=torch.float32).eval()
        self.clip.requires_grad_(False)
        table = load_file(folder / "mbert/model.safetensors")["embeddings.word_embeddings.weight"]
        self.embedding = nn.Embedding.from_pretrained(table, freeze=False, sparse=True)
        self.linear = nn.Linear(MULTILINGUAL[1], WIDTH)
        self.acquirers = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, WIDTH)) for _ in range(12))
        for acquirer in self.acquirers:
            nn.init.zeros_(acquirer[2].weight)
            nn.init.zeros_(acquirer[2].bias)

    def forward(self, ids, mask):
        text, n = self.clip.text_model, ids.shape[1]
        x = self.linear(self.embedding(ids)) + text.embeddings.position_embedding.weight[:n]
        causal = torch.full((n, n), float("-inf")).triu(1)[None, None]
        for block, acquirer in zip(text.encoder.layers, self.acquirers):
            x = block(x, causal)
            x = x[0] if isinstance(x, tuple) else x
            x = x + acquirer(x)
        last = mask.sum(1) - 1
        return self.clip.text_projection(text.final_layer_norm(x[torch.arange(len(ids)), last]))


def batch_of(words, texts):
    return words(texts, padding=True, truncation=True, max_length=77, return_tensors="pt")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.write:
        return write(args.write)
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model = Acquired(args.folder).to(args.device)
    torch.set_default_device(args.device)
    fast = lambda name, pad: PreTrainedTokenizerFast(tokenizer_file=str(args.folder / name / "tokenizer.json"), pad_token=pad)
    clip_words, bert_words = fast("clip", "<|endoftext|>"), fast("mbert", "w0")
    english = (args.folder / "english.txt").read_text().splitlines()
    german = (args.folder / "german.txt").read_text().splitlines()

    def encode(texts):
        ids = clip_words(texts)["input_ids"]
        order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
        out = torch.empty(len(texts), 512)
        with torch.inference_mode():
            for first in range(0, len(order), 256):
                some = order[first : first + 256]
                longest = max(len(ids[i]) for i in some)
                padded = torch.tensor([ids[i] + [49_407] * (longest - len(ids[i])) for i in some])
                out[some] = model.clip(padded).text_embeds
        return out

    encode(english[:512])
    start = time.perf_counter()
    teacher = encode(english)
    teacher.sum().item()  # waits for a GPU
    seconds = time.perf_counter() - start

    rest = list(model.linear.parameters()) + list(model.acquirers.parameters())
    optimisers = [torch.optim.SparseAdam([model.embedding.weight], lr=2e-4), torch.optim.AdamW(rest, lr=2e-4, weight_decay=0.0, fused=True)]
    times, losses, teacher = [], [], teacher.clone()
    for step in range(args.steps + 2):
        first = step * BATCH % (len(german) - BATCH)
        begin = time.perf_counter()
        batch = batch_of(bert_words, german[first : first + BATCH]).to(args.device)
        vectors = model(batch["input_ids"], batch["attention_mask"])
        loss = nn.functional.mse_loss(vectors, teacher[first : first + BATCH])
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
        losses.append(loss.item())
        if step >= 2:
            times.append((time.perf_counter() - begin) * 1e3)
    mean_square = (teacher.double() ** 2).sum(1).mean().item()
    print(json.dumps({"encode_s": round(seconds, 3), "captions": len(english), "mean_square": round(mean_square, 6),
                      "losses": losses[:3], "step_ms": round(sorted(times)[len(times) // 2], 1)}))


if __name__ == "__main__":
    main()
