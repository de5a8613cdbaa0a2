//! Photographs beside Pillow, and picture towers beside transformers. `vision/make.py` wrote the files.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use tinyglot::config::Precision;
use tinyglot::pixels::{Decoding, Filter, Preprocessing, Rgb, decode, resize};
use tinyglot::tower::vision::VisionTower;

use crate::{Golden, file, near_within};

/// Pictures of a file of `make.py`, by name.
fn pictures(name: &str) -> BTreeMap<String, Rgb> {
    let bytes =
        std::fs::read(file(&format!("vision/{name}.safetensors"))).expect("a file that make.py wrote");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let picture = |t: safetensors::tensor::TensorView| {
        let &[height, width, 3] = t.shape() else { panic!("no picture") };
        Rgb::new(width, height, t.data().to_vec())
    };
    tensors.iter().map(|(name, t)| (name.to_string(), picture(t))).collect()
}

fn read(name: &str) -> Rgb {
    let bytes = std::fs::read(file("vision").join(name)).expect("a file that make.py wrote");
    decode(&bytes, &Decoding::default()).unwrap_or_else(|e| panic!("{name}: {e}")).picture
}

/// The greatest difference of two pictures of one size.
fn apart(name: &str, got: &Rgb, want: &Rgb) -> u8 {
    assert_eq!((got.width, got.height), (want.width, want.height), "{name}");
    got.data.iter().zip(&want.data).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels")
}

#[test]
fn every_mode_becomes_the_rgb_of_pillow() {
    let golden = pictures("pictures");
    assert!(golden.len() >= 59, "{} files", golden.len());
    let mut wrong = Vec::new();
    for (name, want) in &golden {
        // JPEG leaves its transform, and the colours between those that are stored, to the decoder.
        let most = match name.as_str() {
            "subsampled.jpg" | "progressive.jpg" => 10,
            name if name.ends_with(".jpg") => 2,
            _ => 0,
        };
        let found = apart(name, &read(&format!("pictures/{name}")), want);
        if found > most {
            wrong.push(format!("{name}: {found} levels apart"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn resized_pictures_are_those_of_pillow_to_the_bit() {
    let photo = read("photo.png");
    let golden = pictures("resized");
    assert_eq!(golden.len(), 30);
    let filters = [Filter::Lanczos, Filter::Bilinear, Filter::Bicubic, Filter::Box, Filter::Hamming];
    for (name, want) in &golden {
        let filter = filters.into_iter().find(|f| name.starts_with(f.name())).expect("a filter's name");
        assert_eq!(apart(name, &resize(&photo, want.width, want.height, filter), want), 0, "{name}");
    }
}

/// The features of a photograph, by the checkpoint of a folder.
fn features(name: &str, photo: Rgb, precision: Precision) -> Vec<f32> {
    let folder = file("vision").join(name);
    let preprocessing = Preprocessing::open(&folder).expect("a preprocessing");
    let tower = VisionTower::open(&folder, preprocessing.output()).expect("a checkpoint");
    let pixels = preprocessing.pixels(photo);
    let alone = tower.encode(std::slice::from_ref(&pixels), &preprocessing.levels(), precision);
    assert_eq!(alone.len(), tower.outputs());
    // Beside others it is the same to the bit.
    let black = Rgb::new(pixels.width, pixels.height, vec![0; pixels.data.len()]);
    let mut many = vec![black; 40];
    many[33] = pixels;
    let all = tower.encode(&many, &preprocessing.levels(), precision);
    assert_eq!(all[33 * alone.len()..34 * alone.len()], alone, "{name}");
    alone
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn features_are_those_of_transformers() {
    let golden = Golden::read("vision/expected");
    let names = ["clip", "openclip", "siglip", "siglip-vision", "dinov2", "vit", "vit-classifier"];
    for name in names {
        let want = golden.floats(&format!("{name}.png"));
        let got = features(name, read("photo.png"), Precision::F32);
        near_within(name, &got, &want, 1e-4);
        let bf16 = features(name, read("photo.png"), Precision::Bf16);
        assert!(cosine(&bf16, &want) > 0.995, "{name} in bf16: {}", cosine(&bf16, &want));
        let want = golden.floats(&format!("{name}.jpg"));
        let got = features(name, read("photo.jpg"), Precision::F32);
        assert!(cosine(&got, &want) >= 0.999, "{name} from JPEG: {}", cosine(&got, &want));
    }
}

#[test]
fn a_tower_is_refused_for_pictures_of_another_size_or_without_its_tensors() {
    let refusal = |name: &str, size| match VisionTower::open(&file("vision").join(name), size) {
        Ok(_) => panic!("{name} was taken"),
        Err(error) => error.to_string(),
    };
    let text = refusal("clip", Some((20, 20)));
    assert!(text.contains("config.json`: is for pictures of 17 × 17 pixels, not 20 × 20"), "{text}");
    assert!(refusal("dinov2", Some((4, 30))).contains("not 4 × 30"));
    let text = refusal("../towers/openclip", None);
    assert!(
        text.contains("has the architecture `clip_text_model`\nhint: picture towers are read of CLIP"),
        "{text}"
    );
}
