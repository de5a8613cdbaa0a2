//! Losses of a student beside a teacher, and their gradients: `imitation.py`.

use dfdx::prelude::*;
use serde::Deserialize;
use tinyglot::device::{Matrix, Scalar};
use tinyglot::loss::imitation::{Imitation, imitate};
use tinyglot::loss::terms::Taped;
use tinyglot::loss::{Contrast, InfoNce, Temperature, contrast};
use tinyglot::ops::linear::{similarity, unit_rows};
use tinyglot::ops::tape::{data, matrix};

use super::file;

#[derive(Deserialize)]
struct Document {
    width: usize,
    temperature: f32,
    student: Vec<f32>,
    teacher: Vec<f32>,
    losses: Vec<Loss>,
}

#[derive(Deserialize)]
struct Loss {
    name: String,
    value: f64,
    gradient: Vec<f64>,
}

fn loss(name: &str, student: &Matrix, teacher: &Matrix, temperature: f32) -> Scalar<Taped> {
    let unit = || unit_rows(student.leaky_trace());
    let theirs = unit_rows(teacher.clone());
    match name {
        "mse" => imitate(student.leaky_trace(), teacher, Imitation::MeanSquare),
        "unit_mse" => imitate(unit(), &theirs, Imitation::MeanSquare),
        "cosine" => imitate(unit(), &theirs, Imitation::Cosine),
        "relational" => imitate(unit(), &theirs, Imitation::Relational(temperature)),
        "softmax" => {
            let ids: Vec<u32> = (0..student.shape().0 as u32).collect();
            let by = Contrast::InfoNce(InfoNce::at(Temperature::Fixed(temperature)));
            contrast(similarity(unit(), theirs.put_tape(Taped::default())), &ids, &ids, by)
        }
        other => panic!("the loss `{other}`"),
    }
}

#[test]
fn a_student_is_judged_as_by_plain_python() {
    let text = std::fs::read_to_string(file("imitation.json")).expect("a file that imitation.py wrote");
    let Document { width, temperature, student, teacher, losses } =
        serde_json::from_str(&text).expect("JSON");
    let rows = student.len() / width;
    let (student, teacher) = (matrix(student, rows, width), matrix(teacher, rows, width));
    assert_eq!(losses.len(), 5);
    for Loss { name, value, gradient } in losses {
        let ours = loss(&name, &student, &teacher, temperature);
        assert!((f64::from(ours.array()) - value).abs() < 1e-5, "{name}: {} and {value}", ours.array());
        let grads = ours.backward();
        let ours = data(&grads.get(&student)).to_vec();
        assert_eq!(ours.len(), gradient.len());
        for (at, (ours, theirs)) in ours.iter().zip(&gradient).enumerate() {
            assert!((f64::from(*ours) - theirs).abs() < 1e-5, "{name}, {at}: {ours} and {theirs}");
        }
    }
}
