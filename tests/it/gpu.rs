//! What a GPU can do wrong.

use crate::corpus::data;
use crate::{Ran, ended, text, tinyglot};

/// Trains with something set in the environment; the folder of the run is left out of what is returned.
fn train(variables: &[(&str, &str)]) -> Ran {
    let place = data();
    let (config, out) = (place.path().join("config.toml"), place.path().join("run"));
    let mut command = tinyglot();
    command.args(["train", text(&config), "--out", text(&out), "--set", "train.epochs=1"]);
    ended(command.envs(variables.iter().copied()).output().expect("the command starts"))
}

#[test]
fn without_a_gpu_an_error_says_what_to_do() {
    // The driver sees none, the emulated one neither.
    let ran = train(&[("CUDA_VISIBLE_DEVICES", ""), ("EMULATED_DEVICES", "0")]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: no GPU can be used: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: `nvidia-smi` should list a GPU"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn a_driver_that_does_not_start_is_an_error() {
    let ran = train(&[("CUDA_VISIBLE_DEVICES", "none"), ("EMULATED_DEVICES", "none")]);
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: no GPU can be used: "), "{}", ran.stderr);
}

#[test]
fn a_gpu_without_memory_pools_is_named_as_one() {
    let ran = train(&[("EMULATED_POOLS", "0")]);
    if ran.status == Some(0) {
        return println!("skipped: only the emulated GPU can be without them");
    }
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: no GPU can be used: it has no memory pools"), "{}", ran.stderr);
}

#[test]
fn a_full_memory_is_an_error_with_advice() {
    let ran = train(&[("EMULATED_MEMORY", "300000")]);
    if ran.status == Some(0) {
        return println!("skipped: only the emulated GPU can be made small");
    }
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("error: the GPU's memory is full\nhint: take fewer pictures"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn a_gpu_that_breaks_is_an_error_and_no_abort() {
    let ran = train(&[("EMULATED_BREAK", "500")]);
    if ran.status == Some(0) {
        return println!("skipped: only the emulated GPU can be broken");
    }
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: the driver's log (`dmesg`) may say more"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

/// One that a later driver has: it is looked at as a number, before anything takes it for one of those that are known.
#[test]
fn a_status_that_nobody_knows_is_an_error_that_has_it() {
    let ran = train(&[("EMULATED_BREAK", "500"), ("EMULATED_STATUS", "4242")]);
    if ran.status == Some(0) {
        return println!("skipped: only the emulated GPU can be broken");
    }
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("CUDA_ERROR_4242, which this driver does not name"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}
