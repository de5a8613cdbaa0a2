//! The command line: one file per command, each a short recipe of library calls.
//!
//! Results go to standard output, everything else to standard error. Exit status: 0 well, 2 wrong usage, 3 bad
//! configuration, 4 bad data, 130 stopped by Ctrl-C or SIGTERM, 1 anything else.

mod acquirer;
mod add_language;
mod classify;
mod completions;
mod config;
mod cost;
mod data;
mod demo;
mod embed;
mod embed_images;
mod evaluate;
mod export;
mod given;
mod index;
mod init;
mod man;
mod pack;
mod remove_language;
mod report;
mod search;
mod sentences;
mod serve;
mod shrink;
mod sweep;
mod train;

pub mod interrupt;
mod labelled;
mod language;
pub mod log;
pub mod progress;
pub mod stdout;
pub mod terminal;

use std::env;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Parser, Subcommand};

use crate::error::{InFile, Kind};
use crate::ops::scratch::keep_freed_memory;
use crate::{Error, Result, border, device, map};
use terminal::Terminal;

/// What starts this program again, where that is not its executable.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Trains compact text-image retrieval models for many languages.
#[derive(Debug, Parser)]
#[command(name = "tinyglot", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Begin with `tinyglot demo`: it draws a corpus of pictures, trains on it and searches it.
Exit status: 0 well, 2 wrong usage, 3 bad configuration, 4 bad data, 130 stopped by Ctrl-C or SIGTERM,
1 anything else.")]
pub struct Cli {
    /// Threads to compute with; results do not depend on it [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Stop when standard input ends; for commands that other commands start
    #[arg(long, global = true, hide = true)]
    with_parent: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Init(init::Args),
    Data(data::Args),
    Train(train::Args),
    Evaluate(Box<evaluate::Args>),
    Embed(embed::Args),
    EmbedImages(embed_images::Args),
    Search(search::Args),
    Index(index::Args),
    Serve(serve::Args),
    Export(export::Args),
    Sweep(sweep::Args),
    Report(report::Args),
    Classify(classify::Args),
    Acquirer(acquirer::Args),
    AddLanguage(add_language::Args),
    RemoveLanguage(remove_language::Args),
    Pack(pack::Args),
    Language(language::Args),
    Shrink(shrink::Args),
    Cost(cost::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The command as a process of its own: does what the arguments ask for, of which the first is the program's name, tells what went wrong, and gives
/// the exit status. `program` starts it again, for commands that start others; by default the executable. Wrong arguments and `--help` end the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>, program: Option<PathBuf>) -> u8 {
    if let Some(program) = program {
        PROGRAM.get_or_init(|| program);
    }
    keep_freed_memory();
    map::tell_of_cut_files();
    match border::command(|| device::guarded(|| run(Cli::parse_from(arguments)))) {
        Ok(()) => 0,
        Err(error) => failed(&error),
    }
}

/// What starts this program.
///
/// # Errors
/// Run, where the system does not say it.
fn program() -> Result<PathBuf> {
    let own = || env::current_exe().map_err(|e| Error::run("this program is not found").because(e));
    PROGRAM.get().map_or_else(own, |program| Ok(program.clone()))
}

/// Does what the command line asks for.
///
/// # Errors
/// Those of the command, of any kind; run, where threads cannot be started or signals not be watched.
pub fn run(cli: Cli) -> Result<()> {
    if let Some(threads) = cli.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().map_err(|e| Error::run("the threads cannot be started").because(e))?;
    }
    interrupt::watch()?;
    if cli.with_parent {
        interrupt::stop_with_parent();
    }
    // On a thread of the pool: work from outside it would be handed over and waited for, operation by operation.
    rayon::scope(|_| command(cli))
}

fn command(cli: Cli) -> Result<()> {
    let terminal = Terminal::new(cli.quiet, cli.verbose);
    match cli.command {
        Command::Config(args) => config::run(args, &terminal),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Train(args) => train::run(args, &terminal),
        Command::Evaluate(args) => of_run(args.run.clone(), evaluate::run(*args, &terminal)),
        Command::Sweep(args) => sweep::run(args, &terminal),
        Command::Report(args) => of_run(args.run[0].clone(), report::run(args, &terminal)),
        Command::AddLanguage(args) => of_run(args.run.clone(), add_language::run(args, &terminal)),
        Command::RemoveLanguage(args) => of_run(args.run.clone(), remove_language::run(args, &terminal)),
        Command::Pack(args) => of_run(args.run.clone(), pack::run(args, &terminal)),
        Command::Shrink(args) => of_run(args.run.clone(), shrink::run(args, &terminal)),
        Command::Cost(args) => of_run(args.run.clone(), cost::run(args)),
        Command::Language(args) => language::run(args, &terminal),
        Command::Data(args) => data::run(args, &terminal),
        Command::Demo(args) => demo::run(args, &terminal),
        Command::Init(args) => init::run(args, &terminal),
        Command::Embed(args) => of_run(args.run.clone(), embed::run(args, &terminal)),
        Command::Index(args) => of_run(args.run.clone(), index::run(args, &terminal)),
        Command::Serve(args) => of_run(args.run.clone(), serve::run(args, &terminal)),
        Command::Export(args) => of_run(args.run.clone(), export::run(args, &terminal)),
        Command::EmbedImages(args) => embed_images::run(args, &terminal),
        Command::Search(args) => of_run(args.run.clone(), search::run(args, &terminal)),
        Command::Classify(args) => of_run(args.run.clone(), classify::run(args, &terminal)),
        Command::Acquirer(args) => acquirer::run(args, &terminal),
    }
}

