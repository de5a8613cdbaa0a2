//! Whether two corpora are the same to train on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Caption, Corpus, PictureSource, SplitName};
use crate::checksum::sha256;
use crate::config::Source;
use crate::{Error, Result};

/// Bytes read at either end of a file of features.
const END: u64 = 1 << 20;

/// SHA-256 over the languages, every training caption, every sentence pair, what a teacher's vectors follow from, and of every file of training features its size and its first
/// and last MiB; where a file says what is in which split (`data.split`), over the ids of the training pictures too. Features may be larger
/// than memory: to read them whole would take longer than it is worth, so a change in
/// the middle of a large file of the same size goes unseen.
///
/// # Errors
/// Data, where a file of features cannot be read.
pub fn fingerprint(corpus: &Corpus) -> Result<String> {
    let mut hash = Sha256::new();
    for (language, captions) in corpus.languages.iter().zip(&corpus.train.captions) {
        hash.update(language);
        add_captions(captions, &mut hash);
    }
    corpus.train.features.hash_content(&mut hash)?;
    corpus.pairs.hash_content(&corpus.languages, &mut hash);
    if let Some(teacher) = &corpus.teacher {
        hash.update(format!("teacher {:?} {}\n", teacher.languages, teacher.hash));
    }
    add_pictures(corpus, SplitName::Train, &mut hash);
    Ok(sha256(hash))
}

/// SHA-256 over the captions of a split that ask, by language, and over its features as above: results of equal data can be
/// compared.
///
/// # Errors
/// Data, where a file of features cannot be read.
pub fn fingerprint_of(corpus: &Corpus, split: SplitName, by: Source) -> Result<String> {
    let mut hash = Sha256::new();
    let asked = corpus.split(split);
    for (l, language) in corpus.languages.iter().enumerate() {
        let queries = asked.queries(l, by);
        if !queries.captions.is_empty() {
            hash.update(language);
            add_captions(&queries.captions, &mut hash);
        }
    }
    for translated in &corpus.translated {
        hash.update(&translated.language);
        add_captions(translated.captions(split).unwrap_or_default(), &mut hash);
    }
    asked.features.hash_content(&mut hash)?;
    add_pictures(corpus, split, &mut hash);
    Ok(sha256(hash))
}

/// Adds which pictures are in a split, where a file says it: the files of the features are those of all splits.
fn add_pictures(corpus: &Corpus, split: SplitName, hash: &mut Sha256) {
    if corpus.splits_by.is_some() {
        corpus.split(split).image_ids.iter().for_each(|id| hash.update(format!("{id}\n")));
    }
}

fn add_captions(captions: &[Caption], hash: &mut Sha256) {
    hash.update((captions.len() as u64).to_le_bytes());
    for caption in captions {
        hash.update(caption.image.to_le_bytes());
        hash.update((caption.text.len() as u64).to_le_bytes());
        hash.update(&caption.text);
    }
}

/// Adds the size of a file and its first and last MiB.
pub(super) fn add_ends(path: &Path, hash: &mut Sha256) -> Result<()> {
    read_ends(path, hash).map_err(|e| Error::reading(path, e))
}

fn read_ends(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    hash.update(size.to_le_bytes());
    let mut bytes = Vec::new();
    (&mut file).take(END).read_to_end(&mut bytes)?;
    if size > END {
        file.seek(SeekFrom::Start(size.saturating_sub(END).max(END)))?;
        file.read_to_end(&mut bytes)?;
    }
    hash.update(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes;
    use crate::scenes::ScenesConfig;

    #[test]
    fn what_training_sees_is_in_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("d");
        let config = ScenesConfig {
            train: 6,
            val: 2,
            test: 2,
            captions: 1,
            languages: vec!["en".into()],
            ..ScenesConfig::default()
        };
        scenes::write(&out, &config, &mut |_, _| ()).unwrap();
        let source = crate::config::CaptionSource {
            languages: vec!["en".into()],
            files: vec!["captions/{split}.1.{language}".into()],
            ..Default::default()
        };
        let data = crate::config::DataConfig {
            root: out.clone(),
            languages: vec!["en".into()],
            captions: vec![source],
            ..Default::default()
        };
        let of = || fingerprint(&Corpus::load(&data, Path::new("")).unwrap()).unwrap();
        let first = of();
        assert_eq!((first.len(), &of()), (64, &first));
        let change = |file: &str, edit: &dyn Fn(&mut Vec<u8>)| {
            let (path, before) = (out.join(file), std::fs::read(out.join(file)).unwrap());
            let mut bytes = before.clone();
            edit(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            let after = of();
            std::fs::write(&path, before).unwrap();
            after
        };
        assert_ne!(change("captions/train.1.en", &|b| b[0] ^= 1), first, "a training caption");
        assert_ne!(change("features/train.npy", &|b| *b.last_mut().unwrap() ^= 1), first, "a feature");
        assert_eq!(change("captions/test.1.en", &|b| b[0] ^= 1), first, "test captions are not trained on");
    }
}
