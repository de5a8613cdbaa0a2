//! `preprocessor_config.json`: what becomes of a picture before the tower sees it. Every key is obeyed or refused by name.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Filter, Rgb, resize};
use crate::{Error, Result};

/// The image processors of Hugging Face whose configurations are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// `CLIPImageProcessor`.
    Clip,
    /// `SiglipImageProcessor`.
    Siglip,
    /// `ViTImageProcessor`.
    Vit,
    /// DINOv2's.
    Bit,
}

/// The size that a picture is brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Its shorter side, the other one in proportion.
    ShortestEdge(usize),
    /// Both, whatever its proportions were.
    Exact {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
}

/// Resize, crop, scale, standardise: those that are there, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// The size it is brought to, and by which filter.
    pub resize: Option<(Size, Filter)>,
    /// Width and height of the middle that is kept; black is added where the picture is smaller.
    pub crop: Option<(usize, usize)>,
    /// What each level of 0 to 255 is multiplied with.
    pub rescale: Option<f64>,
    /// Mean and deviation of each channel.
    pub normalise: Option<([f32; 3], [f32; 3])>,
}

/// Keys that say what is done anyway, or nothing about pixels.
const WITHOUT_EFFECT: [&str; 9] = [
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "_valid_processor_keys",
    // Pictures are RGB already.
    "do_convert_rgb",
    // How transformers works through a batch.
    "disable_grouping",
    "device",
    "return_tensors",
    "input_data_format",
];

const CLIP_MEAN: [f32; 3] = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: [f32; 3] = [0.26862954, 0.261_302_6, 0.275_777_1];
/// The longest side that is taken for one.
const LARGEST: u64 = 1 << 14;

impl Processor {
    fn of(name: &str) -> Option<Processor> {
        // `Fast` and `Pil` are other ways to the same.
        let name = ["Fast", "Pil"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        Some(match name {
            "CLIPImageProcessor" | "CLIPFeatureExtractor" => Processor::Clip,
            "SiglipImageProcessor" => Processor::Siglip,
            "ViTImageProcessor" | "ViTFeatureExtractor" => Processor::Vit,
            "BitImageProcessor" => Processor::Bit,
            _ => return None,
        })
    }

    /// What holds where the configuration is silent.
    fn defaults(self) -> Preprocessing {
        let square = Size::Exact { width: 224, height: 224 };
        let (resize, crop, mean, deviation) = match self {
            Processor::Clip | Processor::Bit => {
                ((Size::ShortestEdge(224), Filter::Bicubic), Some((224, 224)), CLIP_MEAN, CLIP_STD)
            }
            Processor::Siglip => ((square, Filter::Bicubic), None, [0.5; 3], [0.5; 3]),
            Processor::Vit => ((square, Filter::Bilinear), None, [0.5; 3], [0.5; 3]),
        };
        let normalise = Some((mean, deviation));
        Preprocessing { resize: Some(resize), crop, rescale: Some(1.0 / 255.0), normalise }
    }
}

/// The keys of the file.
struct Keys<'a> {
    json: &'a Map<String, Value>,
    path: &'a Path,
}

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        let value = self.json.get(key).unwrap_or(&Value::Null);
        Error::data(format!("`{key}` is {value}; expected {expected}")).at(self.path)
    }

    fn truth(&self, key: &str, default: bool) -> Result<bool> {
        self.get(key).map_or(Ok(default), |v| v.as_bool().ok_or_else(|| self.wrong(key, "true or false")))
    }

    /// A number of pixels.
    fn pixels(&self, key: &str, value: &Value) -> Result<usize> {
        let pixels = value.as_u64().filter(|n| (1..=LARGEST).contains(n));
        pixels.map(|n| n as usize).ok_or_else(|| self.wrong(key, "pixels from 1 to 16384"))
    }

    /// A size, which may be one number.
    fn size(&self, key: &str, processor: Processor) -> Result<Option<Size>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let expected = "{\"shortest_edge\": N}, {\"height\": N, \"width\": N} or a number";
        let Value::Object(sides) = value else {
            let n = self.pixels(key, value)?;
            let square = key == "crop_size" || matches!(processor, Processor::Siglip | Processor::Vit);
            return Ok(Some(match square {
                true => Size::Exact { width: n, height: n },
                false => Size::ShortestEdge(n),
            }));
        };
        let sides: Vec<(&str, &Value)> =
            sides.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.as_str(), v)).collect();
        Ok(Some(match sides[..] {
            [("shortest_edge", n)] if key == "size" => Size::ShortestEdge(self.pixels(key, n)?),
            [("height", h), ("width", w)] | [("width", w), ("height", h)] => {
                Size::Exact { width: self.pixels(key, w)?, height: self.pixels(key, h)? }
            }
            _ => return Err(self.wrong(key, expected)),
        }))
    }

    /// A number for each channel, or one for all.
    fn channels(&self, key: &str, default: [f32; 3]) -> Result<[f32; 3]> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = |v: &Value| v.as_f64().map(|x| x as f32).filter(|x| x.is_finite());
        let numbers = match value {
            Value::Array(all) => all.iter().map(number).collect::<Option<Vec<f32>>>(),
            one => number(one).map(|x| vec![x; 3]),
        };
        let numbers = numbers.and_then(|n| <[f32; 3]>::try_from(n).ok());
        numbers.ok_or_else(|| self.wrong(key, "three numbers, or one for all channels"))
    }
}

