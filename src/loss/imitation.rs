//! What a student is taught by the vectors of a frozen teacher. The teacher's get no gradient.

use dfdx::prelude::*;

use super::{Value, on_tape};
use crate::device::{Dev, Matrix, Scalar};
use crate::ops::linear::similarity;
use crate::ops::tape::data;

/// How vectors of a student are held against the teacher's of the same items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Imitation {
    /// [`mean_square`]
    MeanSquare,
    /// [`mean_cosine`]
    Cosine,
    /// [`relational`], at a temperature.
    Relational(f32),
}

/// A loss of the student's vectors (items, width) beside the teacher's (items, its width) on the tape, row n of both of one item.
///
/// # Panics
/// With other numbers of rows, and but for [`Imitation::Relational`] with other widths.
pub fn imitate<T: Tape<f32, Dev> + 'static>(
    student: Matrix<T>,
    teacher: &Matrix,
    by: Imitation,
) -> Scalar<T> {
    assert_eq!(student.shape().0, teacher.shape().0, "imitate: a row of the teacher for each of the student");
    let alike = student.shape().1 == teacher.shape().1;
    assert!(alike || matches!(by, Imitation::Relational(_)), "imitate: widths differ");
    let width = student.shape().1;
    match by {
        #[cfg(feature = "cuda")]
        Imitation::MeanSquare if crate::device::cuda::gpu().is_some() => {
            super::mean_square_on_gpu(student, teacher.clone())
        }
        Imitation::MeanSquare => on_tape(student, |s| mean_square(s, &data(teacher))),
        Imitation::Cosine => on_tape(student, |s| mean_cosine(s, &data(teacher), width)),
        Imitation::Relational(temperature) => {
            let items = student.shape().0;
            let theirs = similarity(teacher.clone(), teacher.clone());
            let ours = similarity(student.with_empty_tape(), student); // (items, items)
            on_tape(ours, |ours| relational(ours, &data(&theirs), items, temperature))
        }
    }
}

/// The mean over all numbers of all rows of (s − t)² (Reimers & Gurevych 2020, equation 1, as `MSELoss` of sentence-transformers divides it):
/// at unit length 2 (1 − cos) over the width. Both (items, width); the gradient is for s.
pub fn mean_square(student: &[f32], teacher: &[f32]) -> Value {
    let count = student.len().max(1) as f32;
    let differences = || student.iter().zip(teacher).map(|(s, t)| s - t);
    let sum: f64 = differences().map(|d| f64::from(d) * f64::from(d)).sum();
    let grad = differences().map(|d| 2.0 * d / count).collect();
    Value { value: (sum / f64::from(count)) as f32, grad }
}

/// The mean over rows of 1 − s · t. Both (items, width), of unit length; the gradient is for s.
pub fn mean_cosine(student: &[f32], teacher: &[f32], width: usize) -> Value {
    let items = (student.len() / width.max(1)).max(1) as f32;
    let along: f64 = student.iter().zip(teacher).map(|(s, t)| f64::from(*s) * f64::from(*t)).sum();
    let grad = teacher.iter().map(|t| -t / items).collect();
    Value { value: if student.is_empty() { 0.0 } else { (1.0 - along / f64::from(items)) as f32 }, grad }
}

/// How the items of a batch are like one another: the mean over items i of KL(pᵢ ‖ qᵢ), where pᵢ is the softmax over the other items of their
/// similarities to i by the teacher, divided by the temperature, and qᵢ that by the student (Koohpayegani, Tejankar & Pirsiavash 2020, equation 2,
/// with the other items of the batch for anchors; Fang et al. 2021). Both (items, items), row by row; the diagonal has no part in it. The gradient is
/// for the student's. A single item has nothing to be like: 0.
pub fn relational(student: &[f32], teacher: &[f32], items: usize, temperature: f32) -> Value {
    let mut grad = vec![0.0; student.len()];
    if items < 2 {
        return Value { value: 0.0, grad };
    }
    let mut sum = 0f64;
    let factor = 1.0 / (f64::from(temperature) * items as f64);
    for (i, grad) in grad.chunks_mut(items).enumerate() {
        let [q, p] =
            [student, teacher].map(|of| log_softmax_of_others(&of[i * items..][..items], i, temperature));
        for j in (0..items).filter(|&j| j != i) {
            sum += p[j].exp() * (p[j] - q[j]);
            grad[j] = (factor * (q[j].exp() - p[j].exp())) as f32;
        }
    }
    Value { value: (sum / items as f64) as f32, grad }
}

