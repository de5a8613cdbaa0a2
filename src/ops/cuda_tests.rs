//! Every operation with kernels beside its twin on the host: values and all gradients.

use std::ops::Range;
use std::sync::Arc;

use dfdx::prelude::*;

use crate::config::{
    Distance, Estimator, MOST_SCALE, Optimizer, Pooling, Precision, Schedule, TrainConfig, TripletConfig,
};
use crate::device::cuda::{at, gpu, on_the_host};
use crate::device::{Dev, Matrix, Scalar, Vector};
use crate::gradcheck::{noise, probe};
use crate::loss::adversary::classification;
use crate::loss::imitation::{Imitation, imitate};
use crate::loss::mclm::masked_pair;
use crate::loss::{
    Anchors, Contrast, InfoNce, Temperature, combined, contrast, grouped_contrast, half_square, scale, values,
};
use crate::ops::batch_norm::{BatchNormWeights, batch_norm_leaky, batch_norm_relu_dropout, dropout};
use crate::ops::choose::{Choice, Keys, choose};
use crate::ops::leaf::{Leaf, Rate};
use crate::ops::linear::{
    LinearWeights, blend, linear, linear_of_data, reverse_gradient, similarity, similarity_with, unit_rows,
};
use crate::ops::packs::Packs;
use crate::ops::recurrent::{Reading, RecurrentWeights, gru, lstm};
use crate::ops::rows::{
    Table, columns, gather_concat, hconcat, lookup, mean, select, signed_root, stack, standardise,
};
use crate::ops::sequences::Sequences;
use crate::ops::tape::{Grads, data, matrix, on_host, vector};
use crate::ops::transformer::{
    Activation, AttentionWeights, FeedForwardWeights, NormWeights, Pass, Projection, activate, attend,
    feed_forward, layer_norm, project,
};
use crate::ops::weight_norm::weight_norm;
use crate::optim::{Adam, Parameter, parameter_norm};

type Taped = OwnedTape<f32, Dev>;

fn random(rows: usize, columns: usize, seed: u64) -> Matrix {
    matrix(noise(rows * columns, seed), rows, columns)
}

fn layer(outputs: usize, inputs: usize, seed: u64) -> LinearWeights {
    LinearWeights::new(random(outputs, inputs, seed), vector(noise(outputs, seed + 1)))
}

/// Computes the same by kernels and on the host, and compares number by number.
fn twins(name: &str, tolerance: f32, compute: impl Fn() -> Vec<Vec<f32>>) {
    let (kernels, host) = (compute(), on_the_host(&compute));
    assert_eq!(kernels.len(), host.len());
    for (n, (a, b)) in kernels.iter().zip(&host).enumerate() {
        assert_eq!(a.len(), b.len(), "{name}, result {n}");
        let size = b.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() <= tolerance * size, "{name}, result {n}[{i}]: {a}, on the host {b}");
        }
    }
}

/// The values of an operation's result and the gradients of what it depends on.
fn results(out: Matrix<Taped>, of: &[&Matrix], biases: &[&Vector]) -> Vec<Vec<f32>> {
    let value = data(&out).to_vec();
    [vec![value], gradients(probe(out), of, biases)].concat()
}

fn gradients(loss: Scalar<Taped>, of: &[&Matrix], biases: &[&Vector]) -> Vec<Vec<f32>> {
    let mut grads = loss.backward();
    let mut all: Vec<Vec<f32>> =
        of.iter().map(|m| on_host(grads.get_or_alloc_mut(*m).expect("memory")).to_vec()).collect();
    all.extend(biases.iter().map(|v| on_host(grads.get_or_alloc_mut(*v).expect("memory")).to_vec()));
    all
}

#[test]
fn dfdx_still_shows_where_a_tensor_is() {
    let x = random(3, 5, 1);
    let copy = x.clone();
    assert!(at(&x) == at(&copy) && at(&x) != at(&random(3, 5, 1)));
    assert_eq!(at(&x).plus(2).0, at(&x).0 + 8);
}

/// What a driver reads by words of up to 16 bytes.
#[test]
fn the_kernels_are_aligned() {
    assert!(crate::device::cuda::image().is_multiple_of(16));
}

