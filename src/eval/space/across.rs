//! The nearest sentences across languages.

use crate::eval::similarity::each_row;

/// For each row the nearest row of each side but its own, as its place and cosine; the first of equal ones. `vectors` (rows, width), unit length;
/// `ends`: where each side ends among the rows, rising. At a row's own side stands nothing.
pub fn across(vectors: &[f32], width: usize, ends: &[usize]) -> Vec<Vec<Option<(usize, f32)>>> {
    let sides: Vec<(usize, usize)> =
        ends.iter().enumerate().map(|(n, &end)| (if n == 0 { 0 } else { ends[n - 1] }, end)).collect();
    each_row(vectors, vectors, width, |row, scores| {
        let of = |&(first, end): &(usize, usize)| {
            let own = (first..end).contains(&row);
            let better = |best: Option<(usize, f32)>, n: usize| match best {
                Some((_, most)) if scores[n] <= most => best,
                _ => Some((n, scores[n])),
            };
            (first..end).filter(|_| !own).fold(None, better)
        };
        sides.iter().map(of).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_the_nearest_of_every_other_side() {
        let vectors = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8, 0.8, 0.6, 0.6, 0.8];
        let found = across(&vectors, 2, &[2, 4, 5]);
        assert_eq!(found[0], [None, Some((3, 0.8)), Some((4, 0.6))]);
        assert_eq!(found[3], [Some((0, 0.8)), None, Some((4, 0.96000004))]);
        let equal = across(&[1.0, 1.0, 1.0, 1.0], 1, &[1, 4]);
        assert_eq!(equal[0], [None, Some((1, 1.0))], "the first of equal ones");
        assert_eq!(equal[3], [Some((0, 1.0)), None]);
    }
}
