//! A model of words as ONNX: one graph for sentences, of the places of their words in a table; one for pictures, of their features.

use dfdx::prelude::{HasShape, NoneTape};

use super::embedding::Slot;
use super::embedding::lexicon::Collector;
use super::run::SmalrRun;
use crate::config::{ImageInput, Pooling, Precision};
use crate::device::Vector;
use crate::family::Onnx;
use crate::image::ImageBranch;
use crate::onnx::{Attribute, Axis, Elements, Graph};
use crate::ops::batch_norm::EPSILON;
use crate::ops::linear::LinearWeights;
use crate::ops::recurrent::RecurrentWeights;
use crate::ops::tape::{data, data1};
use crate::{Error, Result};

/// The shortest length that a vector is divided by, as [`crate::ops::linear::unit_rows`] has it.
const SHORTEST: f32 = 1e-12;
/// Less than every state.
const LEAST: f32 = -3.0e38;
const BIG: &str = "the model is larger than 2 GiB, which ONNX does not hold";

/// The graphs of a run, and the words that its table has.
///
/// # Errors
/// Usage: a model whose words are made of characters, or that has languages with layers of their own; data: one that ONNX does not hold.
pub(super) fn onnx(run: &SmalrRun) -> Result<Onnx> {
    let fault = |what: &str| Error::usage(what).at(&run.folder.path).hint("export a run without them");
    if run.encoder.lexicon.spellings.is_some() {
        return Err(fault("words that are made of characters have no table to export"));
    }
    if run.model.text.adapters.iter().any(Option::is_some) {
        return Err(fault("languages that were added with layers of their own are not exported"));
    }
    let words = words(run);
    let big = || Error::data(BIG).at(&run.folder.path);
    let text = text(run, &words).ok_or_else(big)?;
    let pictures = pictures(&run.model.image, run.info.features, run.config.text().joint).ok_or_else(big)?;
    Ok(Onnx { text, pictures, words: words.words })
}

/// The words of all languages, and their vectors in the space of all of them.
pub(super) struct Words {
    /// Code of the language, and word.
    pub words: Vec<(String, String)>,
    /// Of each, its row in the table: words may share one.
    pub indices: Vec<i64>,
    /// (rows, width)
    pub table: Vec<f32>,
    pub width: usize,
}

/// All words that a run knows.
pub(super) fn words(run: &SmalrRun) -> Words {
    let lexicon = &run.encoder.lexicon;
    let mut words = Vec::new();
    let mut slots: Vec<(usize, Slot)> = Vec::new();
    for (language, vocabulary) in lexicon.vocabularies.iter().enumerate() {
        for (word, _) in vocabulary.iter() {
            words.push((lexicon.languages[language].clone(), word.to_string()));
            slots.push((language, lexicon.slot(language, word).expect("a word of the vocabulary")));
        }
        for word in lexicon.translations.iter().flat_map(|all| all.words[language].keys()) {
            words.push((lexicon.languages[language].clone(), word.clone()));
            slots.push((language, lexicon.slot(language, word).expect("a word with a translation")));
        }
    }
    let sentences = slots.iter().map(|(language, slot)| (*language, std::slice::from_ref(slot)));
    let (rows, sequences) = Collector::new(lexicon).collect(sentences, false);
    let tokens = run.model.embedding.forward::<NoneTape>(&rows, Precision::F32);
    let indices = (0..sequences.len()).map(|s| sequences.get(s)[0].into()).collect();
    Words { words, indices, table: data(&tokens).to_vec(), width: run.config.embedding().width }
}

/// `words` (batch, length) and `lengths` (batch) → `vectors` (batch, joint).
fn text(run: &SmalrRun, known: &Words) -> Option<Vec<u8>> {
    let (encoder, config) = (&run.model.text, run.config.text());
    let mut graph = Graph::new("sentences");
    let g = &mut graph;
    let words = g.input("words", Elements::Int64, &[Axis::Named("batch"), Axis::Named("length")]);
    let lengths = g.input("lengths", Elements::Int64, &[Axis::Named("batch")]);
    let indices = g.ints(&known.indices, &[known.indices.len()]);
    let table = g.floats(&known.table, &[known.table.len() / known.width, known.width]);
    let rows = g.node("Gather", &[&indices, &words], &[]);
    let tokens = g.node("Gather", &[&table, &rows], &[]); // (batch, length, width)
    let mask = mask(g, &words, &lengths); // (batch, length, 1)
    let mut pooled = match &encoder.gru {
        Some(forward) => {
            let states = states(g, &tokens, &lengths, forward, encoder.backward.as_ref());
            match config.pooling {
                Pooling::Last => last(g, &states, &lengths),
                Pooling::Mean => mean(g, &states, &mask, &lengths),
                Pooling::Max => largest(g, &states, &mask, &lengths),
            }
        }
        None => mean(g, &tokens, &mask, &lengths),
    };
    if config.bag {
        let bag = mean(g, &tokens, &mask, &lengths);
        let bag = unit(g, &bag);
        pooled = g.node("Concat", &[&pooled, &bag], &[("axis", Attribute::Int(1))]);
    }
    if let Some(output) = &encoder.output {
        pooled = linear(g, &pooled, output);
    }
    let vectors = unit(g, &pooled);
    let axes = [Axis::Named("batch"), Axis::Fixed(config.joint)];
    graph.finish(&vectors, "vectors", &axes, &[("words", "places of words in words.tsv")])
}

