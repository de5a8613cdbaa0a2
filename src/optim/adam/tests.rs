use dfdx::prelude::AsArray;

use super::*;
use crate::config::Schedule;
use crate::gradcheck::{get, get1, noise};
use crate::ops::leaf::Rate;
use crate::ops::tape::{data, matrix};
use crate::optim::Parameter;

fn config() -> TrainConfig {
    TrainConfig { learning_rate: 0.01, schedule: Schedule::Cosine, ..Default::default() }
}

#[test]
fn lazy_rows_follow_dense_adam() {
    lazy_follows_dense(&config(), 1.0);
    lazy_follows_dense(&config(), 0.25);
}

/// The same gradients through a table and through a dense matrix.
fn lazy_follows_dense(config: &TrainConfig, factor: f32) {
    let (rows, width, steps) = (6, 3, 40);
    let start = noise(rows * width, 1);
    let (mut table, mut dense) = (Table::new(width, start.clone()), matrix(start, rows, width));
    let (mut lazy, mut adam) = (Adam::new(config, steps), Adam::new(config, steps));
    let mut rate = Rate::of(factor);
    table.rate = rate;
    for step in 0..steps {
        // Row 0 in every step, row 5 once, the others now and then.
        let used: Vec<u32> = (0..5)
            .filter(|r| step % (r * r + 1) == 0)
            .chain((step == 3).then_some(5))
            .map(|r| r as u32)
            .collect();
        let g = noise(used.len() * width, 100 + step as u64);
        lazy.catch_up("t", &mut table, &used);
        table.grads.lock().unwrap().push((used.clone(), g.clone().into()));
        let mut none = Grads::leaky();
        lazy.update(&mut none, &mut |f| f("t", Parameter::table(&mut table)));
        let mut grads = Grads::leaky();
        let mut full = on_host(grads.get_or_alloc_mut(&dense).unwrap());
        for (&r, g) in used.iter().zip(g.chunks(width)) {
            full[r as usize * width..][..width].copy_from_slice(g);
        }
        drop(full);
        adam.update(&mut grads, &mut |f| f("t", Parameter::matrix(&mut dense, &mut rate)));
    }
    for (a, b) in lazy.settled("t", &table).host().iter().zip(&data(&dense)[..]) {
        assert!((a - b).abs() < 2e-6, "{a} {b}");
    }
    let all: Vec<u32> = (0..rows as u32).collect();
    let settled = lazy.settled("t", &table);
    lazy.catch_up("t", &mut table, &all);
    assert_eq!(table.data(), settled.host());
}

/// Against the sum that its recurrence stands for.
#[test]
fn what_a_row_has_missed_is_the_sum_of_its_steps() {
    let mut adam = Adam::new(&config(), 900);
    adam.step = 700;
    let missed = adam.missed(699, 0);
    for k in [0usize, 1, 2, 30, 500, 699] {
        let term = |i: i32| {
            let step = 700 - k + i as usize;
            let (one, two) = adam.corrections(step);
            let decayed = (adam.beta1 as f64).powi(i) / (adam.beta2 as f64).powi(i).sqrt();
            adam.rate.at(step) as f64 * decayed / one * two.sqrt()
        };
        let sum = (1..=k as i32).map(term).sum::<f64>() as f32;
        assert!((missed[k].coefficient - sum).abs() <= 2e-7 * sum, "{k}: {} {sum}", missed[k].coefficient);
        assert_eq!(missed[k].m, (adam.beta1 as f64).powi(k as i32) as f32);
    }
}