/// log softmax of a row / temperature among all but place `own`, whose number says nothing.
fn log_softmax_of_others(row: &[f32], own: usize, temperature: f32) -> Vec<f64> {
    let mut logits: Vec<f64> = row.iter().map(|x| f64::from(*x) / f64::from(temperature)).collect();
    logits[own] = f64::NEG_INFINITY;
    let highest = logits.iter().fold(f64::NEG_INFINITY, |m, &x| if x.is_nan() { x } else { m.max(x) });
    let total: f64 = logits.iter().map(|x| (x - highest).exp()).sum();
    logits.iter_mut().for_each(|x| *x -= highest + total.ln());
    logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{matrix_gradient, noise};
    use crate::ops::linear::unit_rows;
    use crate::ops::tape::matrix;

    const ALL: [Imitation; 3] = [Imitation::MeanSquare, Imitation::Cosine, Imitation::Relational(0.3)];

    #[test]
    fn gradients_are_slopes_through_unit_length_and_without() {
        let student = matrix(noise(5 * 4, 1), 5, 4);
        let teacher = unit_rows(matrix(noise(5 * 4, 2), 5, 4));
        for by in ALL {
            let loss = |x: &Matrix| imitate(unit_rows(x.leaky_trace()), &teacher, by);
            let grads = loss(&student).backward();
            matrix_gradient("unit", &student, &grads, 1e-3, 1e-2, |x| loss(x).array());
            let plain = |x: &Matrix| imitate(x.leaky_trace(), &teacher, by);
            let grads = plain(&student).backward();
            matrix_gradient("as it is", &student, &grads, 1e-3, 1e-2, |x| plain(x).array());
        }
    }

    #[test]
    fn who_does_as_the_teacher_has_no_loss_and_no_gradient() {
        let teacher = unit_rows(matrix(noise(5 * 4, 2), 5, 4));
        for by in ALL {
            let loss = imitate(unit_rows(teacher.leaky_trace()), &teacher, by);
            assert!(loss.array().abs() < 1e-6, "{by:?}");
            let grads = loss.backward();
            let grad = grads.get(&teacher);
            assert!(data(&grad).iter().all(|g| g.abs() < 1e-6), "{by:?}");
        }
    }

    #[test]
    fn relations_ask_for_no_equal_width_and_do_not_change_in_a_turned_space() {
        let narrow = unit_rows(matrix(noise(6 * 3, 3), 6, 3));
        let wide: Vec<f32> = data(&narrow).chunks(3).flat_map(|x| [0.0, x[2], -x[0], 0.0, x[1]]).collect();
        let wide = matrix(wide, 6, 5);
        let by = Imitation::Relational(0.1);
        assert!(imitate(narrow, &wide, by).array().abs() < 1e-6);
    }

    #[test]
    fn one_item_or_none_is_like_nothing() {
        let one = matrix(vec![1.0, 0.0], 1, 2);
        assert_eq!(imitate(one.clone(), &one, Imitation::Relational(0.1)).array(), 0.0);
        assert_eq!(relational(&[], &[], 0, 0.1), Value { value: 0.0, grad: Vec::new() });
        assert_eq!(mean_square(&[], &[]).value, 0.0);
        assert_eq!(mean_cosine(&[], &[], 3).value, 0.0);
    }

    #[test]
    fn what_is_not_a_number_is_told() {
        let bad = [1.0, f32::NAN, 0.2, 1.0];
        assert!(relational(&bad, &[1.0, 0.1, 0.1, 1.0], 2, 0.1).value.is_nan());
        assert!(mean_square(&[f32::NAN], &[1.0]).value.is_nan());
    }
}
