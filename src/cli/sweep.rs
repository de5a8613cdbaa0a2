//! `tinyglot sweep`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::progress::{Progress, time};
use super::terminal::Terminal;
use super::{interrupt, program, report, stdout};
use crate::config::Precision;
use crate::error::{InFile, Kind};
use crate::estimate::{self as need, Estimate};
use crate::eval::front;
use crate::sweep::cluster::Tasks;
use crate::sweep::local::{Event, Local};
use crate::sweep::{Cost, Plan, Row, Status, SweepFolder, Trial};
use crate::sweep::{cluster, estimate, local};
use crate::write::write_whole;
use crate::{Error, Result};

/// Train many variants of a model and compare them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A sweep file names a configuration (`base`), `seeds`, and what varies: `[axes]` of values, ranges or random samples, and
named `[[variants]]`; trials are variants × axes × seeds. Each trial is a process of its own. The same command goes on
where it stopped, also when the file has more trials than before. Ctrl-C lets trials save and stops. What trials share
(FastText vectors, alignment, latent vocabulary) is computed once. The best checkpoint on validation is measured on test.
Each trial is packed, and what was packed is measured when all are done: microseconds from a sentence to its vector on one thread, and memory
(`tinyglot cost`). These are columns, and axes of the front, as parameters and bytes are (`--by`); they differ from one measurement to the next.
The page draws recall against them; `[plot] x = \"KEY\"` draws any key that is a number too, or `languages`, how many
there are, and `log = true` in powers of ten. `evaluate` measures every trial further, by lists of arguments of
`tinyglot evaluate RUN` with paths from the folder of the sweep's file, and `by` names the figure to compare trials by:
  evaluate = [['--task', 'sts', '--sts', 'stsb-{language}-dev.csv']]
  by = 'sts/stsb-dev/spearman/en'

Examples:
  tinyglot sweep configs/sweeps/budget-multi30k-8k.toml --set data.root=DIR --out sweeps/budget
  tinyglot sweep configs/sweeps/budget-multi30k-8k.toml --dry-run
  tinyglot report sweeps/budget")]
pub struct Args {
    /// Sweep file (TOML)
    #[arg(value_name = "SWEEP")]
    pub sweep: PathBuf,
    /// Folder of the trials and results [default: sweeps/ and the name of the sweep file]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Trials at a time [default: as many as threads]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Starts anew of a trial that failed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub retries: u32,
    /// Stop all trials when one is given up
    #[arg(long)]
    pub fail_fast: bool,
    /// List the trials and run none
    #[arg(long, conflicts_with = "index")]
    pub dry_run: bool,
    /// Memory that trials may need together, in GB; 0 has no limit [default: what is free]
    ///
    /// Trials wait until there is enough for them; one that needs more than there is at all is refused.
    #[arg(long, value_name = "GB")]
    pub memory: Option<f64>,
    /// Run one trial, counted from 0; with `[halving]` to the rung at which others are waited for
    #[arg(long, value_name = "N", conflicts_with = "jobs")]
    pub index: Option<usize>,
    /// Write DIR/slurm.sh, a job array with a task for each trial, and submit it
    ///
    /// Every machine must see the sweep, its data and DIR at the same paths. Options go to `sbatch` by its SBATCH_…
    /// variables; where there is no `sbatch`, the script is only written. When all tasks are done, the same command without
    /// `--slurm` writes the report.
    #[arg(long, conflicts_with_all = ["index", "dry_run"])]
    pub slurm: bool,
    /// Write DIR/job.yaml, an indexed Job with a task for each trial in this image
    ///
    /// Tasks see the current folder, at its path, as the volume of the claim `tinyglot`.
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["index", "dry_run", "slurm"])]
    pub kubernetes: Option<String>,
    /// Set a key in all trials, e.g. data.root=DIR; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Cost whose front the table marks, and the page shows first: trained parameters, those at test time, bytes as packed, time of a
    /// sentence, or memory
    #[arg(long, value_name = "COST", default_value = Cost::default().name(), value_parser = report::cost())]
    pub by: Cost,
    /// Folder that keeps what trials share [default: cache/ in the sweep's folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

