//! Leaving out what is worth least for its bytes.

use std::collections::BTreeSet;

use super::SmalrPacker;
use super::for_use;
use super::without::{Item, Kept, leave_out};
use super::worth::{Valued, own_fallback, shares, worth};
use crate::checkpoint::{Packing, ReservedFolder};
use crate::config::Config;
use crate::family::Limit;
use crate::family::packing::bytes_of;
use crate::family::smalr::embedding::{Lexicon, Slot};
use crate::numbers::Format;
use crate::{Error, Result};

/// Times that the bytes of items are reckoned before they are looked at: files are a little larger or smaller than the sum of what is in them.
const TRIES: usize = 6;

impl SmalrPacker {
    /// Leaves out of the run's encoder what the limit has no room for; its n-grams are pruned already.
    pub(super) fn limited(&mut self, config: &Config, packing: Packing, limit: Limit) -> Result<Kept> {
        let all = Kept::all(&self.run.encoder.lexicon);
        let whole = self.measured(config, packing, &all)?;
        if whole <= limit.bytes || self.run.encoder.lexicon.spellings.is_some() {
            return Ok(all);
        }
        let items = self.all_items(packing);
        let least = whole as f64 - items.iter().map(|(_, bytes)| bytes).sum::<f64>();
        // Where nothing helps, it need not be known what is worth most.
        let items = if least > limit.bytes as f64 { items } else { self.ordered(packing, limit) };
        let fallback = own_fallback(&self.run.encoder.lexicon, &self.whole);
        let (lexicon, scorer) = (self.run.encoder.lexicon.clone(), self.run.encoder.scorer.clone());
        let latents = self.run.model.embedding.latents.data().to_vec();
        let mut goal = (whole - limit.bytes) as f64;
        let mut kept = all;
        for round in 0..=TRIES {
            if round == TRIES {
                goal = f64::INFINITY;
            }
            let mut saved = 0.0;
            let enough = |(_, bytes): &&(Item, f64)| {
                let before = saved;
                saved += bytes;
                before < goal
            };
            let gone: BTreeSet<Item> = items.iter().take_while(enough).map(|(item, _)| *item).collect();
            let encoder = &mut self.run.encoder;
            (encoder.lexicon, encoder.scorer) = (lexicon.clone(), scorer.clone());
            kept = leave_out(encoder, &gone, &latents, &fallback);
            let now = self.measured(config, packing, &kept)?;
            if now <= limit.bytes || gone.len() == items.len() {
                break;
            }
            goal += 1.05 * (now - limit.bytes) as f64;
        }
        Ok(kept)
    }

    /// Bytes of the folder that would be written.
    fn measured(&mut self, config: &Config, packing: Packing, kept: &Kept) -> Result<u64> {
        let folder =
            tempfile::tempdir().map_err(|e| Error::run("a temporary folder cannot be made").because(e))?;
        let mut model = for_use(&mut self.run, config, kept);
        let place = ReservedFolder::new(&folder.path().join("model"))?;
        // Its lock is no part of it.
        let path = place.fill(|to| self.write(to, config, packing, &mut model))?.path.clone();
        bytes_of(&path)
    }

    /// All that can be left out and its bytes; one latent vector stays.
    fn all_items(&self, packing: Packing) -> Vec<(Item, f64)> {
        let items = shares(&self.run.encoder.lexicon).into_keys().filter(|item| *item != Item::Latent(0));
        items.map(|item| (item, self.item_bytes(packing, &item))).collect()
    }

    /// What can be left out and its bytes, what is worth least for its bytes first. The latent vector that is worth most stays.
    fn ordered(&mut self, packing: Packing, limit: Limit) -> Vec<(Item, f64)> {
        let SmalrPacker { run, whole, worth: known } = self;
        let values = known.entry(packing.ngrams).or_insert_with(|| worth(run, whole, limit.corpus)).clone();
        let with_bytes = |Valued { item, worth }| (worth, item, self.item_bytes(packing, &item));
        let mut all: Vec<(f64, Item, f64)> = values.into_iter().map(with_bytes).collect();
        all.sort_by(|a, b| (a.0 / a.2).total_cmp(&(b.0 / b.2)).then(a.1.cmp(&b.1)));
        if let Some(last) = all.iter().rposition(|(_, item, _)| matches!(item, Item::Latent(_))) {
            all.remove(last);
        }
        all.into_iter().map(|(_, item, bytes)| (item, bytes)).collect()
    }

    /// Bytes that a packed run has less without an item.
    fn item_bytes(&self, packing: Packing, item: &Item) -> f64 {
        let (model, encoder) = (&self.run.model.embedding, &self.run.encoder);
        let format = packing.formats()[1];
        match *item {
            Item::Own { language, .. } => {
                row_bytes(format, model.own.get(language).map_or(0, |own| own.words.width))
            }
            Item::Latent(_) => {
                let keys = encoder.scorer.keys.len() / encoder.lexicon.latents.max(1);
                row_bytes(format, model.latents.width) + row_bytes(format, keys)
            }
            Item::Word { language, id } => entry_bytes(&encoder.lexicon, language, id),
        }
    }
}

/// Bytes of a row of a table.
fn row_bytes(format: Format, columns: usize) -> f64 {
    let format = format.of_matrix(1 << 20, columns);
    (format.code_bytes(columns) + format.scale_bytes(columns)) as f64
}

/// Bytes of a word, its count and its slot, as they are written.
fn entry_bytes(lexicon: &Lexicon, language: usize, id: u32) -> f64 {
    let vocabulary = &lexicon.vocabularies[language];
    let slot = match lexicon.slots[language][id as usize] {
        Slot::Latent(t) => t.to_string().len(),
        Slot::Own(_) | Slot::Other { .. } => 2,
    };
    (vocabulary.word(id).len() + vocabulary.count(id).to_string().len() + 2 + slot + 1) as f64
}
