//! Pictures of the space of vectors: points in the plane whose neighbours are those of the vectors ([`tsne`]), languages by how alike their
//! vectors are ([`svcca`], [`eigenmap`]), and nearest sentences across languages ([`across`]).
//!
//! All of it depends on the vectors and the seed alone, to the bit, whatever the number of threads: threads share out rows, and what is added up
//! over rows is added up in their order.

pub mod across;
mod eigen;
pub mod eigenmap;
pub mod svcca;
pub mod trust;
pub mod tsne;

/// A point of the plane.
pub type Point = [f64; 2];

#[cfg(test)]
mod tests {
    use crate::gradcheck::noise;

    /// Rows of unit length round some centres; row n belongs to centre n % centres.
    pub(super) fn clusters(rows: usize, width: usize, centres: usize, seed: u64) -> Vec<f32> {
        let (centre, noise) = (noise(centres * width, seed), noise(rows * width, seed + 100));
        let row = |n: usize| {
            let of = |i: usize| centre[n % centres * width + i] + 0.15 * noise[n * width + i];
            let row: Vec<f32> = (0..width).map(of).collect();
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.into_iter().map(move |x| x / length)
        };
        (0..rows).flat_map(row).collect()
    }
}