pub fn run(args: Args, terminal: &Terminal) -> Result<()> {
    let plan = Plan::load(&args.sweep, &args.set)?;
    plan.evaluate.iter().try_for_each(|one| super::check_evaluation(one)).in_file(&args.sweep)?;
    swept(&args, &plan, terminal).in_file_if(Kind::Config, &args.sweep)
}

fn swept(args: &Args, plan: &Plan, terminal: &Terminal) -> Result<()> {
    let name = args.sweep.file_stem().unwrap_or(args.sweep.as_os_str());
    let path = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(name));
    let folder = SweepFolder::new(&path);
    if args.dry_run {
        return list(args, plan, &folder, terminal);
    }
    if args.slurm || args.kubernetes.is_some() {
        return hand_over(args, plan, &folder, terminal);
    }
    let places: Vec<usize> = match args.index {
        None => (0..plan.trials.len()).collect(),
        Some(index) if index < plan.trials.len() => vec![index],
        Some(index) => {
            let what = format!("there is no trial {index}: the sweep has {}", plan.trials.len());
            return Err(Error::usage(what).at(&args.sweep).hint("`--dry-run` lists the trials, from 0 on"));
        }
    };
    let (rows, waits) = work(args, plan, &places, &folder, terminal)?;
    let chosen: Vec<&Row> = places.iter().map(|&place| &rows[place]).collect();
    if args.index.is_none() {
        stdout::print(&table(&rows, args.by))?;
        terminal.say(&format!("report: {}", report::write_sweep(&path, args.by)?.display()));
    }
    ended(&chosen, waits, interrupt::flag().load(Ordering::SeqCst), &path)
}

/// Runs the trials and tells how they go; whether they wait for others at a rung of the halving.
fn work(
    args: &Args,
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    terminal: &Terminal,
) -> Result<(Vec<Row>, bool)> {
    let threads = rayon::current_num_threads();
    let local = Local {
        jobs: jobs(args),
        threads,
        memory: memory(args, plan, places, folder, terminal)?,
        retries: args.retries,
        fail_fast: args.fail_fast,
        cache: args.cache.clone().unwrap_or_else(|| folder.path.join("cache")),
        program: program()?,
    };
    let states = places.iter().map(|&place| {
        let trial = &plan.trials[place];
        Ok(folder.trial(&trial.id).state(trial)?.reached(None, &plan.evaluate) as u64)
    });
    let done = states.sum::<Result<u64>>()?;
    terminal.say(&format!("{} trials, {done} done before", places.len()));
    match folder.others(&plan.trials) {
        0 => {}
        others => {
            terminal.say(&format!("{others} trials that the sweep no longer has are kept, but not shown"))
        }
    }
    let mut waits = false;
    let mut bar = Progress::new(terminal, "trials", places.len() as u64).resumed_at(done);
    let rows = local::run(plan, places, folder, &local, interrupt::flag(), &mut |event| match event {
        Event::Began { trial, attempt } => {
            let again = if attempt > 1 { ", again" } else { "" };
            terminal.say(&format!("`{}` ({}) begins{again}", trial.title(), trial.id));
        }
        Event::Done { trial, row } => {
            let [val, test] = [&row.val, &row.test].map(|e| e.as_ref().map_or(f64::NAN, |e| e.a));
            let took = time(Duration::from_secs_f64(row.seconds));
            let by = row.chosen.as_ref().map_or(String::new(), |f| format!(", {} {:.1}", f.of, f.value));
            terminal.say(&format!("`{}` is done: val {val:.1}, test {test:.1}{by}, {took}", trial.title()));
            bar.advance(1);
        }
        Event::Failed { trial, error, again } => {
            let next = if again { "it is tried again" } else { "it is given up" };
            terminal.warn(&format!("`{}` ({}) failed, {next}: {error}", trial.title(), trial.id));
        }
        Event::Rung { epoch, kept, of, dropped } => {
            terminal.say(&format!("after epoch {epoch}, {kept} of {of} trials go on"));
            bar.advance(dropped as u64);
        }
        Event::Waits { epoch, trials } => {
            waits = true;
            terminal.say(&format!(
                "{trials} other trials have not come to epoch {epoch}: when they have, the same command goes on"
            ));
        }
        Event::Measures { trials } => {
            terminal.say(&format!("measuring what {trials} packed models cost in use"));
        }
        Event::Elsewhere { trials } => {
            terminal.say(&format!("waiting for {trials} trials that another process works on"));
        }
    })?;
    bar.finish();
    Ok((rows, waits))
}

