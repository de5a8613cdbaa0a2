//! A sweep on several machines with a shared disk: a Slurm job array, or an indexed Kubernetes Job. Each task runs one
//! trial by its index.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result};

/// What a task is: `tinyglot sweep FILE … --index N`.
#[derive(Debug, Clone)]
pub struct Tasks {
    /// For the job: lower-case letters, digits and `-`.
    pub name: String,
    /// The program and its arguments, less the index and the threads. Paths are full.
    pub command: Vec<String>,
    /// The trials that are left, by index.
    pub indices: Vec<usize>,
    /// Tasks at a time, if they are limited.
    pub at_a_time: Option<usize>,
    /// Processor cores of a task.
    pub threads: usize,
    /// Bytes of memory of a task, where that is known.
    pub memory: Option<u64>,
    /// Starts anew of a task that failed.
    pub retries: u32,
    /// Folder of the sweep.
    pub out: PathBuf,
}

/// A name that job systems take.
pub fn job_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).take(50).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "sweep".into() } else { format!("sweep-{name}") }
}

/// The batch script of a job array. What it does not say (partition, time limit, account), `SBATCH_…` variables or
/// options of `sbatch` do.
pub fn slurm_script(tasks: &Tasks) -> String {
    let limit = tasks.at_a_time.map_or(String::new(), |n| format!("%{n}"));
    let memory = tasks.memory.map_or(String::new(), |bytes| format!("#SBATCH --mem={}M\n", mebibytes(bytes)));
    let command: Vec<String> = tasks.command.iter().map(|word| quoted(word)).collect();
    format!(
        "#!/bin/sh\n\
         #SBATCH --job-name={}\n\
         #SBATCH --array={}{limit}\n\
         #SBATCH --cpus-per-task={}\n\
         {memory}\
         #SBATCH --output={}/slurm/%a.txt\n\
         #SBATCH --open-mode=append\n\
         # Before a time limit or a preemption ends a task, it saves; the same sweep goes on from there.\n\
         #SBATCH --signal=B:TERM@60\n\
         exec {} --index \"$SLURM_ARRAY_TASK_ID\" --threads \"${{SLURM_CPUS_PER_TASK:-{}}}\"\n",
        tasks.name,
        ranges(&tasks.indices),
        tasks.threads,
        tasks.out.display(),
        command.join(" "),
        tasks.threads,
    )
}

/// Submits a script, to begin when the job `after` has ended. The new job's number; nothing, where there is no `sbatch`.
///
/// # Errors
/// Run, with what `sbatch` says against it.
pub fn submit(script: &Path, after: Option<&str>) -> Result<Option<String>> {
    let mut command = Command::new("sbatch");
    command.arg("--parsable").args(after.map(|job| format!("--dependency=afterany:{job}")));
    let output = match command.arg(script).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::run("`sbatch` cannot be started").because(error)),
    };
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() {
        // On a cluster of several its name follows.
        return Ok(Some(said(&output.stdout).split(';').next().unwrap_or_default().to_string()));
    }
    Err(Error::run(format!("`sbatch` refused the job: {}", said(&output.stderr)))
        .at(script)
        .hint("give what the cluster asks for by `SBATCH_…` variables, or submit the script by hand"))
}

