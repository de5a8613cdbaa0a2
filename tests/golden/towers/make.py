"""Tiny random checkpoints and what transformers makes of sentences with them: python make.py (needs torch, transformers).

Each folder beside this file is a checkpoint as `save_pretrained` writes it; expected.safetensors holds, for each, the token
ids of SENTENCES, the state after the embedding and after every block at the real tokens of a padded batch, and the final
vectors. Run acquire.py afterwards: it reads the checkpoints.
"""

import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

HERE = pathlib.Path(__file__).parent
SENTENCES = [
    "a dog runs",
    "Two   young men are standing in front of a house, and it's 7 o'clock.",
    "",
    "Ein Hund läuft über die Straße.",
    "Un homme à vélo",
    "Žena v červených šatech",
    "两个人 stehen",
    "犬が走る。 🐕",
    "Красный круг",
    "a very long caption that goes on and on and on until there is no place left in the context at all",
]
CONTEXT = 24
WIDTH, HEADS, INNER, LAYERS, PROJECTION = 16, 2, 24, 3, 12


def random_(model, seed):
    """Weights large enough that every part shows in the result."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        scale = 0.15 if "embedding" in name.lower() else 0.3
        p.data = torch.randn(p.shape, generator=generator) * scale
        if ("norm" in name.lower()) and name.endswith("weight"):
            p.data += 1.0
    return model.eval()


def clip_tokenizer():
    """Byte-level BPE with a few merges learned from the sentences."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("a", "n"), ("o", "n</w>"), ("r", "u"), ("d", "o"), ("do", "g</w>"), ("ru", "n"), ("an", "d</w>")]
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(m) for m in merges]
    vocab = {t: i for i, t in enumerate(tokens + ["<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=merges), len(vocab)


def wordpiece_tokenizer():
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=False)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces.train_from_iterator([s for s in SENTENCES if "犬" not in s],
                               trainers.WordPieceTrainer(vocab_size=180, special_tokens=special, show_progress=False))
    vocab = dict(sorted(pieces.get_vocab().items(), key=lambda item: item[1]))
    return BertTokenizer(vocab=vocab, do_lower_case=False), len(vocab)


def text_config(vocabulary, **change):
    return CLIPTextConfig(
        **{**dict(vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
                  num_attention_heads=HEADS, max_position_embeddings=CONTEXT, projection_dim=PROJECTION,
                  bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1), **change})


def states(blocks, run):
    """What goes into the first block and what comes out of every one."""
    seen = []
    hooks = [blocks[0].register_forward_pre_hook(lambda m, a, k: seen.append(a[0] if a else k["hidden_states"]), with_kwargs=True)]
    first = lambda out: out[0] if isinstance(out, tuple) else out
    hooks += [b.register_forward_hook(lambda m, a, out: seen.append(first(out))) for b in blocks]
    result = run()
    for hook in hooks:
        hook.remove()
    return seen, result


def encoded(tokenizer, sentences):
    return tokenizer(sentences, padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt")


def real(rows, mask):
    return np.concatenate([rows[s, : int(mask[s].sum())].detach().numpy() for s in range(len(mask))]).astype(np.float32)


def record(out, name, tokenizer, blocks, forward):
    batch = encoded(tokenizer, SENTENCES)
    with torch.no_grad():
        seen, vectors = states(blocks, lambda: forward(batch))
    mask = batch["attention_mask"]
    out[f"{name}.lengths"] = mask.sum(1).numpy().astype(np.uint32)
    out[f"{name}.ids"] = real(batch["input_ids"][..., None], mask)[:, 0].astype(np.uint32)
    for n, state in enumerate(seen):
        out[f"{name}.state.{n}"] = real(state, mask)
    out[f"{name}.vectors"] = vectors.numpy().astype(np.float32)


def save(model, tokenizer, name, **options):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        if file.name not in ("config.json", "tokenizer.json") and "safetensors" not in file.name:
            file.unlink()
    return folder


def main():
    out = {}
    clip_tok, clip_size = clip_tokenizer()
    bert_tok, bert_size = wordpiece_tokenizer()

    vision = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4)
    config = CLIPConfig(text_config=text_config(clip_size).to_dict(), vision_config=vision, projection_dim=PROJECTION)
    clip = random_(CLIPModel(config), 1)
    save(clip, clip_tok, "clip")
    both = lambda m: lambda b: m.text_projection(m.text_model(**b).pooler_output)
    record(out, "clip", clip_tok, clip.text_model.encoder.layers, both(clip))

    # As OpenCLIP's exports: gelu, and the end of a sentence found as the highest id; in shards of bf16.
    legacy = random_(CLIPTextModelWithProjection(text_config(clip_size, hidden_act="gelu", eos_token_id=2)), 2)
    folder = save(legacy.to(torch.bfloat16), clip_tok, "openclip", max_shard_size="20KB")
    legacy = CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32).eval()
    record(out, "openclip", clip_tok, legacy.text_model.encoder.layers, lambda b: legacy(**b).text_embeds)

    # A text model alone, in f16: no projection, names without a prefix.
    bare = random_(CLIPTextModel(text_config(clip_size, num_hidden_layers=1)), 3)
    folder = save(bare.to(torch.float16), clip_tok, "bare")
    bare = CLIPTextModel.from_pretrained(folder, dtype=torch.float32).eval()
    record(out, "bare", clip_tok, bare.encoder.layers, lambda b: bare(**b).pooler_output)

    config = BertConfig(vocab_size=bert_size, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
                        num_attention_heads=HEADS, max_position_embeddings=CONTEXT)
    bert = random_(BertModel(config), 4)
    save(bert, bert_tok, "mbert")
    record(out, "mbert", bert_tok, bert.encoder.layer, lambda b: bert(**b).last_hidden_state[:, 0])

    english = ["a dog runs over the street", "a man on a bicycle", "a woman in a red dress"]
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, HERE / "expected.safetensors")
    (HERE / "sentences.json").write_text(json.dumps({"sentences": SENTENCES, "english": english}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
