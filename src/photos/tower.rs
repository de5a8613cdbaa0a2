//! Photographs through a picture tower: read ahead, and decoded beside it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Photographs;
use crate::checksum::sha256;
use crate::config::Precision;
use crate::corpus::MadeBy;
use crate::finite::first_fault;
use crate::ops::linear::unit_row;
use crate::pixels::{Decoded, Decoding, Preprocessing, Rgb, decode};
use crate::tower::Tensors;
use crate::tower::vision::VisionTower;
use crate::{Error, Result};

/// Photographs that are decoded while as many go through the tower.
pub(super) const BATCH: usize = 32;
/// Files that are read ahead.
const AHEAD: usize = 16;

/// How photographs become features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingOptions {
    /// How files become pixels.
    pub decoding: Decoding,
    /// Of the tower's products.
    pub precision: Precision,
    /// Whether vectors are brought to unit length.
    pub unit: bool,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        EmbeddingOptions { decoding: Decoding::default(), precision: Precision::F32, unit: false }
    }
}

/// A picture tower with its preprocessing: features of photographs.
pub struct PictureTower {
    tower: VisionTower,
    reader: PixelReader,
    precision: Precision,
    unit: bool,
    /// SHA-256 of the weights.
    weights: String,
}

/// What comes before the network, and may be used from many threads.
struct PixelReader {
    preprocessing: Preprocessing,
    decoding: Decoding,
}

/// What else is made of photographs on their way through the tower, on many threads.
pub trait PhotoObserver: Sync {
    /// What is kept of each.
    type Kept: Send + Default;

    /// What is kept of the bytes of a file, and whether it is to go through the tower.
    fn bytes(&self, bytes: &[u8]) -> (Self::Kept, bool);

    /// Adds what is kept of its picture.
    ///
    /// # Errors
    /// Data, without the name of the file: it cannot be used.
    fn picture(&self, decoded: &Decoded, kept: &mut Self::Kept) -> Result<()>;
}

/// Nothing else.
impl PhotoObserver for () {
    type Kept = ();

    fn bytes(&self, _: &[u8]) -> ((), bool) {
        ((), true)
    }

    fn picture(&self, _: &Decoded, (): &mut ()) -> Result<()> {
        Ok(())
    }
}

/// A photograph that has come through.
pub struct EmbeddedPhoto<K> {
    /// Its number among the photographs.
    pub n: usize,
    /// Its features; none where it was not to go through the tower; or in one line why it cannot be used.
    pub features: std::result::Result<Option<Vec<f32>>, String>,
    /// Whether it was turned upright, as EXIF says.
    pub turned: bool,
    /// Whether it is an animation, of which the first frame was taken.
    pub animated: bool,
    /// What a [`PhotoObserver`] kept of it.
    pub kept: K,
}

/// A photograph as the tower will see it.
struct DecodedPhoto<K> {
    through: EmbeddedPhoto<K>,
    pixels: Option<Rgb>,
}

impl PictureTower {
    /// Opens the folder of a picture tower in Hugging Face's layout.
    ///
    /// # Errors
    /// Data: a checkpoint or preprocessing that cannot be used.
    pub fn open(model: &Path, options: EmbeddingOptions) -> Result<PictureTower> {
        let preprocessing = Preprocessing::open(model)?;
        let Some(size) = preprocessing.output() else {
            return Err(Error::data("leaves pictures of different sizes")
                .at(model.join("preprocessor_config.json"))
                .hint("set `do_center_crop`, or a `size` of height and width"));
        };
        let tower = VisionTower::open(model, Some(size))?;
        let EmbeddingOptions { decoding, precision, unit } = options;
        let reader = PixelReader { preprocessing, decoding };
        Ok(PictureTower { tower, reader, precision, unit, weights: Tensors::open(model)?.sha256() })
    }