/// The GPU of the tests looks at what waits only when it must: a place used again too early would show.
#[test]
fn numbers_go_up_in_order_however_many_there_are() {
    let gpu = gpu().expect("not on the host");
    let sizes = [1usize, 0, 300_000, 5, 1_048_576, 1, 2_500_000, 700_000, 900_000, 64];
    let numbers =
        |n: usize| (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) ^ n as u32).collect::<Vec<_>>();
    let there: Vec<_> = sizes.iter().map(|&n| gpu.numbers(&numbers(n))).collect();
    for (&n, there) in sizes.iter().zip(&there) {
        assert!(gpu.read::<u32>(there.at(), n) == numbers(n), "{n}");
    }
}

#[test]
fn the_same_numbers_go_up_once_until_others_have_come() {
    let gpu = gpu().expect("not on the host");
    let own =
        |n: u32, count: u32| (n..n + count).map(|i| i.wrapping_mul(7919) ^ 0x5eed_0000).collect::<Vec<u32>>();
    let (one, other) = (own(0, 50), own(1, 50));
    let (first, second) = (gpu.numbers(&one), gpu.numbers(&other));
    assert!(first.at() == gpu.numbers(&one.clone()).at() && first.at() != second.at());
    assert!(gpu.numbers(&one[1..]).at() != first.at(), "others, of which some are the same");
    // As many as are remembered: other tests of the process may send more in between, but none sends less.
    (0..5).for_each(|n| drop(gpu.numbers(&own(1000 * n, 250_000))));
    let again = gpu.numbers(&one);
    assert!(again.at() != first.at(), "forgotten");
    assert_eq!((gpu.read::<u32>(first.at(), 50), gpu.read::<u32>(again.at(), 50)), (one.clone(), one));
}

#[test]
fn products() {
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Tf32, 2e-3), (Precision::Bf16, 2e-2)] {
        let (x, l) = (random(70, 45, 1), layer(133, 45, 2));
        let all = [&x, &l.weight];
        let same = if precision == Precision::F32 { 1e-5 } else { tolerance };
        twins("linear", same, || results(linear(x.leaky_trace(), &l, precision), &all, &[&l.bias]));
        twins("linear_of_data", same, || {
            results(linear_of_data::<Taped>(x.clone(), &l, precision), &all, &[&l.bias])
        });
        let frozen = LinearWeights { rate: Rate::FROZEN, ..l.clone() };
        twins("frozen linear", same, || {
            results(linear(x.leaky_trace(), &frozen, precision), &all, &[&l.bias])
        });
    }
    // More rows than one sum of columns takes.
    let (x, l) = (random(1300, 5, 5), layer(37, 5, 6));
    twins("tall", 1e-5, || {
        let y = linear(x.leaky_trace(), &l, Precision::F32);
        results(y, &[&x, &l.weight], &[&l.bias])
    });
    let (a, b) = (random(40, 33, 3), random(65, 33, 4));
    twins("similarity", 1e-5, || {
        results(similarity(a.leaky_trace(), b.clone().put_tape(Taped::default())), &[&a, &b], &[])
    });
    for rows in [0..65, 7..40, 12..13] {
        twins("similarity with some", 1e-5, || {
            let b_taped = b.clone().put_tape(Taped::default());
            results(similarity_with(a.leaky_trace(), b_taped, rows.clone()), &[&a, &b], &[])
        });
    }
}

