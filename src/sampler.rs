//! Which pictures and captions a step sees: a seeded sampler that can seek to any step at once.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub mod pairs;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::{EpochUnit, TrainConfig};
use crate::corpus::Features;
use crate::device::Matrix;
use crate::ops::tape::matrix;
use crate::seed::derive;

/// Captions of one language, grouped by picture.
#[derive(Debug, Clone, Default)]
pub struct CaptionIndex {
    /// Picture p has captions `starts[p]..starts[p + 1]`.
    pub starts: Vec<u32>,
}

impl CaptionIndex {
    /// `image_of` holds the picture of each caption, ascending.
    pub fn new(image_of: impl Iterator<Item = u32>, images: usize) -> Self {
        let mut starts = vec![0u32; images + 1];
        image_of.for_each(|p| starts[p as usize + 1] += 1);
        for p in 0..images {
            starts[p + 1] += starts[p];
        }
        CaptionIndex { starts }
    }

    /// So many captions, spread evenly over the pictures.
    pub fn even(captions: usize, images: usize) -> Self {
        CaptionIndex { starts: (0..=images).map(|p| (captions * p / images.max(1)) as u32).collect() }
    }

    /// How many captions there are.
    pub fn len(&self) -> usize {
        self.starts.last().map_or(0, |&n| n as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Draws batches of distinct pictures and captions of them. Each step is a pure function of seed and step.
pub struct Sampler {
    seed: u64,
    images: usize,
    per_batch: usize,
    /// Pictures shown in an epoch.
    per_epoch: usize,
    /// Captions per picture, by language.
    captions: Vec<usize>,
    /// Chance that a picture brings captions of a language into the batch.
    keep: Vec<f32>,
    index: Vec<CaptionIndex>,
}

/// One batch: pictures, and per language (caption, place of its picture in the batch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// Rows of the pictures.
    pub images: Vec<u32>,
    /// By language.
    pub captions: Vec<Vec<(u32, u32)>>,
}

impl Sampler {
    /// `index` and `languages` are in the same order.
    pub fn new(seed: u64, config: &TrainConfig, languages: &[String], index: Vec<CaptionIndex>) -> Self {
        let images = index.first().map_or(0, |i| i.starts.len() - 1);
        let most = index.iter().map(CaptionIndex::len).max().unwrap_or(0).max(1);
        let per_epoch = match config.epoch_unit {
            EpochUnit::Pictures => images,
            EpochUnit::Captions => most,
        };
        let keep = index
            .iter()
            .map(|i| match config.language_temperature {
                0.0 => 1.0,
                t => (i.len() as f32 / most as f32).powf(1.0 / t),
            })
            .collect();
        let captions = languages.iter().map(|l| config.captions.get(l).copied().unwrap_or(1)).collect();
        Sampler { seed, images, per_batch: config.images.min(images), per_epoch, captions, keep, index }
    }

    /// As [`Self::steps_per_epoch`], of captions by language that are only counted.
    pub fn steps_of(
        config: &TrainConfig,
        languages: &[String],
        captions: &[usize],
        pictures: usize,
    ) -> usize {
        let index = captions.iter().map(|&n| CaptionIndex::even(n, pictures)).collect();
        Sampler::new(0, config, languages, index).steps_per_epoch()
    }

    /// Batches per epoch; a last, smaller one is left out.
    pub fn steps_per_epoch(&self) -> usize {
        (self.per_epoch / self.per_batch.max(1)).max(1)
    }

    /// Batches per pass over the pictures.
    fn steps_per_pass(&self) -> usize {
        (self.images / self.per_batch.max(1)).max(1)
    }

    /// The batch of a step, counted from 0.
    pub fn draw(&self, step: usize) -> Draw {
        let (pass, place) = (step / self.steps_per_pass(), step % self.steps_per_pass());
        let order = permutation(self.images, derive(self.seed, "epoch", pass as u64));
        let images = order[place * self.per_batch..][..self.per_batch].to_vec();
        let mut rng = ChaCha8Rng::seed_from_u64(derive(self.seed, "captions", step as u64));
        let mut captions = vec![Vec::new(); self.index.len()];
        for (place, &image) in images.iter().enumerate() {
            for (l, index) in self.index.iter().enumerate() {
                let (from, to) = (index.starts[image as usize], index.starts[image as usize + 1]);
                if self.keep[l] < 1.0 && rng.random::<f32>() >= self.keep[l] {
                    continue;
                }
                let mut choice: Vec<u32> = (from..to).collect();
                for i in 0..self.captions[l].min(choice.len()) {
                    let j = rng.random_range(i..choice.len());
                    choice.swap(i, j);
                    captions[l].push((choice[i], place as u32));
                }
            }
        }
        Draw { images, captions }
    }
}

/// Pictures of a split as rows of a batch. On a GPU they stay there if they fit.
pub struct Pictures<'a> {
    features: &'a Features,
    #[cfg(feature = "cuda")]
    source: crate::sampler::cuda::Source,
}

impl<'a> Pictures<'a> {
    /// The pictures of some features; they move to the GPU, if there is one, where they take `train.gpu_features` MiB at most.
    pub fn new(features: &'a Features, config: &TrainConfig) -> Self {
        #[cfg(not(feature = "cuda"))]
        let _ = config;
        Pictures {
            features,
            #[cfg(feature = "cuda")]
            source: crate::sampler::cuda::Source::new(
                features.rows(),
                features.width(),
                config.gpu_features << 20,
                |i, x| features.copy_row(i, x),
            ),
        }
    }

