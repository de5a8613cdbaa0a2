//! A GPU beside the CPU: the same losses, and checkpoints from which either goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tinyglot::device::cuda::on_the_host;
use tinyglot::train::Event;

use crate::{Place, assert_same, resume, telling};

/// 5 steps each.
const EPOCHS: &str = "train.epochs=20";

/// Goes on, until after step `stop` if there is such a one; the losses of all steps.
fn losses(run: &Path, stop: Option<usize>) -> Vec<f32> {
    let (mut all, flag) = (Vec::new(), AtomicBool::new(false));
    telling(run, |_| (), &flag, &mut |event| {
        if let Event::Step { step, loss, .. } = event {
            all.push(loss);
            flag.store(stop == Some(step), Ordering::Relaxed);
        }
    })
    .expect("a training");
    all
}

/// Sums have another order, on a real GPU one that depends on its cuBLAS, and a training makes much of little: a gradient that is nearly
/// zero has another sign, and Adam's first steps go by the sign. Nearly equal at first, close later.
fn assert_close(gpu: &[f32], host: &[f32]) {
    assert_eq!(gpu.len(), host.len());
    let [first, later] =
        if tinyglot::device::name().starts_with("emulated") { [1e-4, 1e-2] } else { [1e-3, 3e-2] };
    for (step, (a, b)) in gpu.iter().zip(host).enumerate() {
        let tolerance = if step < 10 { first } else { later };
        assert!((a - b).abs() <= tolerance * b.abs(), "step {}: {a} on the GPU, {b} on the CPU", step + 1);
    }
}

#[test]
fn a_hundred_losses_are_those_of_the_cpu() {
    let place = Place::with(&[EPOCHS]);
    let host = place.copy("host");
    let gpu = losses(&place.run(), None);
    assert_eq!(gpu.len(), 100);
    let first = gpu[0];
    assert!(gpu[95..].iter().all(|last| last < &(0.9 * first)), "it learns: {first} to {:?}", &gpu[95..]);
    assert_close(&gpu, &on_the_host(|| losses(&host, None)));
}

#[test]
fn features_that_do_not_fit_stream_to_the_same_bits() {
    let place = Place::with(&["train.gpu_features=0"]);
    let run = place.copy("streamed");
    // The same run, but for the one key, whose value is not part of what a training computes.
    let file = place.run().join("config.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    assert!(text.contains("gpu_features = 0"));
    std::fs::write(&file, text.replace("gpu_features = 0", "gpu_features = 2048")).expect("written");
    resume(&run).expect("a training");
    resume(&place.run()).expect("a training");
    assert_same(&run, &place.run());
}

#[test]
fn each_goes_on_from_the_others_checkpoint() {
    let place = Place::with(&[EPOCHS]);
    let (one, other) = (place.copy("one"), place.copy("other"));
    let host = on_the_host(|| losses(&place.run(), Some(40)));
    let mut first = losses(&one, Some(13));
    first.extend(on_the_host(|| losses(&one, Some(40))));
    assert_close(&first, &host);
    let mut second = on_the_host(|| losses(&other, Some(13)));
    second.extend(losses(&other, Some(40)));
    assert_close(&second, &host);
}