/// Two steps of LAMB by its formula, of a matrix and a vector, which does not decay.
#[test]
fn lamb_scales_each_step_by_the_norm_of_its_tensor() {
    let config = TrainConfig {
        optimizer: Optimizer::Lamb,
        weight_decay: 0.5,
        schedule: Schedule::Constant,
        ..config()
    };
    let (start, bias) = (noise(12, 1), noise(4, 2));
    let (mut w, mut b) = (matrix(start.clone(), 3, 4), crate::ops::tape::vector(bias.clone()));
    let (mut adam, mut rates) = (Adam::new(&config, 5), [Rate::TRAINED, Rate::of(0.5)]);
    let mut by_formula = [(start, 1.0, 0.5), (bias, 0.5, 0.0)].map(|(p, factor, decay)| {
        let p: Vec<f64> = p.iter().map(|&x| x as f64).collect();
        (vec![0f64; p.len()], vec![0f64; p.len()], p, factor, decay)
    });
    for step in 1..=2i32 {
        let gradients = [noise(12, 10 + step as u64), noise(4, 20 + step as u64)];
        let mut grads = Grads::leaky();
        on_host(grads.get_or_alloc_mut(&w).unwrap()).copy_from_slice(&gradients[0]);
        on_host(grads.get_or_alloc_mut(&b).unwrap()).copy_from_slice(&gradients[1]);
        adam.update(&mut grads, &mut |f| {
            let [first, second] = &mut rates;
            f("w", Parameter::matrix(&mut w, first));
            f("b", Parameter::vector(&mut b, second));
        });
        for ((m, v, p, factor, decay), g) in by_formula.iter_mut().zip(&gradients) {
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let r: Vec<f64> = (0..p.len())
                .map(|i| {
                    m[i] = 0.9 * m[i] + 0.1 * g[i] as f64;
                    v[i] = 0.999 * v[i] + 0.001 * (g[i] as f64).powi(2);
                    let (m, v) = (m[i] / (1.0 - 0.9f64.powi(step)), v[i] / (1.0 - 0.999f64.powi(step)));
                    m / (v.sqrt() + 1e-6) + *decay * p[i]
                })
                .collect();
            let trust = norm(p) / norm(&r);
            p.iter_mut().zip(&r).for_each(|(p, r)| *p -= 0.01 * *factor * trust * r);
        }
    }
    for (x, want) in data(&w).iter().zip(&by_formula[0].2).chain(b.as_vec().iter().zip(&by_formula[1].2)) {
        assert!((*x as f64 - want).abs() < 1e-6, "{x} {want}");
    }
}

#[test]
fn lamb_updates_tables_whole() {
    let config = TrainConfig { optimizer: Optimizer::Lamb, weight_decay: 0.1, ..config() };
    lazy_follows_dense(&config, 1.0);
    lazy_follows_dense(&config, 0.25);
}

/// A parameter that is thawed in the midst of a training begins as one that a new optimiser gets.
#[test]
fn moments_of_what_is_thawed_later_are_corrected_for_its_own_steps() {
    let config = TrainConfig { schedule: Schedule::Constant, ..config() };
    let (start, width) = (noise(12, 1), 3);
    let steps = |before: usize| {
        let (mut w, mut table) = (matrix(start.clone(), 4, width), Table::new(width, start.clone()));
        let (mut adam, mut other) = (Adam::new(&config, 100), matrix(vec![1.0], 1, 1));
        let mut rates = [Rate::TRAINED, Rate::FROZEN];
        for step in 0..before + 30 {
            let late = step as i64 - before as i64;
            if late == 0 {
                rates[1] = Rate::TRAINED;
            }
            table.rate = rates[1];
            let mut grads = Grads::leaky();
            let used = [0, 1, 2, 3].map(|r| r as u32);
            let used: Vec<u32> = used.into_iter().filter(|r| late % (*r as i64 + 1) == 0).collect();
            if late >= 0 {
                let g = noise(12, late as u64);
                on_host(grads.get_or_alloc_mut(&w).unwrap()).copy_from_slice(&g);
                adam.catch_up("t", &mut table, &used);
                let g = noise(used.len() * width, 50 + late as u64);
                table.grads.lock().unwrap().push((used, g.into()));
            }
            on_host(grads.get_or_alloc_mut(&other).unwrap())[0] = 1.0;
            adam.update(&mut grads, &mut |f| {
                let [first, second] = &mut rates;
                f("other", Parameter::matrix(&mut other, first));
                f("w", Parameter::matrix(&mut w, second));
                f("t", Parameter::table(&mut table));
            });
        }
        assert_eq!((adam.state["w"].born, adam.state["t"].born), (before as u32, before as u32));
        (data(&w).to_vec(), adam.settled("t", &table).host().to_vec())
    };
    let ((a, s), (b, t)) = (steps(0), steps(7));
    for (x, y) in a.iter().zip(&b).chain(s.iter().zip(&t)) {
        assert!((x - y).abs() < 1e-6, "{x} {y}");
    }
}