impl Preprocessing {
    /// Reads `preprocessor_config.json` of a folder, or the image processor in `processor_config.json`.
    ///
    /// # Errors
    /// Data: no such file; another image processor than CLIP's, SigLIP's, ViT's and BiT's; a key that is not known, or a value that is
    /// not obeyed.
    pub fn open(folder: &Path) -> Result<Preprocessing> {
        let alone = folder.join("preprocessor_config.json");
        let (path, within) = match (alone.exists(), folder.join("processor_config.json")) {
            (false, whole) if whole.exists() => (whole, true),
            _ => (alone, false),
        };
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Error::reading(&path, e)
                .hint("copy it from where the model is from: it says how pictures are resized and scaled")
        })?;
        let json: Value = serde_json::from_str(&text)
            .map_err(|e| Error::data("is no configuration").at(&path).line(e.line()).because(e))?;
        let part = if within { json.get("image_processor") } else { Some(&json) };
        let Some(json) = part.and_then(Value::as_object) else {
            return Err(Error::data("has no image processor").at(&path));
        };
        Preprocessing::read(&Keys { json, path: &path })
    }

    fn read(keys: &Keys) -> Result<Preprocessing> {
        let kind = ["image_processor_type", "feature_extractor_type"].iter().find_map(|key| keys.get(key));
        let kind = kind.and_then(Value::as_str).unwrap_or("none");
        let Some(processor) = Processor::of(kind) else {
            return Err(Error::data(format!("has the image processor `{kind}`")).at(keys.path).hint(
                "read are `CLIPImageProcessor`, `SiglipImageProcessor`, `ViTImageProcessor` and `BitImageProcessor`",
            ));
        };
        for (key, value) in keys.json.iter().filter(|(_, value)| !value.is_null()) {
            let known = match key.as_str() {
                "do_resize" | "size" | "resample" | "do_rescale" | "rescale_factor" | "do_normalize"
                | "image_mean" | "image_std" | "do_center_crop" | "crop_size" => true,
                "data_format" => value == "channels_first",
                "do_pad" | "default_to_square" => value == &Value::Bool(false),
                other => WITHOUT_EFFECT.contains(&other),
            };
            if !known {
                return Err(Error::data(format!("`{key}` = {value} is not obeyed here"))
                    .at(keys.path)
                    .hint("features would not be those of the model: make them with transformers"));
            }
        }
        let defaults = processor.defaults();
        let (size, filter) = defaults.resize.expect("all resize");
        let filter = match keys.get("resample") {
            Some(value) => value
                .as_u64()
                .and_then(Filter::of_pillow)
                .ok_or_else(|| keys.wrong("resample", "1 (lanczos) to 5 (hamming)"))?,
            None => filter,
        };
        let size = keys.size("size", processor)?.unwrap_or(size);
        let crop = match keys.size("crop_size", processor)? {
            Some(Size::Exact { width, height }) => Some((width, height)),
            _ => defaults.crop,
        };
        let may_crop = matches!(processor, Processor::Clip | Processor::Bit);
        let crops = keys.truth("do_center_crop", may_crop)?;
        if crops && !may_crop {
            return Err(keys.wrong("do_center_crop", "false for this image processor"));
        }
        let rescale = match keys.get("rescale_factor") {
            Some(value) => value.as_f64().ok_or_else(|| keys.wrong("rescale_factor", "a number"))?,
            None => 1.0 / 255.0,
        };
        let (mean, deviation) = defaults.normalise.expect("all normalise");
        let (mean, deviation) = (keys.channels("image_mean", mean)?, keys.channels("image_std", deviation)?);
        if deviation.contains(&0.0) {
            return Err(keys.wrong("image_std", "numbers that are not 0"));
        }
        Ok(Preprocessing {
            resize: keys.truth("do_resize", true)?.then_some((size, filter)),
            crop: crop.filter(|_| crops),
            rescale: keys.truth("do_rescale", true)?.then_some(rescale),
            normalise: keys.truth("do_normalize", true)?.then_some((mean, deviation)),
        })
    }

    /// Width and height of every picture behind it; nothing, where they depend on the picture.
    pub fn output(&self) -> Option<(usize, usize)> {
        match (self.crop, self.resize) {
            (Some(crop), _) => Some(crop),
            (None, Some((Size::Exact { width, height }, _))) => Some((width, height)),
            _ => None,
        }
    }

    /// All of it, to be kept with what was made by it.
    pub fn to_json(&self) -> Value {
        let resize = self.resize.map(|(size, filter)| match size {
            Size::ShortestEdge(n) => json!({"shortest_edge": n, "filter": filter.name()}),
            Size::Exact { width, height } => {
                json!({"width": width, "height": height, "filter": filter.name()})
            }
        });
        let crop = self.crop.map(|(width, height)| json!({"width": width, "height": height}));
        let normalise = self.normalise.map(|(mean, deviation)| json!({"mean": mean, "deviation": deviation}));
        json!({"resize": resize, "crop": crop, "rescale": self.rescale, "normalise": normalise})
    }

    /// The picture, resized and cropped.
    pub fn pixels(&self, picture: Rgb) -> Rgb {
        let picture = match self.resize {
            Some((size, filter)) => {
                let (width, height) = size.of(picture.width, picture.height);
                resize(&picture, width, height, filter)
            }
            None => picture,
        };
        match self.crop {
            Some((width, height)) if (width, height) != (picture.width, picture.height) => {
                middle(&picture, width, height)
            }
            _ => picture,
        }
    }

    /// What each level becomes, channel by channel, as transformers computes it: scaled in f64, standardised in f32.
    pub fn levels(&self) -> [[f32; 256]; 3] {
        let (mean, deviation) = self.normalise.unwrap_or(([0.0; 3], [1.0; 3]));
        let level = |channel: usize, level: usize| {
            let scaled = self.rescale.map_or(level as f32, |factor| (level as f64 * factor) as f32);
            (scaled - mean[channel]) / deviation[channel]
        };
        std::array::from_fn(|channel| std::array::from_fn(|n| level(channel, n)))
    }
}

