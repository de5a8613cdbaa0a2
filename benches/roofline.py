"""An estimate, not a measurement: what a step of benches/step.rs computes and moves, part by part, against a GPU's published rates.

    python benches/roofline.py DATA.safetensors [DATA ...]      (step_data.py writes them; needs numpy, safetensors)

For each part the products' operations over the rate of the tensor cores in TF32 (similarities are always f32), and the bytes that its
kernels read and write at least once over the memory's rate; the larger of both is the least that the part takes. Nothing stays in a cache
from one kernel to the next, but the recurrent weights, which 20 products in a row read. Launches, and products that are too small to fill
the card, are left out: a step takes longer.
"""
import sys

import numpy as np
from safetensors.numpy import load_file

# NVIDIA H200 SXM, data sheet: TF32 without sparsity, f32, HBM3e.
TF32, F32, MEMORY = 494.5e12, 67e12, 4.8e12
H, WORD, FEATURES = 512, 50, 2048


def shape(path):
    """The means over the batches of: latents, own words, prefixes, inner prefixes, sentences, pictures, languages, time steps."""
    data = load_file(path)
    found = []
    for tokens, lengths in zip(data["tokens"], data["lengths"]):
        real = tokens[np.arange(tokens.shape[1])[None] < lengths[:, None]]
        distinct = np.unique(real)
        prefixes, inner = set(), set()
        for sentence, n in zip(tokens.tolist(), lengths.tolist()):
            for t in range(1, n + 1):
                prefixes.add(tuple(sentence[:t]))
                if t < n:
                    inner.add(tuple(sentence[:t]))
        found.append([(distinct >= 0).sum(), (distinct < 0).sum(), len(prefixes), len(inner), len(tokens), lengths.max()])
    return *np.mean(found, 0), data["images"].shape[1], int(data["language"].max()) + 1


def parts(latents, own, prefixes, inner, sentences, steps, pictures, languages):
    """(part, operations of products, floats read or written)"""
    tokens = latents + own
    gates = 3 * H
    dense = [(H, WORD), (gates, H), (gates, H), (H, H), (H, FEATURES), (H, H)]
    weights = sum(o * i + o for o, i in dense)
    yield "embedding and its gradient", 4 * own * WORD * H, (2 + 2 + 2 + 1) * tokens * H + 3 * own * (WORD + H)
    yield "GRU: inputs of distinct tokens", 6 * tokens * H * gates, 3 * tokens * (H + gates) + 3 * gates * H
    yield "GRU: recurrent products", (2 * inner + 2 * prefixes + 2 * inner) * H * gates, (
        (inner + prefixes + inner) * (H + gates) + 3 * gates * H)
    yield "GRU: gates, sums of children", 0, prefixes * H * (12 + 11 + 3 + 3) + inner * gates + tokens * gates
    yield "sentence and picture layers", (6 * sentences * H * H + 4 * pictures * FEATURES * H + 6 * pictures * H * H), (
        3 * sentences * 2 * H + 2 * pictures * (FEATURES + H) + 6 * pictures * H + 4 * (sentences + pictures) * H)
    yield "similarities and triplets", 6 * pictures * sentences * H, (
        3 * (pictures + sentences) * H + (3 + 2 * 12 + 3) * pictures * sentences)
    yield "clipping and Adam", 0, 8 * weights + 8 * latents * H
    yield "zeros that dfdx writes first", 0, 2 * tokens * H * 2 + weights + 4 * sentences * H + 2 * pictures * sentences


def main():
    for path in sys.argv[1:]:
        of = shape(path)
        latents, own, prefixes, inner, sentences, steps, pictures, languages = of
        print(f"\n{path}: {sentences:.0f} sentences in {languages} languages, {pictures} pictures, {latents + own:.0f} distinct tokens, "
              f"{prefixes:.0f} distinct beginnings, {steps:.0f} time steps\n")
        print("| part | GFLOP | MB | µs by operations | µs by bytes |\n|---|---|---|---|---|")
        sums = np.zeros(3)
        for name, flop, floats in parts(*of):
            by_flop = flop / (F32 if name.startswith("similarities") else TF32) * 1e6
            by_bytes = 4 * floats / MEMORY * 1e6
            sums += flop / 1e9, 4 * floats / 1e6, max(by_flop, by_bytes)
            print(f"| {name} | {flop / 1e9:.1f} | {4 * floats / 1e6:.0f} | {by_flop:.0f} | {by_bytes:.0f} |")
        print(f"| **all, the larger of both in each part** | {sums[0]:.1f} | {sums[1]:.0f} | **{sums[2]:.0f}** | |")


if __name__ == "__main__":
    main()