/// An error where not all is done that could be.
fn ended(rows: &[&Row], waits: bool, interrupted: bool, path: &Path) -> Result<()> {
    let count = |status: Status| rows.iter().filter(|row| row.status == status).count();
    let (done, failed) = (count(Status::Done), count(Status::Failed));
    let stopped = |hint: &str| {
        let what = format!("interrupted with {done} of {} trials done", rows.len());
        Err(Error::stopped(what).at(path).hint(hint))
    };
    if interrupted && done + count(Status::Dropped) < rows.len() {
        return stopped("the same command goes on from there");
    }
    if failed > 0 {
        let what = format!("{failed} of {} trials failed", rows.len());
        return Err(Error::run(what).at(path).hint(
            "`results.csv` says why, `trials/ID/log.txt` has all they said; the same command tries them again",
        ));
    }
    if done + count(Status::Dropped) < rows.len() && !waits {
        return stopped("a trial was stopped; the same command goes on from there");
    }
    Ok(())
}

/// Trials at a time.
fn jobs(args: &Args) -> usize {
    match args.index {
        Some(_) => 1,
        None => args.jobs.map_or_else(rayon::current_num_threads, NonZeroUsize::get),
    }
}

/// What trials may need together and what each needs, where both are known; refuses those that can never fit.
fn memory(
    args: &Args,
    plan: &Plan,
    places: &[usize],
    folder: &SweepFolder,
    terminal: &Terminal,
) -> Result<Option<(u64, Vec<u64>)>> {
    let given = args.memory.map(|gigabytes| (gigabytes * 1e9) as u64);
    let (total, free) = match given {
        Some(0) => return Ok(None),
        Some(bytes) => (bytes, bytes),
        None => match need::machine() {
            Some(machine) => machine,
            None => return Ok(None),
        },
    };
    let mut notes = Vec::new();
    let estimates = estimate::of(plan, places, folder, &mut notes)?;
    // What cannot be read, the trials themselves will tell.
    notes.iter().for_each(|note| terminal.detail(note));
    estimate::refuse_too_large(plan, places, &estimates, total)?;
    Ok(Some((free, estimates.iter().map(|e| e.memory.unwrap_or(0)).collect())))
}

