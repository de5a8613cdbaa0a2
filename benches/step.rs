//! The standard training step, to be measured beside its PyTorch twin with the same inputs and initial weights.
//!
//!     cargo bench --bench step -- DATA.safetensors [--threads 2] [--steps 40] [--warm-up 3] [--bf16 | --tf32] [--phases]
//!
//! Prints one JSON line: the first losses and the median milliseconds per step, like the twin; and how fast the step's
//! matrix products would have to be if there were nothing else, beside one large product alone. With `--features cuda` on the
//! GPU, whose memory it tells, too; there `--phases` waits for the GPU between the parts of a step, which costs time. On the emulated
//! GPU (tests/cuda) it tells what the last step asked the GPU for.

#[cfg(feature = "cuda")]
#[path = "../tests/shared/counts.rs"]
mod counts;

use std::sync::Arc;
use std::time::Instant;

use dfdx::prelude::*;
use safetensors::SafeTensors;
use tinyglot::config::{Distance, Pooling, Precision, Schedule, TrainConfig, TripletConfig};
use tinyglot::device::{Dev, Matrix, Vector, on_gpu};
use tinyglot::family::smalr::batch::Batch;
use tinyglot::family::smalr::embedding::Slot;
use tinyglot::family::smalr::embedding::lexicon::Collector;
use tinyglot::loss::{Contrast, combined, contrast, grouped_contrast};
use tinyglot::ops::leaf::Rate;
use tinyglot::ops::linear::{LinearWeights, linear, linear_of_data, similarity, similarity_with, unit_rows};
use tinyglot::ops::packs::Packs;
use tinyglot::ops::recurrent::prefixes::Prefixes;
use tinyglot::ops::recurrent::{Reading, RecurrentWeights, gru};
use tinyglot::ops::rows::{Table, lookup, select, stack};
use tinyglot::ops::scratch;
use tinyglot::ops::tape::{Grads, matrix, vector};
use tinyglot::ops::transformer::{Activation, activate};
use tinyglot::optim::{Adam, Parameter, visit_linear, visit_recurrent};

type Taped = OwnedTape<f32, Dev>;
const WORDS: usize = 10_000;
const LATENTS: usize = 40_000;

/// The batch as a step finds it that has not seen it before.
fn fresh(batch: &Batch) -> Batch {
    Batch {
        tokens: batch.tokens.clone(),
        sentences: Arc::new(batch.sentences.first(batch.sentences.len())),
        images: batch.images.clone(),
        image_of: batch.image_of.clone(),
        groups: batch.groups.clone(),
        thinned: None,
        deleted: None,
        replaced: None,
        paired: Default::default(),
        taught: Vec::new(),
    }
}

/// What comes before a step; a training does it while the GPU is busy with the step before.
fn ahead(batch: &Batch, model: &mut Model, adam: &mut Adam) -> Batch {
    let batch = fresh(batch);
    #[cfg(feature = "cuda")]
    batch.send_ahead(&(0..batch.images.shape().0 as u32).collect::<Vec<_>>());
    adam.catch_up("latent", &mut model.latent, &batch.tokens.latents);
    batch
}

struct Model {
    latent: Table,
    words: Vec<Table>,
    word: LinearWeights,
    gru: RecurrentWeights,
    sentence: LinearWeights,
    image1: LinearWeights,
    image2: LinearWeights,
}

impl Model {
    fn visit(&mut self, f: &mut dyn FnMut(&str, Parameter)) {
        f("latent", Parameter::table(&mut self.latent));
        for (name, l) in [
            ("word", &mut self.word),
            ("sentence", &mut self.sentence),
            ("image1", &mut self.image1),
            ("image2", &mut self.image2),
        ] {
            visit_linear(name, l, f);
        }
        visit_recurrent("gru", &mut self.gru, f);
    }
}

