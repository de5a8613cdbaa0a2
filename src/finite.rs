//! Tensors from files hold finite numbers: where one does not, the error says which and where, and nothing is computed with it.

use std::path::Path;

use rayon::prelude::*;

use crate::{Error, Result};

/// Numbers that are looked at before the answer is asked for: the loop over them has no branch and becomes wide instructions.
const BLOCK: usize = 1 << 12;

/// The place of the first number that is NaN or infinite.
pub fn first_fault(x: &[f32]) -> Option<usize> {
    let sound = |block: &[f32]| block.iter().fold(true, |sound, v| sound & v.is_finite());
    let block = x.par_chunks(BLOCK).position_first(|block| !sound(block))?;
    x[block * BLOCK..].iter().position(|v| !v.is_finite()).map(|at| block * BLOCK + at)
}

/// Refuses a tensor of a file with a number that is not finite.
///
/// # Errors
/// Data, naming the file, the tensor, the row and column (from 0) and the number.
pub fn check(file: &Path, name: &str, shape: &[usize], x: &[f32]) -> Result<()> {
    match first_fault(x) {
        None => Ok(()),
        Some(at) => {
            let place = place(shape, at);
            Err(Error::data(format!("`{name}` has {} in {place}", x[at])).at(file).hint(HINT))
        }
    }
}

const HINT: &str = "numbers must be finite: make the file again, or copy it again if it was damaged";

/// A place in a tensor in words: row and column of a matrix, counted from 0.
fn place(shape: &[usize], at: usize) -> String {
    match *shape {
        [_, columns] if columns > 0 => {
            format!("row {}, column {} (both from 0)", at / columns, at % columns)
        }
        _ => format!("number {at} (from 0)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_is_not_finite_is_found() {
        let mut x = vec![f32::MAX; 3 * BLOCK + 5];
        assert_eq!(first_fault(&x), None);
        for (at, value) in [(3 * BLOCK + 4, f32::NAN), (BLOCK, f32::INFINITY), (0, f32::NEG_INFINITY)] {
            x[at] = value;
            assert_eq!(first_fault(&x), Some(at));
        }
        assert_eq!(first_fault(&[]), None);
    }

    #[test]
    fn the_error_names_file_tensor_row_and_value() {
        let matrix = check(Path::new("a.bin"), "m", &[2, 3], &[0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0]);
        let text = matrix.unwrap_err().to_string();
        assert!(text.starts_with("`a.bin`: `m` has NaN in row 1, column 1 (both from 0)\nhint: "), "{text}");
        let vector = check(Path::new("a.bin"), "v", &[2], &[0.0, f32::INFINITY]).unwrap_err().to_string();
        assert!(vector.contains("`v` has inf in number 1 (from 0)"), "{vector}");
    }
}