/// `features` (batch, width) → `vectors` (batch, joint).
fn pictures(branch: &ImageBranch, width: usize, joint: usize) -> Option<Vec<u8>> {
    let mut graph = Graph::new("pictures");
    let g = &mut graph;
    let x = g.input("features", Elements::Float, &[Axis::Named("batch"), Axis::Fixed(width)]);
    let axes = [Axis::Named("batch"), Axis::Fixed(joint)];
    let Some(layers) = &branch.layers else {
        // The features are vectors of the joint space.
        let vectors = unit(g, &x);
        return graph.finish(&vectors, "vectors", &axes, &[]);
    };
    let x = match branch.input_kind() {
        ImageInput::Raw => x,
        ImageInput::Unit => unit(g, &x),
        ImageInput::Root => {
            let (sign, size) = (g.node("Sign", &[&x], &[]), g.node("Abs", &[&x], &[]));
            let root = g.node("Sqrt", &[&size], &[]);
            let x = g.node("Mul", &[&sign, &root], &[]);
            unit(g, &x)
        }
        ImageInput::Standard => {
            let (centre, inverse) = (column(g, &layers.centre), column(g, &layers.inverse));
            let x = g.node("Sub", &[&x, &centre], &[]);
            g.node("Mul", &[&x, &inverse], &[])
        }
    };
    let h = linear(g, &x, &layers.hidden);
    // Batch normalisation with its running statistics, as a factor and a shift of each column.
    let norm = &layers.norm;
    let [scale, shift, mean, variance] = [&norm.scale, &norm.shift, &norm.mean, &norm.variance].map(data1);
    let factors: Vec<f32> = scale.iter().zip(&*variance).map(|(s, v)| s / (v + EPSILON).sqrt()).collect();
    let shifts: Vec<f32> =
        shift.iter().zip(&*mean).zip(&factors).map(|((shift, mean), factor)| shift - mean * factor).collect();
    let (factors, shifts) = (g.floats(&factors, &[factors.len()]), g.floats(&shifts, &[shifts.len()]));
    let h = g.node("Mul", &[&h, &factors], &[]);
    let h = g.node("Add", &[&h, &shifts], &[]);
    let h = g.node("Relu", &[&h], &[]);
    let out = linear(g, &h, &layers.output);
    let vectors = unit(g, &out);
    graph.finish(&vectors, "vectors", &axes, &[])
}

fn column(g: &mut Graph, x: &Vector) -> String {
    let x = data1(x);
    g.floats(&x, &[x.len()])
}

/// x (batch, inputs) → (batch, outputs)
fn linear(g: &mut Graph, x: &str, layer: &LinearWeights) -> String {
    let (outputs, inputs) = *layer.weight.shape();
    let weight = g.floats(&data(&layer.weight), &[outputs, inputs]);
    let bias = column(g, &layer.bias);
    g.node("Gemm", &[x, &weight, &bias], &[("transB", Attribute::Int(1))])
}