#[test]
fn rows_columns_and_elements() {
    let (a, b) = (random(37, 150, 1), random(37, 150, 2));
    let taped = |x: &Matrix| x.clone().put_tape(Taped::default());
    twins("unit_rows", 1e-5, || results(unit_rows(a.leaky_trace()), &[&a], &[]));
    twins("reverse", 1e-6, || results(reverse_gradient(a.leaky_trace(), 0.3), &[&a], &[]));
    twins("blend", 1e-6, || results(blend(a.leaky_trace(), 0.5, taped(&b), -2.0), &[&a, &b], &[]));
    twins("stack", 1e-6, || results(stack(vec![a.leaky_trace(), taped(&b)]), &[&a, &b], &[]));
    // More than go with a launch, some of them empty.
    let many: Vec<Matrix> = (0..70).map(|n| random(n % 4, 9, n as u64)).collect();
    twins("stack of many", 1e-6, || {
        results(stack(many.iter().map(taped).collect()), &many.iter().collect::<Vec<_>>(), &[])
    });
    twins("beside", 1e-6, || results(hconcat(a.leaky_trace(), taped(&b)), &[&a, &b], &[]));
    twins("columns", 1e-6, || results(columns(a.leaky_trace(), 7, 31), &[&a], &[]));
    let rows: Vec<u32> = (0..90).map(|i| i * i % 37).collect();
    twins("select", 1e-5, || results(select(a.leaky_trace(), &rows), &[&a], &[]));
    twins("spell", 1e-5, || results(gather_concat(a.leaky_trace(), &rows, 6), &[&a], &[]));
    twins("mean", 1e-5, || results(mean(a.leaky_trace(), &sentences(50, 37)), &[&a], &[]));
    twins("signed_root", 1e-6, || vec![data(&signed_root(a.clone())).to_vec()]);
    let (centre, inverse) = (vector(noise(150, 5)), vector(noise(150, 6)));
    twins("standardise", 1e-6, || vec![data(&standardise(a.clone(), &centre, &inverse)).to_vec()]);
    let table = Table::new(150, noise(37 * 150, 7));
    let distinct = [30u32, 2, 17, 5];
    twins("lookup", 1e-6, || {
        let out = lookup::<Taped>(&table, &distinct);
        let value = data(&out).to_vec();
        probe(out).backward();
        let [(rows, grads)] = &table.take_grads()[..] else { panic!("one entry") };
        assert_eq!(rows, &distinct);
        vec![value, grads.host().to_vec()]
    });
}

/// Of several lengths, one of them empty, over `tokens` tokens that repeat.
fn sentences(count: usize, tokens: u32) -> Arc<Sequences> {
    let mut sentences = Sequences::new();
    for s in 0..count as u32 {
        sentences.push((0..s * 7 % 11).map(|t| (s * 3 + t * t) % tokens));
    }
    Arc::new(sentences)
}

/// As [`sentences`], each twice, of which the second goes on otherwise, stops before or is the same.
fn alike(count: usize, tokens: u32) -> Arc<Sequences> {
    let mut all = Sequences::new();
    let once = sentences(count, tokens);
    for s in 0..count {
        let (sentence, shared) = (once.get(s), once.length(s) * (s % 4) / 3);
        all.push(sentence.iter().copied());
        let on = (0..(s % 3) as u32).map(|t| t % tokens);
        all.push(sentence.iter().copied().take(shared).chain(on));
    }
    Arc::new(all)
}

