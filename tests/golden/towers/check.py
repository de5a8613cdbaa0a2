"""Whether Python reads what is written here (needs torch, transformers, sentence-transformers).

    TINYGLOT_WRITTEN=FOLDER cargo test --test golden -- written
    python check.py written FOLDER

reads the sentence-transformers folders that the test wrote and compares their vectors of SENTENCES with those of the test, to 1e-4, by
`SentenceTransformer` and, where there is no dense layer, by `AutoModel` with pooling by hand.

    python check.py expect FOLDER
    TINYGLOT_ENCODER=FOLDER cargo test --test golden -- a_whole_encoder

writes what transformers makes of SENTENCES with a whole checkpoint to FOLDER/expected.safetensors, for the test to compare with: token ids
and the mean of the last states.
"""

import json
import pathlib
import sys

import numpy as np
import torch
from make import SENTENCES
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast


def last_states(folder, tokenizer, length):
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer(SENTENCES, padding=True, truncation=True, max_length=length, return_tensors="pt")
    mask = batch["attention_mask"]
    with torch.no_grad():
        return batch["input_ids"], mask, model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state


def pooled(mode, last, mask):
    weights = mask[..., None].float()
    return {
        "cls": lambda: last[:, 0],
        "mean": lambda: (last * weights).sum(1) / weights.sum(1),
        "lasttoken": lambda: last[torch.arange(len(mask)), mask.sum(1) - 1],
    }[mode]().numpy()


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def written(place):
    worst = 0.0
    for folder in sorted(p for p in place.iterdir() if p.is_dir()):
        ours = load_file(place / f"{folder.name}.safetensors")["vectors"]
        model = SentenceTransformer(str(folder), device="cpu")
        found = {"SentenceTransformer": model.encode(SENTENCES)}
        if not (folder / "2_Dense").exists():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            config = json.loads((folder / "1_Pooling" / "config.json").read_text())
            mode = next(m for m in ("cls", "mean", "lasttoken") if config.get(f"pooling_mode_{m}" + ("" if m == "lasttoken" else
                        "_token" if m == "cls" else "_tokens")))
            _, mask, last = last_states(folder, tokenizer, model.max_seq_length)
            found["AutoModel"] = unit(pooled(mode, last, mask))
        for kind, theirs in found.items():
            assert theirs.shape == ours.shape, (folder.name, kind, theirs.shape, ours.shape)
            off = float(np.abs(theirs - ours).max())
            worst = max(worst, off)
            print(f"{folder.name:20} {kind:20} {ours.shape} {off:.1e}")
    assert worst < 1e-4, worst


def expect(folder):
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>")
    ids, mask, last = last_states(folder, tokenizer, 512)
    real = np.concatenate([row[: int(m.sum())].numpy() for row, m in zip(ids, mask)])
    save_file({"ids": real.astype(np.uint32), "mean": pooled("mean", last, mask)}, folder / "expected.safetensors")


if __name__ == "__main__":
    {"written": written, "expect": expect}[sys.argv[1]](pathlib.Path(sys.argv[2]))