/// An indexed Job. `folder`, which everything must lie in, is the volume of the claim `tinyglot` and the working folder.
///
/// # Errors
/// Usage, where a path of `inside` lies elsewhere.
pub fn kubernetes_job(tasks: &Tasks, image: &str, folder: &Path, inside: &[PathBuf]) -> Result<String> {
    if let Some(path) = inside.iter().find(|path| !path.starts_with(folder)) {
        let what = format!("lies outside of `{}`, which tasks see as their volume", folder.display());
        return Err(Error::usage(what)
            .at(path)
            .hint("run the command in a folder that holds the sweep, its data and `--out`"));
    }
    // An index is a place in the list of trials that are left.
    let trials: Vec<String> = tasks.indices.iter().map(usize::to_string).collect();
    let pick = format!(
        "set -- {}; shift \"$JOB_COMPLETION_INDEX\"; index=$1; shift $#; exec {} --index \"$index\" --threads {}",
        trials.join(" "),
        tasks.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        tasks.threads
    );
    let memory = match tasks.memory {
        Some(bytes) => format!("\n              memory: {}Mi", mebibytes(bytes)),
        None => String::new(),
    };
    let resources = format!("\n              cpu: {}{memory}", tasks.threads);
    Ok(format!(
        "apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {count}
  parallelism: {parallel}
  backoffLimitPerIndex: {retries}
  maxFailedIndexes: {count}
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trial
          image: {image}
          workingDir: {folder}
          command: [\"/bin/sh\", \"-c\"]
          args:
            - {pick}
          resources:
            requests:{resources}
            limits:{resources}
          volumeMounts:
            - name: shared
              mountPath: {folder}
      volumes:
        - name: shared
          persistentVolumeClaim:
            claimName: tinyglot
",
        name = tasks.name,
        count = tasks.indices.len(),
        parallel = tasks.at_a_time.unwrap_or(tasks.indices.len()),
        retries = tasks.retries,
        image = yaml(image),
        folder = yaml(&folder.display().to_string()),
        pick = yaml(&pick),
    ))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A string in YAML: JSON's are YAML's.
fn yaml(text: &str) -> String {
    serde_json::to_string(text).expect("a string")
}

/// `0-3,5,7-9`.
fn ranges(indices: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &index in indices {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => parts.push((index, index)),
        }
    }
    let part = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Tasks {
        Tasks {
            name: job_name("Budget: 8k"),
            command: ["/bin/tinyglot", "sweep", "/s/it's.toml", "--out", "/s/out"].map(String::from).to_vec(),
            indices: vec![0, 1, 2, 5, 7, 8],
            at_a_time: Some(2),
            threads: 4,
            memory: Some(1_500_000_000),
            retries: 1,
            out: "/s/out".into(),
        }
    }

    #[test]
    fn a_batch_script_names_the_trials_that_are_left() {
        let script = slurm_script(&tasks());
        for line in [
            "#SBATCH --job-name=sweep-budget--8k",
            "#SBATCH --array=0-2,5,7-8%2",
            "#SBATCH --cpus-per-task=4",
            "#SBATCH --mem=1431M",
            "#SBATCH --output=/s/out/slurm/%a.txt",
            r#"exec /bin/tinyglot sweep '/s/it'\''s.toml' --out /s/out --index "$SLURM_ARRAY_TASK_ID" --threads "${SLURM_CPUS_PER_TASK:-4}""#,
        ] {
            assert!(script.lines().any(|other| other == line), "no `{line}` in\n{script}");
        }
        let free = slurm_script(&Tasks { at_a_time: None, memory: None, ..tasks() });
        assert!(free.contains("--array=0-2,5,7-8\n") && !free.contains("--mem"), "{free}");
    }

    #[cfg(unix)]
    #[test]
    fn a_script_runs_the_program_with_its_index() {
        let command = ["echo", "a b", "it's"].map(String::from).to_vec();
        let script = slurm_script(&Tasks { command, ..tasks() });
        let output =
            Command::new("sh").arg("-c").arg(script).env("SLURM_ARRAY_TASK_ID", "5").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a b it's --index 5 --threads 4\n");
    }

    #[test]
    fn a_job_has_an_index_for_each_trial_that_is_left() {
        let folder = Path::new("/s");
        let job = kubernetes_job(&tasks(), "registry/tinyglot:1", folder, &["/s/out".into()]).unwrap();
        for line in [
            "kind: Job",
            "  name: sweep-budget--8k",
            "  completionMode: Indexed",
            "  completions: 6",
            "  parallelism: 2",
            "  backoffLimitPerIndex: 1",
            "          image: \"registry/tinyglot:1\"",
            "              memory: 1431Mi",
            "              mountPath: \"/s\"",
        ] {
            assert!(job.lines().any(|other| other == line), "no `{line}` in\n{job}");
        }
        let error = kubernetes_job(&tasks(), "i", folder, &["/data".into()]).unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("`/data`: lies outside of `/s`"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_task_of_a_job_runs_its_trial() {
        let command = ["echo", "a b"].map(String::from).to_vec();
        let job = kubernetes_job(&Tasks { command, ..tasks() }, "i", Path::new("/s"), &[]).unwrap();
        let line = job.lines().find(|line| line.contains("JOB_COMPLETION_INDEX")).unwrap();
        let script: String = serde_json::from_str(line.trim().trim_start_matches("- ")).unwrap();
        for (index, trial) in [("0", "0"), ("3", "5"), ("5", "8")] {
            let output = Command::new("sh")
                .arg("-c")
                .arg(&script)
                .env("JOB_COMPLETION_INDEX", index)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("a b --index {trial} --threads 4\n"));
        }
    }

    #[test]
    fn names_are_what_job_systems_take() {
        assert_eq!(job_name("Größe_1"), "sweep-gr--e-1");
        assert_eq!(job_name("…"), "sweep");
    }
}