#[test]
fn recurrent_cells() {
    type Cell = fn(Matrix<Taped>, &RecurrentWeights, &Arc<Sequences>, Reading) -> Matrix<Taped>;
    let cells: [(&str, usize, Cell); 2] = [("gru", 3, gru), ("lstm", 4, lstm)];
    let (hidden, inputs) = (40, 28);
    for (name, gates, cell) in cells {
        let all = gates * hidden;
        let w = RecurrentWeights {
            weight_ih: random(all, inputs, 1),
            weight_hh: random(all, hidden, 2),
            bias_ih: vector(noise(all, 3)),
            bias_hh: vector(noise(all, 4)),
            rate: Rate::TRAINED,
            packs_ih: Packs::default(),
            packs_hh: Packs::default(),
        };
        let x = random(23, inputs, 5);
        for pooling in [Pooling::Last, Pooling::Mean, Pooling::Max] {
            // bf16 only where a rounding cannot choose another maximum.
            for (precision, tolerance) in [(Precision::F32, 3e-5), (Precision::Bf16, 3e-2)] {
                for rate in [Rate::TRAINED, Rate::FROZEN] {
                    if precision == Precision::F32 || pooling == Pooling::Mean {
                        let reading = Reading { pooling, precision };
                        let w = RecurrentWeights { rate, ..w.clone() };
                        twins(&format!("{name} {reading:?} {rate:?}"), tolerance, || {
                            let out = cell(x.leaky_trace(), &w, &alike(61, 23), reading);
                            results(out, &[&x, &w.weight_ih, &w.weight_hh], &[&w.bias_ih, &w.bias_hh])
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn normalisation_and_dropout() {
    let (x, n) = (random(67, 45, 1), 45);
    let fresh = || BatchNormWeights {
        scale: vector(noise(n, 2).iter().map(|x| x + 1.0).collect()),
        shift: vector(noise(n, 3)),
        mean: vector(noise(n, 4)),
        variance: vector(vec![0.7; n]),
        rate: Rate::TRAINED,
    };
    for (slope, rate) in [(0.0, Rate::TRAINED), (0.1, Rate::TRAINED), (0.1, Rate::FROZEN)] {
        twins("batch_norm", 3e-5, || {
            let mut w = BatchNormWeights { rate, ..fresh() };
            let shared = w.clone();
            let out = match slope {
                0.0 => batch_norm_relu_dropout(x.leaky_trace(), &mut w, 0.3, 9),
                slope => batch_norm_leaky(x.leaky_trace(), &mut w, slope),
            };
            let mut all = results(out, &[&x], &[&w.scale, &w.shift]);
            all.extend([w.mean.as_vec(), w.variance.as_vec()]);
            assert_eq!(shared.mean.as_vec(), fresh().mean.as_vec(), "a copy of the statistics moved");
            all.push(data(&batch_norm_leaky(x.clone(), &mut w, slope)).to_vec());
            all
        });
    }
    let gains = vector(noise(67, 5));
    twins("weight_norm", 1e-5, || results(weight_norm(x.leaky_trace(), &gains), &[&x], &[&gains]));
    twins("dropout", 1e-6, || results(dropout(x.leaky_trace(), 0.4, 11), &[&x], &[]));
}

#[test]
fn the_choice_of_latent_vectors() {
    // One latent vector stands there twice: the first one counts.
    let (mut values, width) = (noise(150 * 40, 1), 40);
    values.copy_within(3 * width..4 * width, 90 * width);
    let latents = Table::new(width, values);
    let mut queries = noise(90 * width, 2);
    queries[..width].copy_from_slice(latents.row(3));
    let q = unit_rows(matrix(queries, 90, width));
    for estimator in [Estimator::None, Estimator::StraightThrough, Estimator::Gate] {
        for (exploration, top) in [(0.0, 1), (0.4, 20), (0.9, 1000)] {
            let choice = Choice { exploration, top, temperature: 0.3, estimator, seed: 7 };
            twins(&format!("choose {estimator:?} {top}"), 3e-5, || {
                let mut all = results(choose(q.leaky_trace(), Keys::Latents, &latents, choice), &[&q], &[]);
                let [(rows, grads)] = &latents.take_grads()[..] else { panic!("one entry") };
                all.extend([rows.iter().map(|&r| r as f32).collect(), grads.host().to_vec()]);
                all
            });
        }
    }
}

#[test]
fn losses() {
    let (rows, columns): (Vec<u32>, Vec<u32>) = ((0..90).collect(), (0..150).map(|j| j * 3 / 5).collect());
    // Equal similarities, too: of those the first ones are the worst.
    let s = matrix(noise(90 * 150, 1).iter().map(|x| (x * 40.0).round() / 40.0).collect(), 90, 150);
    for distance in [Distance::Cosine, Distance::Euclidean] {
        for same_image_negatives in [false, true] {
            let config = TripletConfig {
                distance,
                same_image_negatives,
                margin: 0.31,
                top_n: 10,
                sentence_anchor: 1.5,
                ..Default::default()
            };
            for by in [Contrast::Triplet(&config), Contrast::Neighbourhood(&config)] {
                twins("triplet", 2e-5, || contrasted(&s, &rows, &columns, by));
            }
            let all = TripletConfig { top_n: 128, ..config.clone() };
            twins("all", 2e-5, || contrasted(&s, &rows, &columns, Contrast::Triplet(&all)));
            for hardest in [0.0, 0.3, 1.0] {
                let by = Contrast::Summed { config: &config, hardest, columns: 1.5 };
                twins("summed", 2e-5, || contrasted(&s, &rows, &columns, by));
            }
        }
    }
    for smoothing in [0.0, 0.2] {
        let plain = InfoNce { smoothing, ..InfoNce::at(Temperature::Fixed(0.2)) };
        for (margin, anchors) in [(0.0, Anchors::Both), (0.3, Anchors::Rows), (0.3, Anchors::Columns)] {
            let by = Contrast::InfoNce(InfoNce { margin, anchors, ..plain });
            twins("info_nce", 2e-5, || contrasted(&s, &rows, &columns, by));
        }
        let by = Contrast::InfoNce(plain);
        let nobody = vec![1000; 150];
        twins("nobody matches", 1e-6, || contrasted(&s, &rows, &nobody, by));
    }
    let alone = |group: Range<usize>| -> Vec<Range<usize>> { std::iter::once(group).collect() };
    for (by, groups) in
        [(None, vec![0..60, 60..61, 61..150]), (Some(0.2), alone(3..90)), (None, alone(150..150))]
    {
        let config = TripletConfig { margin: 0.31, top_n: 100, sentence_anchor: 1.5, ..Default::default() };
        let by = match by {
            None => Contrast::Triplet(&config),
            Some(tau) => Contrast::InfoNce(InfoNce::at(Temperature::Fixed(tau))),
        };
        twins("groups", 2e-5, || {
            let loss = grouped_contrast(s.leaky_trace(), &rows, &columns, &groups, by);
            [vec![values(vec![&loss.retaped()])], gradients(loss, &[&s], &[])].concat()
        });
    }
    for (margin, anchors) in [(0.0, Anchors::Both), (0.3, Anchors::Rows), (0.1, Anchors::Columns)] {
        let leaf = Leaf::trained(vector(vec![1.2]));
        let plain = InfoNce { smoothing: 0.1, ..InfoNce::at(Temperature::Trained(&leaf)) };
        twins("trained temperature", 2e-5, || {
            let by = Contrast::InfoNce(InfoNce { margin, anchors, ..plain });
            let loss = contrast(s.leaky_trace(), &rows, &columns, by);
            [vec![values(vec![&loss.retaped()])], gradients(loss, &[&s], &[&leaf.value])].concat()
        });
    }
    let mut high = [7.0, 3.0].map(|x| vector(vec![x]));
    high.iter_mut().for_each(scale::clip);
    assert_eq!(high.map(|x| x.as_vec()), [vec![MOST_SCALE.ln()], vec![3.0]]);
    let classes: Vec<u32> = (0..90).map(|i| i * 7 % 150).collect();
    twins("cross-entropy", 2e-5, || {
        let loss = classification(s.leaky_trace(), &classes);
        [vec![vec![values(vec![&loss.retaped()])[0]]], gradients(loss, &[&s], &[])].concat()
    });
    let [a, b, c, d] = [2, 3, 4, 5].map(|seed| random(30, 24, seed));
    let l = layer(48, 48, 6);
    twins("masked pair", 3e-5, || {
        let traced = |x: &Matrix| x.leaky_trace();
        let whole = [traced(&c), traced(&d)];
        let loss = masked_pair([traced(&a), traced(&b)], whole, &l, Precision::F32);
        gradients(loss, &[&a, &b, &c, &d, &l.weight], &[&l.bias])
    });
    twins("mean square", 2e-5, || {
        let loss = imitate(a.leaky_trace(), &b, Imitation::MeanSquare);
        [vec![values(vec![&loss.retaped()])], gradients(loss, &[&a], &[])].concat()
    });
    // More than go with a launch, one of them many times.
    let scalars: Vec<Scalar> = (0..40).map(|n| crate::ops::tape::scalar(n as f32 * 0.1 - 1.0)).collect();
    twins("many scalars", 2e-5, || {
        let tape = |x: &Scalar| x.clone().put_tape(Taped::default());
        let parts = (0..75).map(|n| (tape(&scalars[n * n % 40]), n as f32 - 30.0)).collect();
        let sum = combined(parts, 2.0);
        let all = values(scalars.iter().collect());
        let value = values(vec![&sum.retaped()]);
        let mut grads = sum.backward();
        let of = |x: &Scalar| on_host(grads.get_or_alloc_mut(x).expect("memory")).to_vec();
        vec![all, value, scalars.iter().flat_map(of).collect()]
    });
    twins("sums of losses", 2e-5, || {
        let half = half_square(a.leaky_trace(), b.clone());
        let tape = |x: &Matrix| x.clone().put_tape(Taped::default());
        let parts = vec![
            (half, 0.5),
            (half_square(tape(&c), d.clone()), 2.0),
            (half_square(tape(&a), c.clone()), 1.0),
        ];
        let (twice, tape) = combined(parts, 3.0).split_tape();
        let sum = combined(
            vec![(twice.clone().put_tape(tape), 0.25), (twice.put_tape(Taped::default()), 1.5)],
            1.0,
        );
        let value = values(vec![&sum.retaped(), &sum.retaped()]);
        assert_eq!(value[0], value[1]);
        [vec![value], gradients(sum, &[&a, &c], &[])].concat()
    });
}

fn contrasted(s: &Matrix, rows: &[u32], columns: &[u32], by: Contrast) -> Vec<Vec<f32>> {
    let loss = contrast(s.leaky_trace(), rows, columns, by);
    [vec![values(vec![&loss.retaped()])], gradients(loss, &[s], &[])].concat()
}

#[test]
fn a_similarity_that_is_no_number_reaches_the_trainer() {
    let mut s = noise(20 * 20, 1);
    s[45] = f32::NAN;
    let (s, ids): (Matrix, Vec<u32>) = (matrix(s, 20, 20), (0..20).collect());
    let config = TripletConfig { margin: 0.2, top_n: 19, ..Default::default() };
    for by in [
        Contrast::Triplet(&config),
        Contrast::Summed { config: &config, hardest: 0.5, columns: 1.0 },
        Contrast::InfoNce(InfoNce::at(Temperature::Fixed(0.1))),
    ] {
        assert!(values(vec![&contrast(s.clone(), &ids, &ids, by)])[0].is_nan());
    }
}

#[test]
fn transformer_layers() {
    let (width, heads, hidden) = (48, 4, 70);
    let (tokens, sentences) = (sentences(20, 1).rows.len(), sentences(20, 1));
    let x = random(tokens, width, 1);
    let rate = |trained| if trained { Rate::TRAINED } else { Rate::FROZEN };
    let norm = |seed: u64, trained: bool| NormWeights {
        scale: vector(noise(width, seed).iter().map(|x| x + 1.0).collect()),
        shift: vector(noise(width, seed + 1)),
        epsilon: 1e-5,
        rate: rate(trained),
    };
    let one = norm(2, true);
    twins("layer_norm", 3e-5, || {
        results(layer_norm(x.leaky_trace(), &one), &[&x], &[&one.scale, &one.shift])
    });
    let projection =
        |layer: LinearWeights, trained: bool| Projection::new(LinearWeights { rate: rate(trained), ..layer });
    for (trained, with_norm, causal, recompute) in [
        (true, true, true, false),
        (true, false, false, true),
        (false, true, false, false),
        (false, true, true, true),
    ] {
        let pass = Pass { precision: Precision::F32, recompute };
        let w = AttentionWeights {
            norm: with_norm.then(|| norm(4, trained)),
            input: projection(layer(3 * width, width, 6), trained),
            output: projection(layer(width, width, 8), trained),
            heads,
            causal,
        };
        let (input, output) = (w.input.weights.clone(), w.output.weights.clone());
        let unused = norm(10, false);
        let n = w.norm.clone().unwrap_or(unused.clone());
        twins(&format!("attend {trained} {with_norm} {causal} {recompute}"), 5e-5, || {
            let y = attend(x.leaky_trace(), &w, &sentences, pass);
            let biases = [&input.bias, &output.bias, &n.scale, &n.shift];
            results(y, &[&x, &input.weight, &output.weight], &biases)
        });
        twins("attend without a tape", 5e-5, || {
            vec![data(&attend(x.clone(), &w, &sentences, pass)).to_vec()]
        });
        for activation in [
            Activation::Relu,
            Activation::QuickGelu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Tanh,
        ] {
            twins("activate", 1e-6, || results(activate(x.leaky_trace(), activation), &[&x], &[]));
            let w = FeedForwardWeights {
                norm: with_norm.then(|| norm(4, trained)),
                inner: projection(layer(hidden, width, 12), trained),
                activation,
                outer: projection(layer(width, hidden, 14), trained),
            };
            let (inner, outer) = (w.inner.weights.clone(), w.outer.weights.clone());
            let n = w.norm.clone().unwrap_or(unused.clone());
            twins(&format!("feed_forward {trained} {activation:?}"), 5e-5, || {
                let y = feed_forward(x.leaky_trace(), &w, pass);
                let biases = [&inner.bias, &outer.bias, &n.scale, &n.shift];
                results(y, &[&x, &inner.weight, &outer.weight], &biases)
            });
        }
    }
    let frozen = projection(layer(30, width, 16), false);
    twins("project", 1e-5, || results(project(x.leaky_trace(), &frozen, Precision::F32), &[&x], &[]));
}

/// Ten steps of a matrix, a bias and a table some of whose rows rest.
#[test]
fn the_optimiser() {
    let adam = TrainConfig { learning_rate: 0.01, clip: 1.0, weight_decay: 0.1, ..Default::default() };
    let bert = TrainConfig { optimizer: Optimizer::BertAdam, schedule: Schedule::Constant, ..adam.clone() };
    let free = TrainConfig { clip: 0.0, ..adam.clone() };
    let lamb = TrainConfig { optimizer: Optimizer::Lamb, ..adam.clone() };
    for config in [adam, bert, free, lamb] {
        twins("adam", 2e-5, || {
            let (mut p, mut b) = (random(30, 20, 1), vector(noise(17, 2)));
            let mut t = Table::new(9, noise(9 * 40, 3));
            let mut rate = Rate::of(0.5);
            t.rate = rate;
            // As many tensors as no launch takes at once, some of one number.
            let mut many: Vec<Vector> = (0..60).map(|n| vector(noise(1 + n % 5, 50 + n as u64))).collect();
            let mut adam = Adam::new(&config, 10);
            let mut seen = Vec::new();
            for step in 0..10u64 {
                let rows: Vec<u32> = (0..40).filter(|r| (step as u32 + r).is_multiple_of(3)).collect();
                adam.catch_up("t", &mut t, &rows);
                let mut grads = Grads::leaky();
                let fill = |to: &mut crate::device::Buffer, n: usize, seed: u64| {
                    on_host(to).copy_from_slice(&noise(n, seed));
                };
                fill(grads.get_or_alloc_mut(&p).expect("memory"), 600, 10 + step);
                fill(grads.get_or_alloc_mut(&b).expect("memory"), 17, 20 + step);
                for (n, v) in many.iter().enumerate() {
                    fill(grads.get_or_alloc_mut(v).expect("memory"), 1 + n % 5, 90 + step + n as u64);
                }
                let entry = |rows: &[u32], seed| (rows.to_vec(), noise(rows.len() * 9, seed).into());
                // The second half is read twice: its gradients add up.
                let half = &rows[rows.len() / 2..];
                let entries = [entry(&rows, 30 + step), entry(half, 40 + step)];
                t.grads.lock().expect("a table").extend(entries);
                let norm = adam.update(&mut grads, &mut |f| {
                    f("p", Parameter::matrix(&mut p, &mut rate));
                    f("b", Parameter::vector(&mut b, &mut rate));
                    f("t", Parameter::table(&mut t));
                    for (n, v) in many.iter_mut().enumerate() {
                        f(&format!("v{n}"), Parameter::vector(v, &mut rate));
                    }
                });
                seen.push(norm.array());
            }
            seen.push(parameter_norm(&mut |f| {
                f("p", Parameter::matrix(&mut p, &mut rate));
                f("t", Parameter::table(&mut t));
            }));
            let settled = adam.settled("t", &t).host().to_vec();
            let many = many.iter().flat_map(|v| v.as_vec()).collect();
            vec![data(&p).to_vec(), b.as_vec(), t.data().to_vec(), settled, seen, many]
        });
    }
}
