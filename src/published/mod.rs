//! Published data sets, from the form in which they are downloaded to the one in which configurations read them.
//!
//! Files keep the formats that they are published in, unpacked and cut by split; only where a configuration reads what nobody publishes in one file
//! (the Chinese and Japanese captions of MSCOCO) are they converted. All counts are held against those of the publication.

mod coco;
mod download;
mod flickr;
mod laid;
mod multi30k;
#[cfg(test)]
mod tests;
mod vectors;
mod xtd10;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::building;
use crate::lock::Lock;
use crate::{Error, Result};

use download::Download;
pub use laid::{Laid, Written};

/// A published data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Multi30K: Flickr30k's photographs in English and German, French and Czech (Elliott et al. 2016, 2017; Barrault et al. 2018).
    Multi30k,
    /// Flickr8k with its own split (Hodosh et al. 2013).
    Flickr8k,
    /// Flickr30k (Young et al. 2014) in Karpathy's split (Karpathy and Fei-Fei 2015).
    Flickr30k,
    /// MSCOCO 2014 (Chen et al. 2015), with COCO-CN (Li et al. 2019) and YJ Captions (Miyazaki and Shimizu 2016) or in Karpathy's split.
    Coco,
    /// XTD10: 1,000 pictures of MSCOCO in eleven languages (Aggarwal and Kale 2020), a test set.
    Xtd10,
    /// FastText's vectors of words in 157 languages (Grave et al. 2018).
    Vectors,
}

impl Published {
    /// Every data set that can be laid out.
    pub const ALL: [Published; 6] = [
        Published::Multi30k,
        Published::Flickr8k,
        Published::Flickr30k,
        Published::Coco,
        Published::Xtd10,
        Published::Vectors,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Published::Multi30k => "multi30k",
            Published::Flickr8k => "flickr8k",
            Published::Flickr30k => "flickr30k",
            Published::Coco => "coco",
            Published::Xtd10 => "xtd10",
            Published::Vectors => "vectors",
        }
    }

    /// What to download, for errors.
    fn download(self) -> &'static str {
        match self {
            Published::Multi30k => "give a clone of https://github.com/multi30k/dataset",
            Published::Flickr8k => {
                "give the folder of what Flickr8k_text.zip holds (Flickr8k.token.txt, Flickr_8k.trainImages.txt, …), or of Karpathy's \
                 dataset_flickr8k.json (caption_datasets.zip, https://cs.stanford.edu/people/karpathy/deepimagesent/)"
            }
            Published::Flickr30k => {
                "give the folder of Karpathy's dataset_flickr30k.json (caption_datasets.zip, \
                 https://cs.stanford.edu/people/karpathy/deepimagesent/)"
            }
            Published::Coco => {
                "give a folder that holds annotations_trainval2014.zip, unpacked (https://cocodataset.org), and for the splits either COCO-CN \
                 (https://github.com/li-xirong/coco-cn) and YJ Captions (https://github.com/yahoojapan/YJCaptions), both unpacked, or Karpathy's \
                 dataset_coco.json (caption_datasets.zip, https://cs.stanford.edu/people/karpathy/deepimagesent/)"
            }
            Published::Xtd10 => {
                "give a clone of https://github.com/adobe-research/Cross-lingual-Test-Dataset-XTD10"
            }
            Published::Vectors => {
                "give the folder of cc.LANGUAGE.300.bin.gz or cc.LANGUAGE.300.vec.gz, as https://fasttext.cc/docs/en/crawl-vectors.html has \
                 them, packed or unpacked"
            }
        }
    }

    /// Writes all of it, in the counts of the publication.
    fn write(self, from: &Download, laid: &mut Laid, options: &Options) -> Result<()> {
        match self {
            Published::Multi30k => multi30k::write(from, laid, multi30k::PICTURES),
            Published::Flickr8k => flickr::write(from, laid, &flickr::FLICKR8K),
            Published::Flickr30k => flickr::write(from, laid, &flickr::FLICKR30K),
            Published::Coco => coco::write(from, laid, &coco::COUNTS, options.seed),
            Published::Xtd10 => xtd10::write(from, laid, xtd10::PICTURES),
            Published::Vectors => vectors::write(from, laid, options.stop),
        }
    }
}

/// How a data set is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Seed of the pictures to validate and test on, where the data set has no split (MSCOCO with COCO-CN and YJ Captions).
    pub seed: u64,
    /// Raised to stop.
    pub stop: &'a AtomicBool,
}

/// Lays out a data set that was downloaded into the folder `from`, in the folder `out`, which is made where it is not there. Other things may be in it,
/// such as features. What is written appears as a whole or not at all.
///
/// # Errors
/// Usage, where a part of it is there already; data, for a file that is missing, is not as it was published, or holds another number of
/// lines or pictures, with both counts and what to download; stopped, on request; run, where nothing can be written.
pub fn lay_out(published: Published, from: &Path, out: &Path, options: &Options) -> Result<Laid> {
    whole(out, |laid| {
        let from = Download::open(from, published.download())?;
        published.write(&from, laid, options)
    })
}

/// Lets `write` write into a folder of its own, whose parts then go to `out` together.
fn whole(out: &Path, write: impl FnOnce(&mut Laid) -> Result<()>) -> Result<Laid> {
    let made = !out.exists();
    fs::create_dir_all(out).map_err(|e| Error::writing(out, e))?;
    let build = || {
        let _lock = Lock::take(&out.join("lay-out.lock"), out)?;
        // No part is more than the others.
        building::recover(out, "")?;
        building::build(out, "", |folder| {
            let mut laid = Laid::new(folder, out);
            write(&mut laid).map(|()| laid)
        })
    };
    let done = build();
    if done.is_err() && made {
        // The first error is the one to tell.
        let _ = fs::remove_dir(out);
    }
    done
}
