"""Tiny random picture towers, photographs of every mode, and what transformers and Pillow make of them: python make.py (needs torch,
torchvision, transformers, pillow, safetensors).

Each folder beside this file is a checkpoint as `save_pretrained` writes it, with its preprocessor_config.json. expected.safetensors holds, for each
checkpoint, the features of photo.png (`NAME.png`) and photo.jpg (`NAME.jpg`), preprocessed by the Pillow variant of the image
processor. pictures/ holds a file for each mode, and pictures.safetensors the RGB that Pillow makes of it; resized.safetensors what Pillow's
`resize` makes of photo.png.
"""

import io
import pathlib
import shutil
import struct

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.numpy import save_file
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    ViTModel,
)

HERE = pathlib.Path(__file__).resolve().parent
SIZES = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=17, patch_size=5)
FILTERS = {"lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def photo(width, height, seed=0):
    """Shapes and noise: something for every filter to do."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 3 + c) * np.cos(y / (4 + c)) * 90 + 128 for c in range(3)]
    picture = np.stack(waves, -1) + rng.normal(0, 20, (height, width, 3))
    picture[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def random_(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            one = ("norm" in name and name.endswith("weight")) or "lambda1" in name
            p.copy_(torch.randn(p.shape, generator=generator) * (0.2 if p.dim() > 1 else 0.1) + (1.0 if one else 0.0))
    return model.eval()


def save(model, processor, name, **options):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **options)
    processor.save_pretrained(folder)
    for file in folder.iterdir():
        if file.name not in ("config.json", "preprocessor_config.json") and "safetensors" not in file.name:
            file.unlink()
    return folder


def record(out, name, processor, run):
    for kind in ("png", "jpg"):
        picture = ImageOps.exif_transpose(Image.open(HERE / f"photo.{kind}")).convert("RGB")
        pixels = processor(picture, return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            out[f"{name}.{kind}"] = run(pixels).numpy().astype(np.float32).reshape(-1)


def towers():
    out = {}
    text = dict(hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, vocab_size=9, max_position_embeddings=5,
                projection_dim=12, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    clip_pixels = CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 17, "width": 17})
    clip = random_(CLIPModel(CLIPConfig(vision_config=SIZES, text_config=text, projection_dim=12)), 1)
    save(clip, clip_pixels, "clip")
    record(out, "clip", clip_pixels, lambda p: clip.visual_projection(clip.vision_model(pixel_values=p).pooler_output))

    # As exports of OpenCLIP: gelu; in shards of bf16.
    vision = random_(CLIPVisionModelWithProjection(CLIPVisionConfig(**SIZES, projection_dim=12, hidden_act="gelu")), 2)
    folder = save(vision.to(torch.bfloat16), clip_pixels, "openclip", max_shard_size="10KB")
    openclip = CLIPVisionModelWithProjection.from_pretrained(folder, dtype=torch.float32).eval()
    record(out, "openclip", clip_pixels, lambda p: openclip(pixel_values=p).image_embeds)

    siglip_pixels = SiglipImageProcessorPil(size={"height": 17, "width": 17}, resample=2)
    small = {**text, "pad_token_id": 1, "projection_size": 16}
    siglip = random_(SiglipModel(SiglipConfig(vision_config=SIZES, text_config=small)), 3)
    save(siglip, siglip_pixels, "siglip")
    record(out, "siglip", siglip_pixels, lambda p: siglip.vision_model(pixel_values=p).pooler_output)

    alone = random_(SiglipVisionModel(SiglipVisionConfig(**{**SIZES, "image_size": 24, "patch_size": 8})), 4)
    pixels = SiglipImageProcessorPil(size={"height": 24, "width": 24}, resample=1)
    save(alone, pixels, "siglip-vision")
    record(out, "siglip-vision", pixels, lambda p: alone(pixel_values=p).pooler_output)

    # Pictures of another size than its positions, as DINOv2 is published.
    bit_pixels = BitImageProcessorPil(size={"shortest_edge": 22}, crop_size={"height": 16, "width": 21})
    sizes = {k: v for k, v in SIZES.items() if k != "intermediate_size"}
    dino = random_(Dinov2Model(Dinov2Config(**{**sizes, "image_size": 25}, mlp_ratio=2)), 5)
    save(dino, bit_pixels, "dinov2")
    record(out, "dinov2", bit_pixels, lambda p: dino(pixel_values=p).pooler_output)

    vit_pixels = ViTImageProcessorPil(size={"height": 17, "width": 17})
    vit = random_(ViTModel(ViTConfig(**SIZES)), 6)
    save(vit, vit_pixels, "vit")
    record(out, "vit", vit_pixels, lambda p: vit(pixel_values=p).pooler_output)

    # A classifier: no pooler, names with a prefix; no bias in queries, keys and values.
    classifier = random_(ViTForImageClassification(ViTConfig(**SIZES, qkv_bias=False)), 7)
    save(classifier, vit_pixels, "vit-classifier")
    record(out, "vit-classifier", vit_pixels, lambda p: classifier.vit(pixel_values=p).last_hidden_state[:, 0])
    save_file(out, HERE / "expected.safetensors")


def resized():
    out, picture = {}, Image.open(HERE / "photo.png")
    for name, number in FILTERS.items():
        for width, height in ((17, 17), (31, 9), (61, 40), (5, 3), (83, 70), (1, 1)):
            out[f"{name}.{width}.{height}"] = np.asarray(picture.resize((width, height), resample=number))
    save_file(out, HERE / "resized.safetensors")


def bmp(bits, size, rows, palette=b"", compression=0, height=None):
    width, own = size
    header = struct.pack("<IiiHHIIiiII", 40, width, height or own, 1, bits, compression, len(rows), 2835, 2835, len(palette) // 4, 0)
    start = 14 + 40 + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def pictures():
    folder = HERE / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rgb, rng = photo(13, 7, 1), np.random.default_rng(2)
    grey = rgb.convert("L")
    rgba, la = rgb.copy(), grey.convert("LA")
    rgba.putalpha(Image.fromarray(rng.integers(0, 256, (7, 13), dtype=np.uint8)))
    la.putalpha(Image.fromarray(rng.integers(0, 256, (7, 13), dtype=np.uint8)))
    palette, few = rgb.quantize(16), rgb.quantize(4)
    words = Image.fromarray(rng.integers(0, 600, (7, 13)).astype(np.uint16))
    put = lambda picture, name, **options: picture.save(folder / name, **options)
    put(rgb, "rgb.png"), put(rgba, "rgba.png"), put(grey, "l.png"), put(la, "la.png"), put(rgb.convert("1"), "1.png")
    put(palette, "p.png"), put(few, "p2.png", bits=2), put(palette, "p-clear.png", transparency=3), put(words, "i16.png")
    put(grey, "l-clear.png", transparency=int(grey.getpixel((0, 0))))
    put(rgb, "animated.png", save_all=True, append_images=[photo(13, 7, 5)])
    put(rgb, "interlaced.gif"), put(rgb, "animated.gif", save_all=True, append_images=[photo(13, 7, 5)])
    put(palette, "clear.gif", transparency=3)
    put(rgb, "rgb.webp", lossless=True), put(rgba, "rgba.webp", lossless=True, exact=True)
    put(rgb, "animated.webp", lossless=True, save_all=True, append_images=[photo(13, 7, 5)])
    put(rgb, "rgb.bmp"), put(grey, "l.bmp"), put(palette, "p.bmp"), put(rgb.convert("1"), "1.bmp"), put(rgba, "rgba.bmp")
    put(rgb, "rgb.tif"), put(rgb, "lzw.tif", compression="tiff_lzw"), put(rgb, "deflate.tif", compression="tiff_adobe_deflate")
    put(rgba, "rgba.tif"), put(grey, "l.tif"), put(la, "la.tif"), put(rgb.convert("1"), "1.tif")
    put(words, "i16.tif"), put(rgb.convert("CMYK"), "cmyk.tif")
    big = photo(40, 26, 3)
    put(big, "rgb.jpg", quality=90, subsampling=0), put(big, "subsampled.jpg", quality=90), put(big.convert("L"), "l.jpg", quality=90)
    put(big, "progressive.jpg", quality=90, progressive=True), put(big.convert("CMYK"), "cmyk.jpg", quality=90)
    put(big, "lossy.webp", quality=90)
    for n in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = n
        put(photo(9, 5, 4), f"exif{n}.png" if n % 2 else f"exif{n}.tif", exif=exif)
        put(photo(24, 16, 4), f"exif{n}.jpg", exif=exif, quality=95, subsampling=0)
    # Of 5 or 6 bits, of four colours by runs, and from the top down.
    sixteen = rng.integers(0, 1 << 15, (4, 6)).astype("<u2")
    (folder / "555.bmp").write_bytes(bmp(16, (6, 4), sixteen.tobytes()))
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    six = (sixteen * 2 + 1).astype("<u2").tobytes()
    whole = bytearray(bmp(16, (6, 4), masks + six, compression=3))
    whole[10:14] = struct.pack("<I", 14 + 40 + 12)
    (folder / "565.bmp").write_bytes(bytes(whole))
    colours = bytes(rng.integers(0, 256, 16 * 4, dtype=np.uint8))
    runs = bytes([5, 2, 0, 3, 1, 2, 3, 0, 0, 0, 0, 2, 2, 0, 5, 2, 1, 3, 0, 0, 8, 1, 0, 0, 8, 4, 0, 1])
    (folder / "rle8.bmp").write_bytes(bmp(8, (8, 4), runs, colours, compression=1))
    runs = bytes([5, 0x12, 0, 3, 0x45, 0x60, 0, 0, 8, 0x77, 0, 0, 0, 4, 0xAB, 0xCD, 4, 0x12, 0, 0, 8, 0x31, 0, 1])
    (folder / "rle4.bmp").write_bytes(bmp(4, (8, 4), runs, colours, compression=2))
    rows = bytes(rng.integers(0, 16, 8 * 3, dtype=np.uint8))
    (folder / "down.bmp").write_bytes(bmp(8, (8, 3), rows, colours, height=-3))
    # A frame smaller than its screen.
    data = io.BytesIO()
    palette.save(data, "GIF")
    data = bytearray(data.getvalue())
    data[6:10] = struct.pack("<HH", 16, 9)
    (folder / "smaller.gif").write_bytes(bytes(data))
    out = {}
    for file in sorted(folder.iterdir()):
        out[file.name] = np.ascontiguousarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))
    save_file(out, HERE / "pictures.safetensors")


def main():
    photo(61, 47).save(HERE / "photo.png")
    photo(61, 47).save(HERE / "photo.jpg", quality=92)
    towers()
    resized()
    pictures()


if __name__ == "__main__":
    main()
