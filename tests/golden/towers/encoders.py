"""Tiny random encoders and what transformers and sentence-transformers make of sentences with them: python encoders.py (needs torch,
transformers, sentence-transformers).

Each folder is a checkpoint as `save_pretrained` or sentence-transformers' `save` writes it. encoders.safetensors holds, for each, what
make.py records of its own: the token ids of SENTENCES, the states after the embedding and after every block at the real tokens of a padded
batch; and three poolings of the last states, or the vectors of the sentence-transformers model.
"""

import pathlib
import shutil

import numpy as np
import torch
from make import CONTEXT, HEADS, INNER, SENTENCES, WIDTH, random_, real, states, wordpiece_tokenizer
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

HERE = pathlib.Path(__file__).parent
LAYERS, JOINT = 2, 12
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
TEXTS = [s for s in SENTENCES if "犬" not in s]


def fast(tokenizer):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
                                   pad_token="<pad>", unk_token="<unk>", model_max_length=CONTEXT)


def unigram_tokenizer():
    """As XLM-R's, with NFKC in place of its table of characters."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return fast(tokenizer), tokenizer.get_vocab_size()


def byte_tokenizer():
    """As RoBERTa's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return fast(tokenizer), tokenizer.get_vocab_size()


def record(out, name, tokenizer, model, blocks):
    batch = tokenizer(SENTENCES, padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt")
    mask = batch["attention_mask"]
    with torch.no_grad():
        seen, last = states(blocks, lambda: model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state)
    out[f"{name}.lengths"] = mask.sum(1).numpy().astype(np.uint32)
    out[f"{name}.ids"] = real(batch["input_ids"][..., None], mask)[:, 0].astype(np.uint32)
    for n, state in enumerate(seen):
        out[f"{name}.state.{n}"] = real(state, mask)
    weights = mask[..., None].float()
    out[f"{name}.cls"] = last[:, 0].numpy()
    out[f"{name}.mean"] = ((last * weights).sum(1) / weights.sum(1)).numpy()
    out[f"{name}.lasttoken"] = last[torch.arange(len(mask)), mask.sum(1) - 1].numpy()


def save(model, tokenizer, name, **options):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def main():
    out = {}
    unigram, unigram_size = unigram_tokenizer()
    bytes_, bytes_size = byte_tokenizer()
    pieces, pieces_size = wordpiece_tokenizer()
    sizes = dict(hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS)

    # A whole XLM-R: names with a prefix, and a head that is no part of the encoder. Its table has more rows than there are tokens.
    config = XLMRobertaConfig(vocab_size=unigram_size + 11, max_position_embeddings=CONTEXT + 2, type_vocab_size=1, **sizes)
    xlmr = random_(XLMRobertaForMaskedLM(config), 11)
    save(xlmr, unigram, "xlmr")
    record(out, "xlmr", unigram, xlmr.roberta, xlmr.roberta.encoder.layer)

    # An encoder alone, in shards of bf16.
    config = RobertaConfig(vocab_size=bytes_size, max_position_embeddings=CONTEXT + 2, type_vocab_size=1, **sizes)
    folder = save(random_(RobertaModel(config, add_pooling_layer=False), 12).to(torch.bfloat16), bytes_, "roberta", max_shard_size="12KB")
    roberta = RobertaModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False).eval()
    record(out, "roberta", bytes_, roberta, roberta.encoder.layer)

    config = DistilBertConfig(vocab_size=pieces_size, max_position_embeddings=CONTEXT, dim=WIDTH, hidden_dim=INNER, n_layers=LAYERS,
                              n_heads=HEADS)
    folder = save(random_(DistilBertForMaskedLM(config), 13).to(torch.float16), pieces, "distilbert")
    distilbert = DistilBertForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval().distilbert
    record(out, "distilbert", pieces, distilbert, distilbert.transformer.layer)

    # As sentence-transformers keeps E5 and LaBSE: a BERT with XLM-R's tokenizer, the mean, and a dense layer with tanh.
    config = BertConfig(vocab_size=unigram_size, max_position_embeddings=CONTEXT, **sizes)
    with_source = HERE / "sentence"
    save(random_(BertModel(config), 14), unigram, "sentence")
    transformer = Transformer(str(with_source), max_seq_length=CONTEXT)
    dense = random_(Dense(WIDTH, JOINT), 15)
    model = SentenceTransformer(modules=[transformer, Pooling(WIDTH, "mean"), dense, Normalize()]).eval()
    shutil.rmtree(with_source)
    model.save(str(with_source), create_model_card=False)
    model = SentenceTransformer(str(with_source), device="cpu")
    bert = model[0].auto_model.eval()
    record(out, "sentence", unigram, bert, bert.encoder.layer)
    out["sentence.vectors"] = model.encode(SENTENCES)

    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, HERE / "encoders.safetensors")


if __name__ == "__main__":
    main()
