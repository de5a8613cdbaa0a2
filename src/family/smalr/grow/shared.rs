//! What adding a language must leave as it is, as one number.

use dfdx::prelude::*;
use sha2::{Digest, Sha256};

use crate::family::smalr::SmalrRun;
use crate::family::smalr::embedding::Slot;
use crate::ops::tape::{data, data1};
use crate::optim::digest;

/// SHA-256 over every stored parameter and buffer, and over words, slots, scorer layers and latent tokens' keys, less
/// what belongs to languages that were added. Languages that were not come by their codes, in order.
pub fn shared_hash(run: &mut SmalrRun) -> String {
    let added = run.config.added();
    let own: Vec<String> =
        added.keys().flat_map(|l| [format!("embedding.{l}."), format!("text.adapter.{l}.")]).collect();
    let mut hash = Sha256::new();
    digest(&mut run.model, &mut hash, |name| !own.iter().any(|own| name.starts_with(own)));
    let (lexicon, scorer) = (&run.encoder.lexicon, &run.encoder.scorer);
    for (l, code) in lexicon.languages.iter().enumerate().filter(|(_, code)| !added.contains_key(*code)) {
        hash.update(format!("{code}\n"));
        for ((word, count), slot) in lexicon.vocabularies[l].iter().zip(&lexicon.slots[l]) {
            let (table, row) = match slot {
                Slot::Latent(row) => ("latent", row),
                Slot::Own(row) => ("own", row),
                Slot::Other { language, row } => (&*lexicon.languages[*language as usize], row),
            };
            hash.update(format!("{word} {count} {table} {row}\n"));
        }
        let layer = &scorer.layers[l];
        hash.update(format!("{:?}\n", layer.weight.shape()));
        hash.update(bytemuck::cast_slice::<f32, u8>(&data(&layer.weight)));
        hash.update(bytemuck::cast_slice::<f32, u8>(&data1(&layer.bias)));
    }
    hash.update(bytemuck::cast_slice::<f32, u8>(&scorer.keys));
    crate::checksum::sha256(hash)
}
