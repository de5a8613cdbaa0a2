//! Photographs that were sent to be searched by: their vectors, for a while, so that a search by one has an address.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::answer::Refusal;
use super::work::Model;
use crate::checksum::sha256_name;
use crate::photos::InMemory;
use crate::pixels::{Decoding, decode, thumbnail};
use crate::{Error, Result};

/// Bytes of the largest photograph that is taken.
pub const LARGEST: usize = 16 << 20;
/// Pixels beyond which a photograph is not decoded.
const PIXELS: usize = 50_000_000;
/// Photographs that are sent at a time: each is in memory.
const AT_A_TIME: usize = 4;
/// Those that are remembered.
const KEPT: usize = 256;
/// Pixels of the longer side, and bytes beyond which it is coarser, of what is shown of one.
const SHOWN: (usize, usize) = (320, 32 << 10);

/// A photograph that was sent.
#[derive(Debug)]
pub struct Upload {
    /// Of its content: what it is called.
    pub name: String,
    /// Its vector, of unit length.
    pub vector: Vec<f32>,
    /// A JPEG.
    pub thumbnail: Vec<u8>,
}

/// The last ones.
pub struct Uploads {
    kept: Mutex<VecDeque<Arc<Upload>>>,
    /// Places for those that are on the way.
    pub places: Semaphore,
}

impl Default for Uploads {
    fn default() -> Self {
        Uploads { kept: Mutex::default(), places: Semaphore::new(AT_A_TIME) }
    }
}

impl Uploads {
    /// Remembers one, and forgets the first of too many.
    pub fn keep(&self, upload: Upload) -> Arc<Upload> {
        let upload = Arc::new(upload);
        let mut kept = self.kept.lock().expect("nothing panics while it keeps");
        kept.retain(|other| other.name != upload.name);
        kept.push_back(upload.clone());
        while kept.len() > KEPT {
            kept.pop_front();
        }
        upload
    }

    /// One that is remembered, by its name.
    ///
    /// # Errors
    /// Missing, where it was forgotten, or never was.
    pub fn find(&self, name: &str) -> Result<Arc<Upload>, Refusal> {
        let kept = self.kept.lock().expect("nothing panics while it keeps");
        let found = kept.iter().find(|upload| upload.name == name).cloned();
        found.ok_or_else(|| {
            Refusal::missing("the picture that was sent is not remembered any more: send it again")
        })
    }
}

/// Makes the vector of a photograph.
///
/// # Errors
/// Usage, where it cannot be used: whoever has sent it is told.
pub fn seen(model: &Model, bytes: &[u8]) -> Result<Upload> {
    let tower = model.tower.expect("asked for where there is one");
    let told = |e: Error| Error::usage(format!("the picture {}", e.to_string().replace("\nhint: ", "; ")));
    let decoded = decode(bytes, &Decoding { most_pixels: PIXELS, ..Decoding::default() }).map_err(told)?;
    let thumbnail = thumbnail(&decoded.picture, SHOWN.0, SHOWN.1).map_err(told)?;
    drop(decoded);
    let features = InMemory::new(tower, tower.features(bytes).map_err(told)?, &model.run.folder().path);
    let mut vector = Vec::new();
    model.run.pictures(&features, &mut |_, some| {
        vector.extend_from_slice(some);
        Ok(())
    })?;
    Ok(Upload { name: sha256_name(Sha256::new_with_prefix(bytes)), vector, thumbnail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let uploads = Uploads::default();
        let upload = |n: usize| Upload { name: n.to_string(), vector: vec![n as f32], thumbnail: Vec::new() };
        (0..KEPT + 1).for_each(|n| _ = uploads.keep(upload(n)));
        assert_eq!(uploads.find("0").unwrap_err().status(), 404);
        assert_eq!(uploads.find("1").unwrap().vector, [1.0]);
        // One that is sent again counts as new.
        uploads.keep(upload(1));
        uploads.keep(upload(KEPT + 1));
        assert!(uploads.find("1").is_ok() && uploads.find("2").is_err());
    }
}