fn list(args: &Args, plan: &Plan, folder: &SweepFolder, terminal: &Terminal) -> Result<()> {
    let mut notes = Vec::new();
    let all: Vec<usize> = (0..plan.trials.len()).collect();
    let estimates = estimate::of(plan, &all, folder, &mut notes)?;
    notes.iter().for_each(|note| terminal.warn(note));
    let mut text =
        format!("index  {:8}  status   parameters     at test  memory  updates      time  trial\n", "id");
    let dash = || "–".to_string();
    let (mut left, mut unknown, mut guessed) = (0.0, 0, 0);
    let threads = rayon::current_num_threads() / jobs(args).max(1);
    let mut rates: Vec<(Precision, f64)> = Vec::new();
    let mut guess = |trial: &Trial, estimate: &Estimate| {
        let (products, precision) = (estimate.products?, trial.config.train().precision);
        if rates.iter().all(|(known, _)| *known != precision) {
            rates.push((precision, need::rate(precision)));
        }
        let rate = rates.iter().find(|(known, _)| *known == precision)?.1;
        Some(need::seconds(products, rate, threads))
    };
    for (n, (trial, estimate)) in plan.trials.iter().zip(&estimates).enumerate() {
        let state = folder.trial(&trial.id).state(trial)?;
        let (train, test) =
            estimate.parameters.map_or((dash(), dash()), |(a, b)| (a.to_string(), b.to_string()));
        let memory = estimate.memory.map_or(dash(), |bytes| format!("{:.1} GB", bytes as f64 / 1e9));
        let updates = estimate.updates.map_or(dash(), |n| n.to_string());
        let (sign, seconds) = match estimate.seconds {
            None => ("~", guess(trial, estimate)),
            known => ("", known),
        };
        let took = seconds.map_or(dash(), |s| format!("{sign}{}", time(Duration::from_secs_f64(s))));
        if !matches!(state.status, Status::Done | Status::Dropped) {
            let (epochs, passed) = (trial.config.train().epochs, state.rungs.len());
            let share = plan.halving.as_ref().map_or(1.0, |halving| halving.left(epochs, passed));
            left += share * seconds.unwrap_or(0.0);
            unknown += usize::from(seconds.is_none());
            guessed += usize::from(estimate.seconds.is_none() && seconds.is_some());
        }
        let (status, title) = (state.status.to_string(), trial.title());
        text += &format!(
            "{n:5}  {:8}  {status:7}  {train:>10}  {test:>10}  {memory:>6}  {updates:>7}  {took:>8}  {title}\n",
            trial.id
        );
    }
    stdout::print(&text)?;
    let jobs = jobs(args);
    let all = time(Duration::from_secs_f64(left / jobs as f64));
    if guessed > 0 {
        terminal.say(
            "times with ~ are guessed from the products of training and this processor's rate, without FastText and evaluation; \
             a trial that is done replaces them",
        );
    }
    terminal.say(&match unknown {
        0 => format!("{all} left, {jobs} at a time"),
        _ => format!("how long {unknown} of them take is not known: no trial like them is done"),
    });
    Ok(())
}

/// Writes, and for Slurm submits, what runs the trials elsewhere.
fn hand_over(args: &Args, plan: &Plan, folder: &SweepFolder, terminal: &Terminal) -> Result<()> {
    let full = |path: &Path| std::path::absolute(path).map_err(|e| Error::reading(path, e));
    let (file, out) = (full(&args.sweep)?, full(&folder.path)?);
    let mut inside = vec![file.clone(), out.clone()];
    inside.extend(plan.trials.iter().map(|trial| trial.config.data().root.clone()));
    let program = match &args.kubernetes {
        // In the image it has its own place.
        Some(_) => "tinyglot".to_string(),
        None => program()?.display().to_string(),
    };
    let mut command = vec![program, "sweep".to_string(), file.display().to_string()];
    command.extend(["--out".to_string(), out.display().to_string()]);
    command.extend(["--retries".to_string(), args.retries.to_string()]);
    for set in &args.set {
        command.extend(["--set".to_string(), set.clone()]);
    }
    if let Some(cache) = &args.cache {
        let cache = full(cache)?;
        command.extend(["--cache".to_string(), cache.display().to_string()]);
        inside.push(cache);
    }
    let mut indices = Vec::new();
    for (n, trial) in plan.trials.iter().enumerate() {
        if !folder.trial(&trial.id).state(trial)?.reached(None, &plan.evaluate) {
            indices.push(n);
        }
    }
    if indices.is_empty() {
        terminal.say("all trials are done");
        return Ok(());
    }
    let mut notes = Vec::new();
    let estimates = estimate::of(plan, &indices, folder, &mut notes)?;
    notes.iter().for_each(|note| terminal.warn(note));
    let tasks = Tasks {
        name: cluster::job_name(&file.file_stem().unwrap_or_default().to_string_lossy()),
        command,
        // A measured one is no limit for another seed.
        memory: indices.iter().filter_map(|&n| estimates[n].memory).max().map(|bytes| bytes + bytes / 4),
        indices,
        at_a_time: args.jobs.map(NonZeroUsize::get),
        threads: rayon::current_num_threads(),
        retries: args.retries,
        out: out.clone(),
    };
    folder.write_results(plan)?;
    // From rung to rung, and to the end.
    let rounds = plan.halving.as_ref().map_or(1, |halving| halving.rungs.len() + 1);
    match &args.kubernetes {
        Some(image) => {
            let here = Path::new(".").canonicalize().map_err(|e| Error::reading(Path::new("."), e))?;
            let job = cluster::kubernetes_job(&tasks, image, &here, &inside)?;
            let path = out.join("job.yaml");
            write_whole(&path, job.as_bytes())?;
            if rounds > 1 {
                terminal.say(&format!(
                    "the job brings trials to the next rung of `[halving]`: apply it {rounds} times, each when the last is complete"
                ));
            }
            stdout::print(&format!("{}\n", path.display()))
        }
        None => {
            let path = out.join("slurm.sh");
            let logs = out.join("slurm");
            std::fs::create_dir_all(&logs).map_err(|e| Error::writing(&logs, e))?;
            write_whole(&path, cluster::slurm_script(&tasks).as_bytes())?;
            submit(&path, rounds, terminal)?;
            stdout::print(&format!("{}\n", path.display()))
        }
    }
}