impl Size {
    /// Width and height of a picture that had these.
    fn of(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Size::Exact { width, height } => (width, height),
            Size::ShortestEdge(edge) => {
                let (short, long) = (width.min(height), width.max(height));
                let longer = ((edge * long) as f64 / short as f64) as usize;
                if width <= height { (edge, longer) } else { (longer, edge) }
            }
        }
    }
}

/// The middle of a picture, its beginning rounded down; in the middle of black where it is smaller, rounded up.
fn middle(picture: &Rgb, width: usize, height: usize) -> Rgb {
    let place = |from: usize, to: usize| match to > from {
        true => (0, (to - from).div_ceil(2), from),
        false => ((from - to) / 2, 0, to),
    };
    let ((left, x, columns), (top, y, rows)) = (place(picture.width, width), place(picture.height, height));
    let mut data = vec![0; width * height * 3];
    for row in 0..rows {
        let from = &picture.row(top + row)[3 * left..3 * (left + columns)];
        data[3 * ((y + row) * width + x)..][..3 * columns].copy_from_slice(from);
    }
    Rgb::new(width, height, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Preprocessing> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("preprocessor_config.json"), text).expect("written");
        Preprocessing::open(folder.path())
    }

    fn refusal(text: &str) -> String {
        read(&format!("{{\"image_processor_type\": \"CLIPImageProcessor\", {text}}}"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn configurations_of_all_times_are_read() {
        let clip = read(
            r#"{"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3,
            "do_resize": true, "do_center_crop": true, "do_normalize": true, "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711]}"#,
        );
        assert_eq!(clip.unwrap(), Processor::Clip.defaults());
        let siglip = read(
            r#"{"image_processor_type": "SiglipImageProcessorFast", "size": {"height": 384, "width": 384},
            "do_convert_rgb": null, "do_center_crop": null, "image_mean": 0.5, "image_std": [0.5, 0.5, 0.5], "resample": 2}"#,
        );
        let siglip = siglip.unwrap();
        assert_eq!(siglip.resize, Some((Size::Exact { width: 384, height: 384 }, Filter::Bilinear)));
        assert_eq!((siglip.crop, siglip.output()), (None, Some((384, 384))));
        let vit = read(r#"{"image_processor_type": "ViTImageProcessor", "size": 32, "do_rescale": false}"#)
            .unwrap();
        assert_eq!(vit.resize, Some((Size::Exact { width: 32, height: 32 }, Filter::Bilinear)));
        assert_eq!((vit.rescale, vit.levels()[0][255]), (None, 509.0));
        let dino = read(
            r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256},
            "crop_size": {"height": 224, "width": 224}}"#,
        );
        assert_eq!(dino.unwrap().resize, Some((Size::ShortestEdge(256), Filter::Bicubic)));
    }

    #[test]
    fn what_is_not_obeyed_is_refused_by_name() {
        assert!(
            refusal("\"do_pad\": true").contains("preprocessor_config.json`: `do_pad` = true is not obeyed")
        );
        assert!(refusal("\"crop_pct\": 0.9").contains("`crop_pct` = 0.9"));
        assert!(refusal("\"data_format\": \"channels_last\"").contains("`data_format`"));
        assert!(refusal("\"resample\": 0").contains("`resample` is 0; expected 1 (lanczos)"));
        assert!(refusal("\"size\": {\"shortest_edge\": 9, \"longest_edge\": 12}").contains("`size` is {"));
        assert!(refusal("\"size\": 0").contains("`size` is 0; expected pixels"));
        assert!(refusal("\"image_mean\": [1, 2]").contains("`image_mean` is [1,2]; expected three numbers"));
        assert!(refusal("\"image_std\": 0").contains("expected numbers that are not 0"));
        assert!(refusal("\"do_resize\": \"yes\"").contains("expected true or false"));
        let other = read(r#"{"image_processor_type": "Siglip2ImageProcessor"}"#).unwrap_err().to_string();
        assert!(other.contains("has the image processor `Siglip2ImageProcessor`\nhint: read are"), "{other}");
        let vit = read(r#"{"image_processor_type": "ViTImageProcessor", "do_center_crop": true}"#);
        assert!(vit.unwrap_err().to_string().contains("`do_center_crop` is true; expected false"));
    }

    #[test]
    fn sizes_and_crops_are_rounded_as_hugging_face_does() {
        assert_eq!(Size::ShortestEdge(224).of(640, 427), (335, 224));
        assert_eq!(Size::ShortestEdge(224).of(427, 640), (224, 335));
        let picture = Rgb::new(5, 2, (0..10).flat_map(|n| [n; 3]).collect());
        let levels = |p: Rgb| p.data.iter().step_by(3).copied().collect::<Vec<u8>>();
        assert_eq!(levels(middle(&picture, 2, 2)), [1, 2, 6, 7]);
        assert_eq!(levels(middle(&picture, 4, 3)), [0, 0, 0, 0, 0, 1, 2, 3, 5, 6, 7, 8]);
    }
}
