//! Two budgets of parameters, two trials each, and the front of recall against parameters.
//!
//!     cargo run --release --example 01-train
//!     cargo run --release --example 04-sweep

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use tinyglot::Result;
use tinyglot::cli::{self, Cli};
use tinyglot::eval::front;
use tinyglot::sweep::local::{self, Local};
use tinyglot::sweep::{Plan, Row, SweepFolder};

const SWEEP: &str = r#"
base = "config.toml"
set = { train.epochs = 3 }
[axes]
"embedding.top_k" = [0, 100]
"text.joint" = [16, 64]
"#;

fn main() -> ExitCode {
    // A trial is a process of its own: a program, here this one, with the arguments of `tinyglot train`.
    let ended = match std::env::args().len() {
        1 => sweep(),
        _ => cli::run(Cli::parse()),
    };
    ended.map_or_else(|error| cli::failed(&error).into(), |()| ExitCode::SUCCESS)
}

fn sweep() -> Result<()> {
    let folder = Path::new("runs/examples");
    std::fs::write(folder.join("sweep.toml"), SWEEP).expect("the folder that 01-train has made");
    let plan = Plan::load(&folder.join("sweep.toml"), &[])?;
    let all: Vec<usize> = (0..plan.trials.len()).collect();
    let local = Local {
        jobs: 2,
        threads: 2,
        retries: 0,
        fail_fast: true,
        memory: None,
        cache: folder.join("sweep/cache"), // vectors and pretraining, where trials share them
        program: std::env::current_exe().expect("this program"),
    };
    let (place, stop) = (SweepFolder::new(&folder.join("sweep")), AtomicBool::new(false));
    let rows = local::run(&plan, &all, &place, &local, &stop, &mut |_| ())?;
    let point = |row: &Row| Some((row.parameters_train? as f64, row.test.as_ref()?.a));
    for n in front(&rows.iter().map(point).collect::<Vec<_>>()) {
        let (parameters, recall) = point(&rows[n]).expect("what is on the front was measured");
        println!("{parameters:8} parameters: mean recall {recall:.1} %  {}", rows[n].title());
    }
    Ok(())
}
