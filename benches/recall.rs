//! Recall of 25,000 captions × 5,000 pictures, 512 wide: `cargo bench --bench recall`.

use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyglot::eval::retrieval;

fn unit_rows(n: usize, width: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..n * width).map(|_| rng.random_range(-1.0..1.0)).collect();
    for row in rows.chunks_exact_mut(width) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

fn main() -> tinyglot::Result<()> {
    let (captions, pictures, width) = (25_000, 5_000, 512);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let (c, p) = (unit_rows(captions, width, &mut rng), unit_rows(pictures, width, &mut rng));
    let image_of: Vec<u32> = (0..captions as u32).map(|c| c / 5).collect();
    for _ in 0..3 {
        let start = Instant::now();
        let recall = retrieval(&c, &image_of, &p, pictures, width)?;
        let seconds = start.elapsed().as_secs_f64();
        let gflops = 2.0 * (captions * pictures * width) as f64 / seconds / 1e9;
        println!("{seconds:.2} s, {gflops:.0} GFLOP/s, mR {:.3} (chance)", recall.mr);
    }
    Ok(())
}