    /// As [`Self::open`], with what of `how` the given maker tells by its hashes: whether EXIF counts, and whether vectors are of unit length.
    ///
    /// # Errors
    /// As [`Self::open`]; data, naming both, where this tower cannot be that maker.
    pub fn as_maker(model: &Path, maker: &MadeBy) -> Result<PictureTower> {
        let mut tower =
            PictureTower::open(model, EmbeddingOptions { unit: maker.unit, ..EmbeddingOptions::default() })?;
        for exif in [false, true] {
            tower.reader.decoding.exif = exif;
            if tower.made_by() == *maker {
                return Ok(tower);
            }
        }
        let what = format!("is {}, but the features that are wanted are by {maker}", tower.made_by());
        Err(Error::data(what).at(model).hint("give the tower that made the features of the training"))
    }

    /// Numbers of a photograph's features.
    pub fn outputs(&self) -> usize {
        self.tower.outputs()
    }

    /// What makes the features what they are.
    pub fn made_by(&self) -> MadeBy {
        let PixelReader { preprocessing, decoding } = &self.reader;
        let steps = Sha256::new_with_prefix(format!("{} exif {}", preprocessing.to_json(), decoding.exif));
        MadeBy {
            architecture: format!("{:?}", self.tower.config.architecture).to_lowercase(),
            weights_sha256: self.weights.clone(),
            preprocessing_sha256: sha256(steps),
            unit: self.unit,
        }
    }

    /// As [`Self::made_by`], with all that is noted beside features.
    pub(super) fn about(&self) -> Value {
        let made = self.made_by();
        json!({
            "tinyglot": env!("CARGO_PKG_VERSION"),
            "architecture": made.architecture,
            "weights_sha256": made.weights_sha256,
            "preprocessing_sha256": made.preprocessing_sha256,
            "preprocessing": self.reader.preprocessing.to_json(),
            "exif": self.reader.decoding.exif,
            "precision": format!("{:?}", self.precision).to_lowercase(),
            "unit": self.unit,
            "width": self.outputs(),
        })
    }

    /// The features of one photograph, by the bytes of its file.
    ///
    /// # Errors
    /// Data, without the name of a file: it cannot be decoded, or has no features.
    pub fn features(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let pixels = self.reader.preprocessing.pixels(decode(bytes, &self.reader.decoding)?.picture);
        self.encode(&[pixels]).pop().expect("one for each").map_err(Error::data)
    }

    /// Gives the photographs `left`, by their numbers and in this order, to `take`, some at a time. Reads ahead on a thread of its own, and decodes
    /// some while those before go through the tower. False, where it was asked to stop before the last.
    ///
    /// # Errors
    /// Those of `take`. Photographs that cannot be used are no error here.
    pub fn each<L: PhotoObserver>(
        &self,
        photographs: &Photographs,
        left: &[usize],
        look: &L,
        stop: &AtomicBool,
        take: &mut dyn FnMut(Vec<EmbeddedPhoto<L::Kept>>) -> Result<()>,
    ) -> Result<bool> {
        std::thread::scope(|threads| {
            let (send, receive) = sync_channel(AHEAD);
            threads.spawn(move || {
                for &n in left {
                    // Nobody receives after an error or a stop.
                    if send.send((n, photographs.bytes(n))).is_err() {
                        break;
                    }
                }
            });
            let mut seen = self.next(&receive, left.len().min(BATCH), look, None)?;
            while !seen.is_empty() {
                if stop.load(Ordering::SeqCst) {
                    return Ok(false);
                }
                seen = self.next(&receive, BATCH, look, Some((seen, take)))?;
            }
            Ok(true)
        })
    }