/// Refuses arguments that are none of `evaluate RUN`.
fn check_evaluation(arguments: &[String]) -> Result<()> {
    let whole = ["tinyglot", "evaluate", "RUN"].into_iter().chain(arguments.iter().map(String::as_str));
    let parsed = Cli::try_parse_from(whole);
    parsed.map(|_| ()).map_err(|e| {
        let said = e.to_string();
        let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Error::config(format!("`evaluate` holds `{}`: {said}", arguments.join(" ")))
            .hint("each list holds arguments as `tinyglot evaluate RUN` takes them after the run, one a text")
    })
}

/// Names the run in errors that name no file.
fn of_run(run: PathBuf, result: Result<()>) -> Result<()> {
    result.in_file_if(Kind::Data, &run).in_file_if(Kind::Config, run.join("config.toml"))
}

/// Tells of an error and gives the exit status for it. A reader that has closed standard output wants no more, and
/// that is no error.
pub fn failed(error: &Error) -> u8 {
    if stdout::is_closed(error) {
        return 0;
    }
    terminal::complain(error);
    error.exit_status()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_documented_commands_parse() {
        for line in [
            "tinyglot demo",
            "tinyglot init photos captions.csv --tower model --out pets --val 9 --test 9 --seed 2 --language en,de",
            "tinyglot init f.npy captions.csv --ids i.txt --out pets --columns picture=file,text=a,text=b,language=",
            "tinyglot data check a.toml",
            "tinyglot data lay-out coco downloads --out data/mscoco --seed 3",
            "tinyglot data scenes --out d --seed 1 --train 9 --val 2 --test 2 --captions 3 --languages en,qu",
            "tinyglot train a.toml --set train.epochs=3 --set seed=1 --out run --resume --threads 2 -q",
            "tinyglot evaluate run --split val --json --distractors",
            "tinyglot embed run --language de",
            "tinyglot embed run --images f.npy",
            "tinyglot embed-images model photos --out f.npy --skip-bad --resume --unit --no-exif --precision bf16",
            "tinyglot embed-images model names.txt --root photos --out f.npy --max-pixels 1000",
            "tinyglot search run --language de --gallery f.npy --ids i.txt -k 5 ein Hund",
            "tinyglot serve run --index i --photos p --port 0 --host 0.0.0.0 --token 0123456789abcdef",
            "tinyglot search run --language de --gallery f.npy --photos d",
            "tinyglot report run",
            "tinyglot report A=run A=b sweeps/c --table t.md --table t.html --figures recall/test/A,sts/*/spearman/*",
            "tinyglot classify run --classes c.{language}.txt --templates de=t.txt en=u.txt --images f.npy --labels l.txt",
            "tinyglot classify run --language de --classes c.txt --templates t.txt --images f.npy --labels l.txt --json",
            "tinyglot acquirer export run --language de --out de.safetensors",
            "tinyglot acquirer add run de.safetensors",
            "tinyglot acquirer remove run --language de",
            "tinyglot add-language run a.toml --set grow.epochs=3 --out new --cache c --curve 100,300",
            "tinyglot remove-language run de --out new",
            "tinyglot pack run --out m --weights int8 --rows pq --ngrams 0 --languages cs,de",
            "tinyglot shrink run --bytes 3MB --languages cs,de --out m --weights int8 --rows int4 --ngrams 9",
            "tinyglot cost m --set data.root=d --out c.json",
            "tinyglot report s --by memory",
            "tinyglot sweep a.toml --by time",
            "tinyglot language export m --language de --out de.safetensors",
            "tinyglot language add m de.safetensors --out n",
            "tinyglot language remove m --language de --out n",
            "tinyglot sweep a.toml --out d --jobs 2 --retries 0 --fail-fast --set train.epochs=1 --cache c",
            "tinyglot train a.toml --dry-run --cache c",
            "tinyglot sweep a.toml --dry-run",
            "tinyglot sweep a.toml --index 3",
            "tinyglot config show a.toml --diff",
            "tinyglot config check a.toml -v",
            "tinyglot config schema",
            "tinyglot completions zsh",
            "tinyglot man pages",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for line in [
            "tinyglot add-language run a.toml",
            "tinyglot remove-language run --out new",
            "tinyglot data lay-out imagenet downloads --out d",
            "tinyglot data lay-out coco downloads",
            "tinyglot pack run --out m --weights int3",
            "tinyglot shrink run --out m",
            "tinyglot report s --by money",
            "tinyglot shrink run --bytes 3Mb --out m",
            "tinyglot embed run",
            "tinyglot embed run --language de --images f.npy",
            "tinyglot embed-images model photos",
            "tinyglot embed-images model photos --out f.npy --precision tf32",
            "tinyglot search run --gallery f.npy",
            "tinyglot search run --language de --gallery f.npy -k 0",
            "tinyglot serve run",
            "tinyglot serve run --index i --host here",
            "tinyglot serve run --index i --port 65536",
            "tinyglot evaluate run --split trian",
            "tinyglot sweep a.toml --jobs 0",
            "tinyglot train a.toml --dry-run --out r",
            "tinyglot sweep a.toml --index 3 --dry-run",
            "tinyglot config check a.toml --threads 0",
            "tinyglot config check a.toml -q -v",
            "tinyglot completions cmd",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
