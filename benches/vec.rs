//! Time and memory of reading a large `.vec` for a small vocabulary.
//!
//! ```text
//! cargo bench --bench vec -- FILE [WORDS=2000000] [WIDTH=300] [NEEDED=50000]
//! ```
//! FILE is generated when it is not there (4.7 GB by default) and stays. The same file is also read without looking at it. On Linux both
//! happen twice: from the disk, whose pages are taken out of memory before, and from memory.

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use tinyglot::words::WordVectors;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let Some(path) = arguments.next() else {
        eprintln!("usage: cargo bench --bench vec -- FILE [WORDS] [WIDTH] [NEEDED]");
        return Ok(());
    };
    let numbers = arguments.map(|a| a.parse()).collect::<Result<Vec<usize>, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let (words, width, needed) = (number(0, 2_000_000), number(1, 300), number(2, 50_000));
    let path = Path::new(&path);
    if !path.exists() {
        generate(path, words, width)?;
    }
    let megabytes = path.metadata()?.len() as f64 / 1e6;
    let report = |what: &str, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        println!("{what}: {seconds:.2} s, {:.0} MB/s", megabytes / seconds);
    };

    // Every word whose number is a multiple of the step is needed.
    let wanted: HashSet<String> =
        (0..words).step_by((words / needed.max(1)).max(1)).take(needed).map(word).collect();
    let mut vectors = None;
    for (from, cold) in [("disk", true), ("memory", false)] {
        if cold && !forget(path)? {
            continue;
        }
        let start = Instant::now();
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer)? > 0 {}
        report(&format!("reading alone, from {from}"), start);
        if cold {
            forget(path)?;
        }
        let start = Instant::now();
        vectors = Some(WordVectors::open(path, &|word| wanted.contains(word))?);
        report(&format!("vectors, from {from}"), start);
    }
    let vectors = vectors.expect("read from memory at least");
    let found = wanted.iter().filter(|word| vectors.contains(word)).count();
    println!(
        "{found} of {needed} words × {}; most memory held: {}",
        vectors.width(),
        most_memory().unwrap_or_default()
    );
    Ok(())
}

fn word(number: usize) -> String {
    format!("wört{number}")
}

/// Numbers as FastText writes them: 4 decimals, a space at the end of the line.
fn generate(path: &Path, words: usize, width: usize) -> std::io::Result<()> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let numbers: Vec<String> = (0..4096).map(|_| format!("{:.4} ", rng.random::<f32>() - 0.5)).collect();
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{words} {width}")?;
    for number in 0..words {
        write!(file, "{} ", word(number))?;
        let at = rng.random_range(0..numbers.len());
        (0..width).try_for_each(|i| file.write_all(numbers[(at + i * 7) % numbers.len()].as_bytes()))?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Takes a file's pages out of memory, where that can be asked for.
fn forget(path: &Path) -> std::io::Result<bool> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::fd::AsRawFd;
        let file = File::open(path)?;
        file.sync_all()?;
        // SAFETY: the file is open; the call only advises.
        let done = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        Ok(done == 0)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    Ok(false)
}

/// Linux alone says.
fn most_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().to_string())
}