/// Submits a script so many times, each to begin when the last has ended.
fn submit(script: &Path, rounds: usize, terminal: &Terminal) -> Result<()> {
    let mut last = None;
    for _ in 0..rounds {
        last = cluster::submit(script, last.as_deref())?;
        let Some(job) = &last else {
            let times =
                if rounds > 1 { format!(" {rounds} times, one after the other") } else { String::new() };
            terminal.say(&format!("there is no `sbatch` here: submit the script where there is{times}"));
            return Ok(());
        };
        terminal.say(&format!("submitted as job {job}"));
    }
    Ok(())
}

/// The results for people; `*` marks the front of a cost and mean recall on test.
fn table(rows: &[Row], by: Cost) -> String {
    let figure = rows.iter().find_map(|row| row.chosen.as_ref()).map(|figure| figure.of.as_str());
    let column = figure.map_or(String::new(), |of| format!("  {of}"));
    let mut text = format!(
        "{:8}  status   parameters  packed, MB       µs  memory, MB  val A  test A  front{column}  trial\n",
        "id"
    );
    let one = |x: Option<f64>| x.map_or("–".to_string(), |x| format!("{x:.1}"));
    let test = |row: &Row| row.test.as_ref().map(|e| e.a);
    let points: Vec<Option<(f64, f64)>> = rows.iter().map(|row| by.of(row).zip(test(row))).collect();
    let on_front = front(&points);
    for (n, row) in rows.iter().enumerate() {
        let parameters = row.parameters_train.map_or("–".to_string(), |n| n.to_string());
        let [packed, memory] = [Cost::Packed, Cost::Memory].map(|cost| one(cost.of(row).map(|n| n / 1e6)));
        let time = one(Cost::Time.of(row));
        let [val, test] = [row.val.as_ref().map(|e| e.a), test(row)].map(one);
        let status = row.status.to_string();
        let mark = if on_front.contains(&n) { "*" } else { "" };
        let chosen = figure.map_or(String::new(), |of| {
            format!("  {:>width$}", one(row.chosen.as_ref().map(|f| f.value)), width = of.chars().count())
        });
        text += &format!(
            "{:8}  {status:7}  {parameters:>10}  {packed:>10}  {time:>7}  {memory:>10}  {val:>5}  {test:>6}  {mark:5}{chosen}  {}\n",
            row.id,
            row.title()
        );
    }
    text
}
