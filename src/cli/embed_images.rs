//! `tinyglot embed-images`.

use std::path::{Path, PathBuf};

use super::interrupt;
use super::progress::Progress;
use super::terminal::Terminal;
use crate::config::{Config, Precision};
use crate::photos::{Options, Photographs, Summary, Told, embed};
use crate::pixels::Decoding;
use crate::shard::Shard;
use crate::{Result, photos};

/// Make picture features from photographs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
MODEL is a folder as Hugging Face lays it out: config.json, model.safetensors (or shards) and preprocessor_config.json of CLIP, SigLIP,
SigLIP 2 of a fixed size, DINOv2 or ViT. The features are those of transformers: CLIP's image embeds (get_image_features), the pooler's
output of the others; not of unit length, unless --unit is given.

PHOTOS is a folder (searched in depth, sorted by name), a .tar (WebDataset) or a text file of names, one a line in the order wanted.
Read are JPEG, PNG, WebP, GIF, BMP and TIFF. Photographs that cannot be used are listed in FEATURES.errors.tsv, and the command fails when all
others are done; --skip-bad leaves them out.

FEATURES.npy has a row for each photograph, FEATURES.ids its name, FEATURES.json the hashes of model and preprocessing.

Examples:
  tinyglot embed-images clip-vit-base-patch32 photos --out features.npy
  tinyglot embed-images dinov2-base test.txt --root photos --out test.npy --skip-bad
  tinyglot embed-images clip-vit-base-patch32 shard-0000.tar --out 0000.npy --resume

Photographs are shared out among machines by --shard I/N, and their features made one file by --merge, the same that one machine would
have made; as a Slurm array:
  sbatch --array=1-8 --wrap 'tinyglot embed-images MODEL PHOTOS --shard $SLURM_ARRAY_TASK_ID/8 --out $SLURM_ARRAY_TASK_ID.npy --resume'
and as an indexed Kubernetes Job with --shard $((JOB_COMPLETION_INDEX + 1))/8; then
  tinyglot embed-images --merge 1.npy 2.npy 3.npy 4.npy 5.npy 6.npy 7.npy 8.npy --out features.npy")]
pub struct Args {
    /// Folder of a picture tower
    #[arg(value_name = "MODEL", required_unless_present = "merge")]
    model: Option<PathBuf>,
    /// Folder, .tar or list of photographs
    #[arg(value_name = "PHOTOS", required_unless_present = "merge")]
    photos: Option<PathBuf>,
    /// File of the features, .npy
    #[arg(long, value_name = "FEATURES")]
    out: PathBuf,
    /// Folder that the names of a list are relative to [default: the list's]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only one of N parts of the photographs, for several machines: 2/8
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Features of all shards, to make one file of them
    #[arg(long, value_name = "FEATURES", num_args = 1.., conflicts_with_all = ["model", "photos", "shard", "root", "skip_bad", "resume", "unit",
        "no_exif", "precision", "max_pixels"])]
    merge: Vec<PathBuf>,
    /// Leave out photographs that cannot be used
    #[arg(long)]
    skip_bad: bool,
    /// Go on with an unfinished work; without it one that stands in FEATURES.npy.part is refused
    #[arg(long)]
    resume: bool,
    /// Bring the vectors to unit length
    #[arg(long)]
    unit: bool,
    /// Take photographs as they are stored, not upright as EXIF says
    #[arg(long)]
    no_exif: bool,
    /// Inputs of matrix products; sums are f32
    #[arg(long, value_name = "PRECISION", value_parser = ["f32", "bf16"], default_value = "f32")]
    precision: String,
    /// Pixels beyond which a photograph is refused
    #[arg(long, value_name = "N", default_value_t = Decoding::default().most_pixels)]
    max_pixels: usize,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let (Some(model), Some(photos)) = (&args.model, &args.photos) else {
        let done = photos::merge(&args.merge, &args.out)?;
        return told(&done, &args, terminal);
    };
    let mut photographs = Photographs::open(photos, args.root.as_deref())?;
    photographs.notes.iter().for_each(|note| terminal.say(note));
    if let Some(shard) = args.shard {
        photographs = photographs.shard(shard)?;
    }
    let options = Options {
        out: &args.out,
        decoding: Decoding { exif: !args.no_exif, most_pixels: args.max_pixels },
        precision: if args.precision == "bf16" { Precision::Bf16 } else { Precision::F32 },
        unit: args.unit,
        resume: args.resume,
        skip_bad: args.skip_bad,
        stop: interrupt::flag(),
    };
    let mut view = View::new(terminal);
    let done = embed(model, &photographs, &options, &mut |told| view.show(told));
    view.finish();
    told(&done?, &args, terminal)
}

fn told(done: &Summary, args: &Args, terminal: &Terminal) -> Result<()> {
    terminal.say(&format!("{} rows of {} numbers: `{}`", done.rows, done.width, args.out.display()));
    Ok(())
}

/// The configuration with features of the photographs that it names in their place, made where they are not kept.
pub(super) fn featured(config: &Config, cache: Option<&Path>, terminal: &Terminal) -> Result<Config> {
    let mut view = View::new(terminal);
    let featured = photos::featured(config, cache, interrupt::flag(), &mut |told| view.show(told));
    view.finish();
    featured
}

/// What of the making of features is on the screen.
pub(super) struct View<'a> {
    terminal: &'a Terminal,
    bar: Option<Progress>,
}

impl<'a> View<'a> {
    pub(super) fn new(terminal: &'a Terminal) -> Self {
        View { terminal, bar: None }
    }

    pub(super) fn show(&mut self, told: Told) {
        match told {
            Told::Line(line) => self.terminal.say(line),
            Told::Warning(line) => self.terminal.warn(line),
            Told::Begun { done, total } => {
                let progress = Progress::new(self.terminal, "photographs", total as u64);
                self.bar = Some(progress.resumed_at(done as u64));
            }
            Told::Done(count) => {
                if let Some(bar) = &mut self.bar {
                    bar.advance(count as u64);
                }
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }
}