/// x (batch, width), each row at unit length.
fn unit(g: &mut Graph, x: &str) -> String {
    let length =
        g.node("ReduceL2", &[x], &[("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(1))]);
    let shortest = g.floats(&[SHORTEST], &[1]);
    let length = g.node("Max", &[&length, &shortest], &[]);
    g.node("Div", &[x, &length], &[])
}

/// 1 where a sentence has a word, else 0: (batch, length, 1).
fn mask(g: &mut Graph, words: &str, lengths: &str) -> String {
    let shape = g.node("Shape", &[words], &[("start", Attribute::Int(1)), ("end", Attribute::Int(2))]);
    let (zero, one) = (g.ints(&[0], &[]), g.ints(&[1], &[]));
    let axis = g.ints(&[0], &[1]);
    let length = g.node("Squeeze", &[&shape, &axis], &[]);
    let places = g.node("Range", &[&zero, &length, &one], &[]);
    let behind = g.ints(&[1], &[1]);
    let lengths = g.node("Unsqueeze", &[lengths, &behind], &[]);
    let within = g.node("Less", &[&places, &lengths], &[]); // (batch, length)
    let within = g.node("Cast", &[&within], &[("to", Attribute::Int(1))]);
    let last = g.ints(&[2], &[1]);
    g.node("Unsqueeze", &[&within, &last], &[])
}

/// tokens (batch, length, width) → states (batch, length, hidden), the mean of both directions where there are two.
fn states(
    g: &mut Graph,
    tokens: &str,
    lengths: &str,
    forward: &RecurrentWeights,
    backward: Option<&RecurrentWeights>,
) -> String {
    let directions: Vec<&RecurrentWeights> = std::iter::once(forward).chain(backward).collect();
    let (count, hidden) = (directions.len(), forward.weight_hh.shape().1);
    let width = forward.weight_ih.shape().1;
    let all = |part: &dyn Fn(&RecurrentWeights) -> Vec<f32>| -> Vec<f32> {
        directions.iter().flat_map(|weights| part(weights)).collect()
    };
    let input = all(&|w| updates_first(&data(&w.weight_ih), hidden * width));
    let state = all(&|w| updates_first(&data(&w.weight_hh), hidden * hidden));
    let biases = all(&|w| {
        [updates_first(&data1(&w.bias_ih), hidden), updates_first(&data1(&w.bias_hh), hidden)].concat()
    });
    let input = g.floats(&input, &[count, 3 * hidden, width]);
    let state = g.floats(&state, &[count, 3 * hidden, hidden]);
    let biases = g.floats(&biases, &[count, 6 * hidden]);
    // A sentence without a word reads one, whose state counts for nothing.
    let one = g.ints(&[1], &[1]);
    let lengths = g.node("Max", &[lengths, &one], &[]);
    let lengths = g.node("Cast", &[&lengths], &[("to", Attribute::Int(6))]);
    let turned = [1, 0, 2];
    let by_time = g.node("Transpose", &[tokens], &[("perm", Attribute::Ints(&turned))]);
    let direction = if count == 2 { "bidirectional" } else { "forward" };
    let attributes = [
        ("hidden_size", Attribute::Int(hidden as i64)),
        ("direction", Attribute::Text(direction)),
        // The reset gate is applied after the recurrent product.
        ("linear_before_reset", Attribute::Int(1)),
    ];
    // (length, directions, batch, hidden)
    let states = g.node("GRU", &[&by_time, &input, &state, &biases, &lengths], &attributes);
    let mean = [("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(0))];
    let states = g.node("ReduceMean", &[&states], &mean);
    g.node("Transpose", &[&states], &[("perm", Attribute::Ints(&turned))])
}

/// Gates in ONNX's order, z, r, n, from r, z, n; `size` numbers each.
fn updates_first(gates: &[f32], size: usize) -> Vec<f32> {
    [&gates[size..2 * size], &gates[..size], &gates[2 * size..]].concat()
}

/// 1 for a sentence with a word, else 0: (batch, 1).
fn has_words(g: &mut Graph, lengths: &str) -> String {
    let one = g.ints(&[1], &[1]);
    let some = g.node("Min", &[lengths, &one], &[]);
    let some = g.node("Cast", &[&some], &[("to", Attribute::Int(1))]);
    g.node("Unsqueeze", &[&some, &one], &[])
}

/// The states at the last words: (batch, hidden); zero without a word.
fn last(g: &mut Graph, states: &str, lengths: &str) -> String {
    let (zero, one) = (g.ints(&[0], &[1]), g.ints(&[1], &[1]));
    let place = g.node("Sub", &[lengths, &one], &[]);
    let place = g.node("Max", &[&place, &zero], &[]);
    let place = g.node("Unsqueeze", &[&place, &one], &[]); // (batch, 1)
    let state = g.node("GatherND", &[states, &place], &[("batch_dims", Attribute::Int(1))]);
    let some = has_words(g, lengths);
    g.node("Mul", &[&state, &some], &[])
}

/// The mean over the words: (batch, width); zero without a word.
fn mean(g: &mut Graph, x: &str, mask: &str, lengths: &str) -> String {
    let x = g.node("Mul", &[x, mask], &[]);
    let (axis, one) = (g.ints(&[1], &[1]), g.ints(&[1], &[1]));
    let sum = g.node("ReduceSum", &[&x, &axis], &[("keepdims", Attribute::Int(0))]);
    let count = g.node("Max", &[lengths, &one], &[]);
    let count = g.node("Cast", &[&count], &[("to", Attribute::Int(1))]);
    let count = g.node("Unsqueeze", &[&count, &one], &[]);
    g.node("Div", &[&sum, &count], &[])
}

/// The largest of each number over the words: (batch, width); zero without a word.
fn largest(g: &mut Graph, x: &str, mask: &str, lengths: &str) -> String {
    let (least, half) = (g.floats(&[LEAST], &[1]), g.floats(&[0.5], &[1]));
    let within = g.node("Greater", &[mask, &half], &[]);
    let x = g.node("Where", &[&within, x, &least], &[]);
    let x = g.node("ReduceMax", &[&x], &[("axes", Attribute::Ints(&[1])), ("keepdims", Attribute::Int(0))]);
    let some = has_words(g, lengths);
    g.node("Mul", &[&x, &some], &[])
}