fn floats(data: &SafeTensors, name: &str) -> Vec<f32> {
    let t = data.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    t.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

fn ints(data: &SafeTensors, name: &str) -> (Vec<i32>, Vec<usize>) {
    let t = data.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let values = t.data().chunks(4).map(|b| i32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
    (values, t.shape().to_vec())
}

fn load_matrix(data: &SafeTensors, name: &str) -> Matrix {
    let shape = data.tensor(name).expect("a tensor").shape().to_vec();
    matrix(floats(data, name), shape[0], shape[1])
}

fn load_vector(data: &SafeTensors, name: &str) -> Vector {
    vector(floats(data, name))
}

fn load_linear(data: &SafeTensors, name: &str) -> LinearWeights {
    LinearWeights::new(
        load_matrix(data, &format!("{name}.weight")),
        load_vector(data, &format!("{name}.bias")),
    )
}

fn batches(data: &SafeTensors) -> Vec<Batch> {
    let (tokens, shape) = ints(data, "tokens");
    let (lengths, _) = ints(data, "lengths");
    let (image_of, _) = ints(data, "image_of");
    let (language, _) = ints(data, "language");
    let images = floats(data, "images");
    let images_shape = data.tensor("images").expect("images").shape().to_vec();
    let (n, sentences, longest) = (shape[0], shape[1], shape[2]);
    let languages = *language.iter().max().expect("sentences") as usize + 1;
    let mut collector = Collector::with_sizes(LATENTS, &vec![WORDS; languages]);
    (0..n)
        .map(|b| {
            let at = b * sentences;
            let slots: Vec<(usize, Vec<Slot>)> = (at..at + sentences)
                .map(|s| {
                    let l = language[s] as usize;
                    let row = &tokens[s * longest..][..lengths[s] as usize];
                    let slot = |&t: &i32| match t {
                        0.. => Slot::Latent(t as u32),
                        _ => Slot::Own((-t - 1) as u32 - (l * WORDS) as u32),
                    };
                    (l, row.iter().map(slot).collect())
                })
                .collect();
            let (tokens, sequences) = collector.collect(slots.iter().map(|(l, s)| (*l, &s[..])), false);
            let per = images_shape[1] * images_shape[2];
            let groups = (0..languages).map(|l| {
                let mine: Vec<usize> = (0..sentences).filter(|s| language[at + s] as usize == l).collect();
                mine[0]..mine[mine.len() - 1] + 1
            });
            Batch {
                tokens,
                sentences: Arc::new(sequences),
                images: matrix(images[b * per..(b + 1) * per].to_vec(), images_shape[1], images_shape[2]),
                image_of: image_of[at..at + sentences].iter().map(|&i| i as u32).collect(),
                groups: groups.collect(),
                thinned: None,
                deleted: None,
                replaced: None,
                paired: Default::default(),
                taught: Vec::new(),
            }
        })
        .collect()
}

fn loss(model: &Model, batch: &Batch, precision: Precision, config: &TripletConfig) -> Scalar {
    let mut parts = vec![lookup::<Taped>(&model.latent, &batch.tokens.latents)];
    for (words, rows) in model.words.iter().zip(&batch.tokens.own) {
        parts.push(linear_of_data(lookup(words, rows), &model.word, precision));
    }
    let states =
        gru(stack(parts), &model.gru, &batch.sentences, Reading { pooling: Pooling::Last, precision });
    let (text, text_tape) = unit_rows(linear(states, &model.sentence, precision)).split_tape();
    let hidden = linear_of_data::<Taped>(batch.images.clone(), &model.image1, precision);
    let hidden = activate(hidden, Activation::Relu);
    let (image, image_tape) = unit_rows(linear(hidden, &model.image2, precision)).split_tape();
    let rows: Vec<u32> = (0..image.shape().0 as u32).collect();
    let mut tape = text_tape.merge(image_tape);
    let mut parts = Vec::new();
    let languages: &[std::ops::Range<usize>] = if on_gpu() { &[] } else { &batch.groups };
    if on_gpu() {
        // All languages at once, as a training does; the sum is so many times their mean.
        let (all, count) = (batch.image_of.len(), batch.groups.len() as f32);
        let s = similarity_with(image.leaky_trace(), text.leaky_trace(), 0..all);
        let by = Contrast::Triplet(config);
        parts.push((grouped_contrast(s, &rows, &batch.image_of, &batch.groups, by), count));
    }
    for group in languages {
        let some = select(text.leaky_trace(), &group.clone().map(|r| r as u32).collect::<Vec<_>>());
        let columns = &batch.image_of[group.clone()];
        let s = similarity(image.leaky_trace(), some);
        parts.push((contrast(s, &rows, columns, Contrast::Triplet(config)), 1.0));
    }
    let (sum, last) = combined(parts, 1.0).split_tape();
    tape = last.merge(tape);
    sum.put_tape(tape)
}

type Scalar = Tensor<(), f32, Dev, Taped>;

/// Operations of the products of one step, in GFLOP: forward, and backward for weights and, where something trains them,
/// inputs. Every distinct token is projected once, and so is the state after every distinct beginning of sentences.
fn gflop(model: &Model, batch: &Batch) -> f64 {
    let size = |m: &Matrix| (m.shape().0 * m.shape().1) as f64;
    let (distinct, images) = (batch.tokens.len() as f64, batch.images.shape().0 as f64);
    let sentences = batch.sentences.len() as f64;
    // All but the empty beginning, whose state is zero.
    let beginnings = Prefixes::deal(&batch.sentences, 1)[0].inner_count() as f64 - 1.0;
    let own = batch.tokens.own.iter().map(Vec::len).sum::<usize>() as f64;
    let all = distinct * size(&model.gru.weight_ih)
        + beginnings * size(&model.gru.weight_hh)
        + sentences * size(&model.sentence.weight)
        + images * size(&model.image2.weight);
    let without_inputs = own * size(&model.word.weight) + images * size(&model.image1.weight);
    (6.0 * all + 4.0 * without_inputs) / 1e9
}

/// GFLOP/s of a large product on the device, the best of several.
fn product_rate(precision: Precision) -> f64 {
    // An emulated GPU has no rate of its own.
    let (m, k, n) = match cfg!(feature = "cuda") {
        true if tinyglot::device::name().starts_with("emulated") => (64, 64, 64),
        true => (8192, 8192, 8192),
        false => (3072, 512, 1536),
    };
    let x = matrix(vec![0.5; m * k], m, k);
    let layer = LinearWeights::new(matrix(vec![0.5; n * k], n, k), vector(vec![0.0; n]));
    let once = |_| {
        let start = Instant::now();
        let product = linear(x.clone(), &layer, precision);
        wait();
        drop(product);
        start.elapsed().as_secs_f64()
    };
    (2 * m * k * n) as f64 / 1e9 / (0..30).map(once).fold(f64::INFINITY, f64::min)
}

/// Waits for the device.
fn wait() {
    #[cfg(feature = "cuda")]
    tinyglot::device::cuda::synchronise();
}

/// MiB of the device's memory that this process has taken; none on a CPU.
fn device_memory() -> Option<usize> {
    #[cfg(feature = "cuda")]
    return Some(tinyglot::device::cuda::memory()).map(|(free, all)| (all - free) >> 20);
    #[cfg(not(feature = "cuda"))]
    None
}

fn main() {
    scratch::keep_freed_memory();
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(path) = args.first().filter(|a| !a.starts_with("--")) else {
        println!("skipped: give the file of inputs and initial weights");
        return;
    };
    let value = |name: &str, default: usize| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args[i + 1].parse().ok()).unwrap_or(default)
    };
    let (threads, steps, warm_up) = (value("--threads", 2), value("--steps", 40), value("--warm-up", 3));
    let flag = |name: &str| args.iter().any(|a| a == name);
    let precision = match (flag("--bf16"), flag("--tf32")) {
        (true, _) => Precision::Bf16,
        (_, true) => Precision::Tf32,
        _ => Precision::F32,
    };
    let phases = flag("--phases");
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first thread pool");
    rayon::scope(|_| run(path, [steps, warm_up], threads, precision, phases));
}

