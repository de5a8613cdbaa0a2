//! Encoding with CLIP ViT-B/32's text tower and a step of native language transfer, to be measured beside transformers.
//!
//!     python benches/mla_peer.py --write DIR       random checkpoints of the real sizes, tokenizers, sentences
//!     cargo bench --bench mla -- DIR [--threads 2] [--steps 10] [--bf16 | --tf32] [--recompute]
//!     python benches/mla_peer.py DIR [--threads 2] [--steps 10]
//!
//! Prints one JSON line, as the peer does: seconds for 10,000 captions, the first losses, median milliseconds of a step.

use std::path::Path;
use std::time::Instant;

use tinyglot::config::{AcquirerShape, Objective, Optimizer, Precision, TrainConfig};
use tinyglot::family::mla::acquirer::Form;
use tinyglot::family::mla::data::{Draw, Pairs, StageData};
use tinyglot::family::mla::objective::{Aim, Task, gradients};
use tinyglot::family::mla::{Acquirer, Encoder, InputEmbedding, Mla, Way};
use tinyglot::init::Init;
use tinyglot::ops::rows::Table;
use tinyglot::ops::sequences::Sequences;
use tinyglot::ops::transformer::Pass;
use tinyglot::optim::{Adam, ParameterTree};
use tinyglot::tower::{Tower, TowerTokenizer, token_embedding};

const BATCH: usize = 128;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("a file that --write made").lines().map(String::from).collect()
}

fn model(folder: &Path) -> Mla {
    let clip = folder.join("clip");
    let tower = Tower::open(&clip).expect("a tower");
    let tokenizer = TowerTokenizer::open(&clip.join("tokenizer.json"), &tower.config).expect("a tokenizer");
    let (sizes, table) = token_embedding(&folder.join("mbert")).expect("an embedding");
    let words = TowerTokenizer::open(&folder.join("mbert/tokenizer.json"), &sizes).expect("a tokenizer");
    let mut init = Init::new(1);
    let table = Table::new(sizes.width, table);
    let words = words.with_context(tower.config.context);
    let entrance = InputEmbedding::new(words, table, tower.config.width, &mut init);
    let size = (tower.config.width, tower.config.layers);
    let form = Form { shape: AcquirerShape::Mlp, hidden: 256, start: Default::default() };
    let acquirers = vec![Acquirer::new("de", &form, size, &mut init)];
    let encoder = Encoder::Tower(Box::new(entrance));
    Mla { tower, tokenizer, own: "en".into(), encoder, acquirers, scale: None }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let flag = |name: &str| args.iter().any(|a| a == name);
    let value = |name: &str, default: usize| {
        let at = args.iter().position(|a| a == name);
        at.map_or(default, |at| args[at + 1].parse().expect("a number"))
    };
    let Some(folder) = args.first().filter(|a| !a.starts_with("--")).map(Path::new) else {
        println!("usage: cargo bench --bench mla -- DIR (python benches/mla_peer.py --write DIR makes it)");
        return;
    };
    let threads = value("--threads", 2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("threads");
    let precision = match (flag("--bf16"), flag("--tf32")) {
        (true, _) => Precision::Bf16,
        (_, true) => Precision::Tf32,
        _ => Precision::F32,
    };
    let pass = Pass { precision, recompute: flag("--recompute") };
    let mut mla = model(folder);

    let english = lines(&folder.join("english.txt"));
    let english: Vec<&str> = english.iter().map(String::as_str).collect();
    // Once for the packed weights and the buffers.
    mla.encode(Way::Tower, &mla.tokens(Way::Tower, &english[..512]).ids, pass);
    let start = Instant::now();
    let teacher = mla.encode(Way::Tower, &mla.tokens(Way::Tower, &english).ids, pass);
    let encode = start.elapsed().as_secs_f64();

    let german = lines(&folder.join("german.txt"));
    let german: Vec<&str> = german.iter().map(String::as_str).collect();
    let pairs = Pairs::new(mla.tokens(Way::Acquired(0), &german).ids, (0..german.len() as u32).collect());
    let stage = StageData { languages: vec![pairs], vectors: teacher.clone(), truncated: 0 };
    let optimiser = TrainConfig { learning_rate: 2e-4, optimizer: Optimizer::Adam, ..TrainConfig::default() };
    let steps = value("--steps", 10);
    let mut adam = Adam::new(&optimiser, 1000);
    let aim = Aim {
        objective: Objective::Mse,
        unit: false,
        temperature: 1.0,
        scaled: false,
        weight: 1.0,
        micro_batch: 0,
        dropout: 0.0,
        pass,
    };
    let (mut times, mut losses, mut tokens) = (Vec::new(), Vec::new(), 0);
    for step in 0..steps + 2 {
        let first = (step * BATCH) as u32 % (german.len() - BATCH) as u32;
        let draw = Draw { language: 0, sentences: (first..first + BATCH as u32).collect() };
        let start = Instant::now();
        let mut batch = Sequences::new();
        draw.sentences
            .iter()
            .for_each(|&s| batch.push(stage.languages[0].sentences.get(s as usize).iter().copied()));
        mla.catch_up(&mut adam, &batch);
        let (terms, mut grads) =
            gradients(&mut mla, &[Task { name: "nlt", data: &stage, draw, aim, seed: 0 }]);
        adam.update(&mut grads, &mut |f| mla.visit(f));
        losses.push(terms.read().0);
        if step >= 2 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
            tokens += batch.rows.len();
        }
    }
    times.sort_by(f64::total_cmp);
    let checksum: f64 = teacher.iter().map(|&x| x as f64 * x as f64).sum::<f64>() / english.len() as f64;
    println!(
        "{{\"encode_s\": {encode:.3}, \"captions\": {}, \"mean_square\": {checksum:.6}, \"losses\": {:?}, \"step_ms\": {:.1}, \"tokens_per_step\": {}}}",
        english.len(),
        &losses[..3.min(losses.len())],
        times[times.len() / 2],
        tokens / steps.max(1)
    );
}
