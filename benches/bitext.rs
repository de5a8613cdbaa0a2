//! Bitext retrieval of 100,000 × 100,000 sentences, 512 wide, both ways by cosine and margin: `cargo bench --bench bitext`. Beside it stands
//! NumPy: `python benches/bitext.py`.

use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tinyglot::eval::mining::mine;

fn main() -> tinyglot::Result<()> {
    let (n, width) = (100_000, 512);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut noise = || rng.random_range(-1.0f32..1.0);
    let mut x: Vec<f32> = (0..n * width).map(|_| noise()).collect();
    let mut y: Vec<f32> = x.iter().map(|x| x + 3.2 * noise()).collect();
    for row in x.chunks_exact_mut(width).chain(y.chunks_exact_mut(width)) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    let start = Instant::now();
    let [forth, back] = mine(&x, &y, width)?;
    let seconds = start.elapsed().as_secs_f64();
    let gflops = 2.0 * (n * n) as f64 * width as f64 / seconds / 1e9;
    println!("{seconds:.1} s, {gflops:.0} GFLOP/s, {forth:?}, {back:?}");
    Ok(())
}