    /// Decodes the next photographs, while those `before` go through the tower and are taken.
    #[allow(clippy::type_complexity)]
    fn next<L: PhotoObserver>(
        &self,
        receive: &Receiver<(usize, Result<Vec<u8>>)>,
        count: usize,
        look: &L,
        before: Option<(
            Vec<DecodedPhoto<L::Kept>>,
            &mut dyn FnMut(Vec<EmbeddedPhoto<L::Kept>>) -> Result<()>,
        )>,
    ) -> Result<Vec<DecodedPhoto<L::Kept>>> {
        let bytes: Vec<_> = receive.iter().take(count).collect();
        let (mut seen, mut taken, reader) = (Vec::new(), Ok(()), &self.reader);
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| {
                seen = bytes.into_par_iter().map(|(n, bytes)| reader.read(n, bytes, look)).collect();
            });
            if let Some((before, take)) = before {
                taken = take(self.through(before));
            }
        });
        taken.map(|()| seen)
    }

    /// Gives those their features that are to have some.
    fn through<K>(&self, seen: Vec<DecodedPhoto<K>>) -> Vec<EmbeddedPhoto<K>> {
        let (mut pictures, mut all) = (Vec::new(), Vec::new());
        for DecodedPhoto { through, pixels } in seen {
            let wanted = pixels.is_some();
            pictures.extend(pixels);
            all.push((through, wanted));
        }
        let mut rows = self.encode(&pictures).into_iter();
        let all = all.into_iter().map(|(mut through, wanted)| {
            if wanted {
                through.features = rows.next().expect("a row for each picture").map(Some);
            }
            through
        });
        all.collect()
    }

    /// The features of each, or why it has none.
    fn encode(&self, pictures: &[Rgb]) -> Vec<std::result::Result<Vec<f32>, String>> {
        let mut rows = self.tower.encode(pictures, &self.reader.preprocessing.levels(), self.precision);
        if self.unit {
            rows.chunks_exact_mut(self.outputs()).for_each(unit_row);
        }
        rows.chunks_exact(self.outputs()).map(|row| sound(row).map(|()| row.to_vec())).collect()
    }
}

impl PixelReader {
    fn read<L: PhotoObserver>(&self, n: usize, bytes: Result<Vec<u8>>, look: &L) -> DecodedPhoto<L::Kept> {
        let mut through =
            EmbeddedPhoto { n, features: Ok(None), turned: false, animated: false, kept: L::Kept::default() };
        let pixels = || {
            let bytes = bytes?;
            let (kept, wanted) = look.bytes(&bytes);
            through.kept = kept;
            if !wanted {
                return Ok(None);
            }
            let decoded = decode(&bytes, &self.decoding)?;
            look.picture(&decoded, &mut through.kept)?;
            (through.turned, through.animated) = (!decoded.orientation.is_upright(), decoded.animated);
            Ok(Some(self.preprocessing.pixels(decoded.picture)))
        };
        match pixels() {
            Ok(pixels) => DecodedPhoto { through, pixels },
            Err(error) => DecodedPhoto {
                through: EmbeddedPhoto { features: Err(reason(&error)), ..through },
                pixels: None,
            },
        }
    }
}

/// Refuses a row that is none.
fn sound(row: &[f32]) -> std::result::Result<(), String> {
    if first_fault(row).is_some() {
        return Err("the model's features of it are not finite".into());
    }
    match row.iter().all(|&x| x == 0.0) {
        true => Err("the model's features of it are all zero".into()),
        false => Ok(()),
    }
}

/// An error in one line.
pub(super) fn reason(error: &Error) -> String {
    let text = error.to_string();
    let (what, hint) =
        text.split_once("\nhint: ").map_or((&text[..], None), |(what, hint)| (what, Some(hint)));
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    line(what) + &hint.map(|hint| format!(" ({})", line(hint))).unwrap_or_default()
}

/// The first line of a list of photographs that cannot be used.
pub(super) const HEAD: &str = "photograph\treason\n";

/// The list of photographs that cannot be used, by name and reason.
pub(crate) fn list_of_bad<'a>(bad: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let line = |(name, reason): (&str, &str)| {
        format!("{}\t{reason}\n", name.replace(|c: char| c.is_control(), "\u{fffd}"))
    };
    String::from(HEAD) + &bad.map(line).collect::<String>()
}
