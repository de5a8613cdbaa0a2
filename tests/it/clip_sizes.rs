//! Sizes of checkpoints that a configuration says: what a sweep counts of where there is none, and checks where there is one.

use std::path::Path;

use tempfile::TempDir;

use crate::acquisition::write;
use crate::corpus::refused;
use crate::{run, text};

/// configs/sweeps/mla-clip.toml: MLA on the CLIPs of the supplement's table 2, and CMA.
#[test]
fn a_dry_run_counts_towers_of_every_size_without_their_checkpoints() {
    let folder = TempDir::new().expect("a folder");
    write(folder.path());
    let sweep = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder"))
        .join("configs/sweeps/mla-clip.toml");
    let (root, out) = (format!("data.root='{}/data'", folder.path().display()), folder.path().join("out"));
    let ran = run(&[
        "sweep",
        text(&sweep),
        "--dry-run",
        "--out",
        text(&out),
        "--set",
        &root,
        "--set",
        "data.languages=['en','de','fr']",
        "--set",
        "data.captions=[{languages=['en','de','fr'],files=['{split}.{language}']}]",
        "--set",
        "acquire.nlt.source='train.en'",
        "--set",
        "acquire.nlt.target='train.{language}'",
    ]);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let listed = ran.stdout;
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    // Widths of the text towers and of the joint spaces.
    let sizes =
        [[512, 1024], [512, 512], [640, 640], [768, 768], [1024, 1024], [512, 512], [512, 512], [768, 768]];
    let acquirer = |width: usize| 12 * (256 * (2 * width + 1) + width);
    let words = 119_547 * 768;
    let mut memory = Vec::new();
    for (row, [width, joint]) in rows.iter().zip(sizes) {
        let place = row.iter().position(|word| *word == "GB").unwrap_or_else(|| panic!("{listed}"));
        let trained = words + 769 * width + 2 * acquirer(width);
        let block = 12 * width * width + 13 * width;
        let frozen = 77 * width + 12 * block + 2 * width + (width + 1) * joint;
        let test = frozen + 2 * acquirer(width);
        assert_eq!([row[place - 3], row[place - 2]], [trained.to_string(), test.to_string()], "{listed}");
        memory.push(row[place - 1].parse::<f64>().expect("memory"));
    }
    assert_eq!(acquirer(512), 12 * 262_912);
    // Table, moments and blocks: the widest tower takes most, and none less than the table thrice.
    assert!(memory.iter().all(|m| *m > 12e-9 * words as f64 && *m <= memory[4]), "{memory:?}");
    let cma = rows.last().expect("CMA");
    assert!(cma.contains(&(769 * 512 + 3 * acquirer(768)).to_string().as_str()), "{listed}");
    assert_eq!(rows.len(), 9);
}

#[test]
fn a_checkpoint_with_other_sizes_than_said_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let (config, out) = (write(folder.path()), folder.path().join("run"));
    let arguments = ["train", text(&config), "--out", text(&out), "--set"];
    let refuse = |sizes: &str, said: &str| {
        let set = format!("acquire.sizes={sizes}");
        refused(&[&arguments[..], &[&set]].concat(), 3, &[said]);
        assert!(!out.exists(), "nothing is left");
    };
    refuse("{width=512}", "`acquire.sizes.width` is 512, and the checkpoint has 16");
    refuse("{width=16,layers=3}", "`acquire.sizes.joint` is 512, and the checkpoint has 12");
    refuse("{width=16,layers=3,joint=12}", "`acquire.sizes.words` is 119547, and the checkpoint has");
}
