"""What transformers makes of odd texts with CLIP's tokenizer read from `vocab.json` and `merges.txt`: python odd.py (needs
transformers 4; make.py wrote the checkpoint `clip`, whose tokenizer is taken apart into the two files).

odd.json holds the texts and their ids, of the tokenizer in Rust (`CLIPTokenizerFast`) as it converts the two files.
"""

import json
import pathlib
import tempfile

from transformers import CLIPTokenizerFast

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "A DOG's toys, they'll and I'd can't don’t",
    "  two\tspaces\u00a0and\u3000more \n lines  ",
    "1234 3.5km ½ ① ٣",
    "and<|endoftext|>then <|startoftext|> on",
    "<|ENDOFTEXT|> and </w> on</w>",
    "cafe\u0301 café ﬁne Ｆｕｌｌ İstanbul ẞ ΟΔΟΣ",
    "co\u00adop \ufeffbom zero\u200bwidth a\u200db",
    "!!!??? ... — “quoted” -- #hash @at $5 100%",
    "🐕👨\u200d👩\u200d👧 🇩🇪 3\ufe0f\u20e3",
    "犬が走る สุนัขสีดำ क्\u200dया",
    "a" * 70,
    "\u0085\u2028x\u2029y\u001fz",
    "_under_score_ `tick` ~tilde~",
]


def main():
    whole = json.loads((HERE / "clip" / "tokenizer.json").read_text())["model"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "vocab.json").write_text(json.dumps(whole["vocab"], ensure_ascii=False))
        merges = "".join(f"{left} {right}\n" for left, right in whole["merges"])
        (folder / "merges.txt").write_text("#version: 0.2\n" + merges)
        tokenizer = CLIPTokenizerFast(vocab_file=str(folder / "vocab.json"), merges_file=str(folder / "merges.txt"))
        ids = tokenizer(TEXTS)["input_ids"]
    (HERE / "odd.json").write_text(json.dumps({"texts": TEXTS, "ids": ids}) + "\n")


if __name__ == "__main__":
    main()