/// On a thread of the pool, as the command runs: work from outside would be handed over and waited for, call by call.
fn run(path: &str, [steps, warm_up]: [usize; 2], threads: usize, precision: Precision, phases: bool) {
    let bytes = std::fs::read(path).expect("the input file");
    let data = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let batches = batches(&data);
    let vectors = floats(&data, "word_vectors");
    let mut model = Model {
        latent: Table::new(512, floats(&data, "latent")),
        words: vectors.chunks(WORDS * 50).map(|v| Table::new(50, v.to_vec())).collect(),
        word: load_linear(&data, "word"),
        gru: RecurrentWeights {
            weight_ih: load_matrix(&data, "gru.weight_ih"),
            weight_hh: load_matrix(&data, "gru.weight_hh"),
            bias_ih: load_vector(&data, "gru.bias_ih"),
            bias_hh: load_vector(&data, "gru.bias_hh"),
            rate: Rate::TRAINED,
            packs_ih: Packs::default(),
            packs_hh: Packs::default(),
        },
        sentence: load_linear(&data, "sentence"),
        image1: load_linear(&data, "image1"),
        image2: load_linear(&data, "image2"),
    };
    let optimiser = TrainConfig { learning_rate: 1e-3, schedule: Schedule::Constant, ..Default::default() };
    let mut adam = Adam::new(&optimiser, steps + warm_up);
    let triplet = TripletConfig {
        margin: 0.05,
        top_n: 10,
        sentence_anchor: 1.0,
        distance: Distance::Cosine,
        ..Default::default()
    };
    let (mut losses, mut times, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = None;
    #[cfg_attr(not(feature = "cuda"), allow(unused_mut))]
    let mut counted: Option<String> = None;
    for step in 0..steps + warm_up {
        #[cfg(feature = "cuda")]
        let before = counts::Counts::now();
        let batch = &batches[step % batches.len()];
        let start = Instant::now();
        let batch = &next.take().unwrap_or_else(|| ahead(batch, &mut model, &mut adam));
        let (value, tape) = loss(&model, batch, precision, &triplet).split_tape();
        let passed = || {
            if phases {
                wait();
            }
            start.elapsed().as_secs_f64() * 1e3
        };
        let forward = passed();
        let mut grads: Grads = value.clone().put_tape(tape).backward();
        let backward = passed();
        adam.update(&mut grads, &mut |f| model.visit(f));
        drop(grads);
        if on_gpu() {
            next = Some(ahead(&batches[(step + 1) % batches.len()], &mut model, &mut adam));
        }
        // Read at the end of the step, as a training does: this waits for the GPU.
        losses.push(value.array());
        let all = start.elapsed().as_secs_f64() * 1e3;
        times.push(all);
        parts.push([forward, backward - forward, all - backward]);
        #[cfg(feature = "cuda")]
        if let (Some(before), Some(now)) = (before, counts::Counts::now()) {
            counted = Some(now.since(before).to_string());
        }
    }
    let median = |mut x: Vec<f64>| {
        x.sort_by(f64::total_cmp);
        x[x.len() / 2]
    };
    let phase = |i: usize| (median(parts[warm_up..].iter().map(|p| p[i]).collect()) * 100.0).round() / 100.0;
    let rounded: Vec<f64> = losses.iter().take(6).map(|l| (*l as f64 * 1e6).round() / 1e6).collect();
    let middle = median(times[warm_up..].to_vec());
    let work = median(batches.iter().map(|b| gflop(&model, b)).collect());
    println!(
        "{}",
        serde_json::json!({"losses": rounded, "median_ms": (middle * 100.0).round() / 100.0,
            "gflop": (work * 10.0).round() / 10.0, "gflop_per_s": (work / middle * 1e3).round(),
            "product_gflop_per_s": product_rate(precision).round(),
            "forward_ms": phase(0), "backward_ms": phase(1), "optimiser_ms": phase(2), "threads": threads,
            "precision": format!("{precision:?}"), "kernel": tinyglot::ops::matmul::kernel().name,
            "device": tinyglot::device::name(), "device_memory_mib": device_memory(), "asked_for": counted})
    );
}
