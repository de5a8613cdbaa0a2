//! `tinyglot index`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::embed_images::View;
use super::interrupt;
use super::stdout;
use super::terminal::Terminal;
use crate::photos::Photographs;
use crate::retrieve::{Changes, Following, Index, PictureFile, Retriever, Stored, follow};
use crate::run::picture_tower;
use crate::shard::Shard;
use crate::{Result, run};

/// Turn pictures into vectors once, to search them often
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Of features it is made once. Of photographs it follows them: the same command given again adds, replaces and removes what came, changed and went since;
only photographs of a new content go through the picture tower, and their thumbnails are kept for `serve`. Until all is done the old index
is searched on, and a command that was stopped or killed goes on where it was.

The folder may be larger than memory. It fits the run that it was made with, that run packed, and runs with a language added to it or taken out.
int8 finds candidates by eight bits a number and scores them by their vectors in f16: faster, and nearly as exact.

A gallery is shared out among machines by --shard I/N, and made one by --merge; as a Slurm array:
  sbatch --array=1-8 --wrap 'tinyglot index RUN --photos PHOTOS --shard $SLURM_ARRAY_TASK_ID/8 --out shards/$SLURM_ARRAY_TASK_ID'
and as an indexed Kubernetes Job with --shard $((JOB_COMPLETION_INDEX + 1))/8.

Examples:
  tinyglot index RUN --photos PHOTOS --out photos
  tinyglot index RUN --photos PHOTOS --tower clip-vit-base-patch32 --skip-bad --out photos
  tinyglot index RUN --gallery features.npy --ids names.txt --out photos
  tinyglot index RUN --merge shards/1 shards/2 --out photos
  tinyglot search RUN --language de --index photos \"ein Hund am Strand\"")]
#[command(group = clap::ArgGroup::new("pictures").required(true).args(["gallery", "photos", "merge"]))]
pub struct Args {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Features of the pictures, .npy or .safetensors
    #[arg(long, value_name = "FILE")]
    pub gallery: Option<PathBuf>,
    /// Ids of the pictures, one a line [default: those in the gallery's file, or beside it in one that ends in .ids, else row numbers from 0]
    #[arg(long, value_name = "FILE", requires = "gallery")]
    pub ids: Option<PathBuf>,
    /// Photographs: a folder (searched in depth), a .tar or a list of names
    #[arg(long, value_name = "PHOTOS")]
    pub photos: Option<PathBuf>,
    /// Folder of the picture tower that makes their features [default: the run's `data.tower`]
    #[arg(long, value_name = "MODEL", requires = "photos")]
    pub tower: Option<PathBuf>,
    /// Leave out photographs that cannot be used
    #[arg(long, requires = "photos")]
    pub skip_bad: bool,
    /// Indexes of all shards, to make one of them
    #[arg(long, value_name = "INDEX", num_args = 1.., conflicts_with_all = ["numbers", "shard"])]
    pub merge: Vec<PathBuf>,
    /// Only one part of the pictures, of several that together are all: 2/8
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Folder to make, or of photographs to bring up to date
    #[arg(long, value_name = "INDEX")]
    pub out: PathBuf,
    /// Numbers that vectors are kept in [default: f16, or what the index has]
    #[arg(long, value_enum)]
    pub numbers: Option<Numbers>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Numbers {
    F16,
    F32,
    Int8,
}

impl From<Numbers> for Stored {
    fn from(numbers: Numbers) -> Stored {
        match numbers {
            Numbers::F16 => Stored::F16,
            Numbers::F32 => Stored::F32,
            Numbers::Int8 => Stored::Int8,
        }
    }
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let run = run::open(&args.run, &[])?;
    let said = match (&args.gallery, &args.photos) {
        (Some(gallery), _) => of_features(&args, &*run, gallery, terminal)?,
        (None, Some(photos)) => of_photographs(&args, &*run, photos, terminal)?,
        (None, None) => merged(&args, &*run)?,
    };
    terminal.say(&said);
    stdout::print(&format!("{}\n", args.out.display()))
}

fn of_features(args: &Args, run: &dyn Retriever, gallery: &Path, terminal: &Terminal) -> Result<String> {
    let pictures = PictureFile::open(gallery, args.ids.as_deref())?;
    pictures.note().iter().for_each(|note| terminal.say(note));
    let mut ids = pictures.each_once();
    let mut features = pictures.features;
    if let Some(shard) = args.shard {
        let rows = shard.rows(features.rows());
        features = features.select(&rows.clone().map(|row| row as u32).collect::<Vec<_>>());
        ids = ids[rows].to_vec();
    }
    let numbers = args.numbers.map_or(Stored::F16, Stored::from);
    let index = Index::make_shard(run, &features, &ids, numbers, args.shard, &args.out)?;
    Ok(format!("{} pictures", index.ids().len()))
}

fn merged(args: &Args, run: &dyn Retriever) -> Result<String> {
    let shards = args.merge.iter().map(|path| Index::open(path)).collect::<Result<Vec<Index>>>()?;
    shards.iter().try_for_each(|index| index.check_model(run))?;
    let index = Index::merge(&shards.iter().collect::<Vec<_>>(), &args.out)?;
    Ok(format!("{} pictures of {} shards", index.ids().len(), shards.len()))
}

fn of_photographs(args: &Args, run: &dyn Retriever, photos: &Path, terminal: &Terminal) -> Result<String> {
    let tower = picture_tower(run, args.tower.as_deref())?;
    let photographs = Photographs::open(photos, None)?;
    photographs.notes.iter().for_each(|note| terminal.say(note));
    let photographs = match args.shard {
        Some(shard) => photographs.only(|name| shard.has(name)),
        None => photographs,
    };
    let options = Following {
        numbers: args.numbers.map(Stored::from),
        shard: args.shard,
        skip_bad: args.skip_bad,
        stop: interrupt::flag(),
    };
    let mut view = View::new(terminal);
    let changes = follow(run, &tower, &photographs, &options, &args.out, &mut |told| view.show(told));
    view.finish();
    let Changes { pictures, added, replaced, removed, seen, .. } = changes?;
    Ok(format!(
        "{pictures} photographs: {added} added, {replaced} replaced, {removed} removed; {seen} went through the tower"
    ))
}
