//! Configurations of contrastive training on the corpus of `acquisition`.

use std::fs;
use std::path::{Path, PathBuf};

/// Writes a configuration of all contrasts on captions and pairs that `acquisition::write` wrote before; returns its path.
pub fn write_contrastive(folder: &Path) -> PathBuf {
    let config = folder.join("contrastive.toml");
    let text = "seed = 3
[data]
root = 'data'
languages = ['de', 'en', 'fr']
[[data.captions]]
languages = ['en', 'de', 'fr']
files = ['{split}.{language}']
[[data.pairs]]
languages = ['en', 'de', 'fr']
files = ['train.{language}']
[contrastive]
context = 12
shared_head = false
frozen_epochs = 0.5
encoder_rate = 0.5
micro_batch = 25
fresh = { layers = 2, width = 16, heads = 2, hidden = 32, vocabulary = 320 }
image_text = { temperature = 0.1, learn_temperature = true }
text_text = { weight = 0.5, temperature = 0.1, margin = 0.1, rate = 0.5 }
triple.weight = 0.5
[text]
joint = 12
dropout = 0.05
word_dropout = 0.05
[image]
hidden = 32
dropout = 0.1
input = 'standard'
[train]
epochs = 30
images = 12
pairs.lines = 8
learning_rate = 1e-2
schedule = 'linear'
warmup = 10
clip = 1.0
checkpoint_every = 4
";
    fs::write(&config, text).expect("written");
    config
}