/// BertAdam's first step, by its formula: m = 0.1 g, v = 0.001 g², no correction, each tensor clipped to norm 1.
#[test]
fn bert_adam_corrects_nothing_and_clips_each_tensor() {
    let config = TrainConfig {
        optimizer: Optimizer::BertAdam,
        clip: 1.0,
        weight_decay: 0.5,
        schedule: Schedule::Constant,
        ..config()
    };
    let (mut p, mut b) = (matrix(vec![1.0, 1.0], 1, 2), crate::ops::tape::vector(vec![1.0]));
    let mut rate = Rate::TRAINED;
    let mut adam = Adam::new(&config, 10);
    let mut grads = Grads::leaky();
    on_host(grads.get_or_alloc_mut(&p).unwrap()).copy_from_slice(&[3.0, -4.0]);
    on_host(grads.get_or_alloc_mut(&b).unwrap()).copy_from_slice(&[0.5]);
    adam.update(&mut grads, &mut |f| {
        f("p", Parameter::matrix(&mut p, &mut rate));
        f("b", Parameter::vector(&mut b, &mut rate));
    });
    let step = |g: f32| 0.01 * 0.1 * g / ((0.001 * g * g).sqrt() + 1e-6);
    for (got, g) in [(get(&p, 0, 0), 0.6), (get(&p, 0, 1), -0.8)] {
        assert!((got - (1.0 - 0.01 * 0.5 - step(g))).abs() < 1e-6, "{got}");
    }
    assert!((get1(&b, 0) - (1.0 - step(0.5))).abs() < 1e-6, "biases do not decay");
}

#[test]
fn lazy_rows_follow_dense_bert_adam() {
    lazy_follows_dense(&TrainConfig { optimizer: Optimizer::BertAdam, ..config() }, 1.0);
}

#[test]
fn first_step_moves_by_the_learning_rate() {
    let (mut p, mut rate) = (matrix(vec![1.0, 1.0], 1, 2), Rate::TRAINED);
    let mut adam = Adam::new(&config(), 10);
    let mut grads = Grads::leaky();
    on_host(grads.get_or_alloc_mut(&p).unwrap()).copy_from_slice(&[3.0, -4.0]);
    let norm = adam.update(&mut grads, &mut |f| f("p", Parameter::matrix(&mut p, &mut rate)));
    assert_eq!(norm.array(), 5.0);
    assert!((get(&p, 0, 0) - 0.99).abs() < 1e-6 && (get(&p, 0, 1) - 1.01).abs() < 1e-6);
    let size = parameter_norm(&mut |f| f("p", Parameter::matrix(&mut p, &mut rate)));
    assert!((size - (0.99f32 * 0.99 + 1.01 * 1.01).sqrt()).abs() < 1e-6);
}

#[test]
fn a_leaf_learns_at_its_rate_and_a_frozen_one_not_at_all() {
    let config = TrainConfig { weight_decay: 0.5, schedule: Schedule::Constant, ..config() };
    let step = |factor: f32| {
        let (mut p, mut still) = (matrix(vec![1.0, 1.0], 1, 2), matrix(vec![1.0, 1.0], 1, 2));
        let (mut adam, mut grads) = (Adam::new(&config, 10), Grads::leaky());
        for p in [&p, &still] {
            on_host(grads.get_or_alloc_mut(p).unwrap()).copy_from_slice(&[3.0, -4.0]);
        }
        let norm = adam.update(&mut grads, &mut |f| {
            f("still", Parameter::matrix(&mut still, &mut Rate::FROZEN.clone()));
            f("p", Parameter::matrix(&mut p, &mut Rate::of(factor)));
        });
        assert_eq!((norm.array(), still.as_vec()), (5.0, vec![1.0, 1.0]));
        assert!(!adam.state.contains_key("still"));
        [get(&p, 0, 0), get(&p, 0, 1)]
    };
    for factor in [1.0f32, 0.1] {
        let rate = 0.01 * factor;
        let want = [1.0 - rate * 0.5 - rate, 1.0 - rate * 0.5 + rate];
        assert!(step(factor).iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", step(factor));
    }
}

#[test]
fn clipping_scales_the_whole_gradient() {
    let (mut p, mut rate) = (matrix(vec![0.0, 0.0], 1, 2), Rate::TRAINED);
    let mut adam = Adam::new(&TrainConfig { clip: 1.0, ..config() }, 10);
    let mut grads = Grads::leaky();
    on_host(grads.get_or_alloc_mut(&p).unwrap()).copy_from_slice(&[3.0, -4.0]);
    adam.update(&mut grads, &mut |f| f("p", Parameter::matrix(&mut p, &mut rate)));
    let m = adam.state["p"].m.host();
    assert!((m[0] - 0.06).abs() < 1e-6 && (m[1] + 0.08).abs() < 1e-6);
}

#[test]
fn several_lookups_of_one_row_add_up() {
    let merged = merge(vec![(vec![2, 1], vec![1.0, 2.0].into()), (vec![1, 0], vec![10.0, 5.0].into())], 1);
    assert_eq!(merged, (vec![2, 1, 0], vec![1.0, 12.0, 5.0]));
}
