//! `tinyglot sweep` on several machines: a trial by its index, job arrays, indexed jobs, and halving among them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::sweep::{arguments, place, rows, sweep, went_well};
use crate::{ended, tinyglot};

#[test]
fn one_trial_is_run_by_its_index() {
    let place = place("set = { train.epochs = 1 }\n[axes]\n'embedding.top_k' = [0, 20]\n");
    let listed = sweep(&place, &["--dry-run"]).stdout;
    assert!(listed.contains("pending") && listed.contains("embedding.top_k=20, seed 0"), "{listed}");
    assert!(!place.path().join("out").exists(), "nothing is written");
    went_well(&sweep(&place, &["--index", "1"]));
    let status: Vec<_> = rows(&place).iter().map(|row| row["status"].as_str().unwrap().to_string()).collect();
    assert_eq!(status, ["pending", "done"]);
    let ran = sweep(&place, &["--index", "2"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.stderr.contains("there is no trial 2: the sweep has 2"), "{}", ran.stderr);
}

#[test]
fn a_job_array_and_an_indexed_job_name_the_trials_that_are_left() {
    let place = place("seeds = [0, 1, 2]\nset = { train.epochs = 1 }");
    went_well(&sweep(&place, &["--index", "1"]));
    let started = |more: &[&str]| {
        let mut command = tinyglot();
        // No `sbatch` there.
        command.args(arguments(&place, more)).env("PATH", place.path()).current_dir(place.path());
        ended(command.output().expect("the command starts"))
    };
    let ran = started(&["--slurm", "--threads", "1"]);
    went_well(&ran);
    assert!(ran.stderr.contains("there is no `sbatch` here"), "{}", ran.stderr);
    let script = fs::read_to_string(ran.stdout.trim()).expect("a script");
    assert!(script.contains("#SBATCH --array=0,2\n") && script.contains("/sweep.toml --out "), "{script}");
    let ran = started(&["--kubernetes", "tinyglot:1", "--threads", "1"]);
    went_well(&ran);
    let job = fs::read_to_string(ran.stdout.trim()).expect("a job");
    assert!(job.contains("completions: 2\n") && job.contains("set -- 0 2; "), "{job}");

    // The script does what it says, as Slurm would start it.
    let task =
        Command::new("sh").arg(place.path().join("out/slurm.sh")).env("SLURM_ARRAY_TASK_ID", "2").output();
    went_well(&ended(task.expect("the shell starts")));
    let status: Vec<_> = rows(&place).iter().map(|row| row["status"].as_str().unwrap().to_string()).collect();
    assert_eq!(status, ["pending", "done", "done"]);
}

#[test]
fn halving_on_several_machines_decides_as_on_one() {
    let text = "set = { train.epochs = 3 }\n[axes]\n'embedding.top_k' = [0, 10, 20, 30]\n";
    let text = format!("{text}[halving]\nrungs = [1, 2]\nkeep = 0.5\n");
    let (one, several) = (place(&text), place(&text));
    went_well(&sweep(&one, &["--jobs", "2"]));
    let status = |row: &Value| row["status"].as_str().expect("a status").to_string();
    for round in 0..3 {
        for index in 0..4 {
            let ran = sweep(&several, &["--index", &index.to_string()]);
            went_well(&ran);
            if round == 0 && index < 3 {
                let left = 3 - index;
                let said = format!("{left} other trials have not come to epoch 1");
                assert!(ran.stderr.contains(&said), "{}", ran.stderr);
            }
        }
    }
    let found = rows(&several);
    assert_eq!(found.iter().filter(|row| status(row) == "done").count(), 1);
    for (a, b) in rows(&one).iter().zip(&found) {
        assert_eq!((status(a), &a["rungs"], &a["test"]), (status(b), &b["rungs"], &b["test"]));
    }
}

#[cfg(unix)]
#[test]
fn slurm_is_asked_for_a_job_a_rung_each_after_the_last() {
    use std::os::unix::fs::PermissionsExt;
    let place = place("seeds = [0, 1]\n[halving]\nrungs = [1]\nkeep = 0.5\n");
    let (asked, sbatch) = (place.path().join("asked"), place.path().join("sbatch"));
    // Its jobs have the numbers 1, 2, …
    let stub = format!("#!/bin/sh\necho \"$@\" >> '{0}'\necho $(wc -l < '{0}')\\;here\n", asked.display());
    fs::write(&sbatch, stub).expect("written");
    fs::set_permissions(&sbatch, fs::Permissions::from_mode(0o755)).expect("allowed");
    let mut command = tinyglot();
    let path = format!("{}:/usr/bin:/bin", place.path().display());
    let ran =
        ended(command.args(arguments(&place, &["--slurm"])).env("PATH", path).output().expect("it starts"));
    went_well(&ran);
    let script = ran.stdout.trim();
    let expected = format!("--parsable {script}\n--parsable --dependency=afterany:1 {script}\n");
    assert_eq!(fs::read_to_string(&asked).expect("asked"), expected);
    assert!(ran.stderr.contains("submitted as job 2"), "{}", ran.stderr);
}