    /// The features of some pictures: (pictures, width).
    pub fn take(&mut self, pictures: &[u32]) -> Matrix {
        let features = self.features;
        #[cfg(feature = "cuda")]
        return self.source.take(pictures, features.width(), |i, x| features.copy_row(i, x));
        #[cfg(not(feature = "cuda"))]
        gathered(pictures, features.width(), |i, x| features.copy_row(i, x))
    }
}

/// Rows that `row` copies: (rows, width).
pub fn gathered(rows: &[u32], width: usize, row: impl Fn(usize, &mut [f32])) -> Matrix {
    let mut out = vec![0.0; rows.len() * width];
    for (out, &r) in out.chunks_mut(width.max(1)).zip(rows) {
        row(r as usize, out);
    }
    matrix(out, rows.len(), width)
}

/// A random order of 0..n.
fn permutation(n: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        // A 64-bit draw modulo a small number has no bias worth a second draw.
        order.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32) -> Sampler {
        let config = TrainConfig {
            images: 4,
            captions: [("a".to_string(), 2)].into(),
            language_temperature: temperature,
            ..Default::default()
        };
        let two = CaptionIndex::new((0..11u32).flat_map(|p| [p, p, p]), 11);
        let some = CaptionIndex::new((0..11u32).filter(|p| p % 2 == 0), 11);
        Sampler::new(7, &config, &["a".into(), "b".into()], vec![two, some])
    }

    #[test]
    fn an_epoch_shows_each_picture_once_and_another_order_next_time() {
        let s = sampler(0.0);
        assert_eq!(s.steps_per_epoch(), 2);
        let epoch = |e: usize| [s.draw(2 * e).images, s.draw(2 * e + 1).images].concat();
        let mut first = epoch(0);
        assert_ne!(first, epoch(1));
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 8);
        assert_eq!(s.draw(5), sampler(0.0).draw(5), "any step can be sought");
    }

    #[test]
    fn an_epoch_of_captions_has_as_many_batches_as_the_largest_language_fills() {
        let config = TrainConfig { images: 4, epoch_unit: EpochUnit::Captions, ..Default::default() };
        let index = vec![CaptionIndex::even(33, 11), CaptionIndex::even(11, 11)];
        let s = Sampler::new(7, &config, &["a".into(), "b".into()], index.clone());
        // 33 captions, 4 a batch, one a picture; a pass over the 11 pictures has two batches.
        assert_eq!(s.steps_per_epoch(), 8);
        let pictures = Sampler::new(
            7,
            &TrainConfig { images: 4, ..Default::default() },
            &["a".into(), "b".into()],
            index,
        );
        assert_eq!(pictures.steps_per_epoch(), 2);
        for step in 0..8 {
            assert_eq!(s.draw(step), pictures.draw(step), "the batches are those of so many passes");
        }
    }

    #[test]
    fn captions_belong_to_their_pictures_and_do_not_repeat() {
        let draw = sampler(0.0).draw(3);
        assert_eq!(draw.captions[0].len(), 8);
        for pair in draw.captions[0].chunks(2) {
            assert_ne!(pair[0].0, pair[1].0);
            assert!(pair.iter().all(|&(c, place)| c / 3 == draw.images[place as usize]));
        }
        let with = draw.images.iter().filter(|&&p| p % 2 == 0).count();
        assert_eq!(draw.captions[1].len(), with, "a language may lack captions");
    }

    #[test]
    fn temperature_thins_out_the_large_languages_least() {
        let s = sampler(1.0);
        let count = |l: usize| (0..400).map(|step| s.draw(step).captions[l].len()).sum::<usize>();
        assert_eq!(count(0), 400 * 8);
        let expected = (400.0 * 4.0) * (6.0 / 11.0) * (6.0 / 33.0);
        assert!((count(1) as f64 - expected).abs() < 50.0, "{} {expected}", count(1));
    }
}
