//! The guide does what it says: its commands run, in the order of its pages and in one folder; its links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{printed, text};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fenced block of a page: its first line, what stands behind the three backquotes, and its text.
struct Block {
    line: usize,
    kind: String,
    text: String,
}

/// A page with its blocks.
struct Page {
    name: String,
    text: String,
    blocks: Vec<Block>,
}

impl Page {
    fn read(path: &Path) -> Page {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (mut blocks, mut open) = (Vec::new(), None::<Block>);
        for (n, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(kind)) => {
                    open = Some(Block { line: n + 2, kind: kind.into(), text: String::new() })
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_string();
        assert!(open.is_none(), "{name}: a block has no end");
        Page { name, text, blocks }
    }

    /// What stands in round brackets behind square ones.
    fn links(&self) -> impl Iterator<Item = &str> {
        self.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
    }
}

/// The pages of the guide, in the order of its table of contents.
fn guide() -> Vec<Page> {
    let folder = repository().join("docs/src");
    let contents = Page::read(&folder.join("SUMMARY.md"));
    contents.links().map(|page| Page::read(&folder.join(page))).collect()
}

/// The folder in which a reader follows the guide, with what she is asked to bring: a CLIP's picture tower.
fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().expect("a folder");
    let (tower, from) = (desk.path().join("clip"), repository().join("tests/golden/vision/clip"));
    fs::create_dir(&tower).expect("a folder");
    for file in fs::read_dir(from).expect("a tower") {
        let file = file.expect("a file").path();
        fs::copy(&file, tower.join(file.file_name().expect("a name"))).expect("copied");
    }
    desk
}

/// The folder of the command, first among those in which a shell looks.
fn search_path() -> std::ffi::OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_tinyglot")).parent().expect("a folder").to_path_buf();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([program].into_iter().chain(std::env::split_paths(&others))).expect("paths")
}

#[test]
fn every_command_of_the_guide_runs() {
    let (desk, path) = (desk(), search_path());
    let mut ran = 0;
    for page in guide() {
        for block in &page.blocks {
            let place = format!("{}:{}", page.name, block.line);
            match block.kind.as_str() {
                "toml" => {
                    let name = block.text.lines().next().and_then(|first| first.strip_prefix("# "));
                    if let Some(name) = name.filter(|name| name.ends_with(".toml") && !name.contains(' ')) {
                        fs::write(desk.path().join(name), &block.text).expect("written");
                    }
                }
                "sh" => {
                    let mut shell = Command::new("sh");
                    shell.args(["-eu", "-c", &block.text]).current_dir(desk.path()).env("PATH", &path);
                    let output = shell.stdin(Stdio::null()).output().expect("a shell");
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{place}: {}\n{}{said}", output.status, block.text);
                    ran += block.text.lines().filter(|line| line.contains("tinyglot ")).count();
                }
                // What Python does is tested by `python/tests/test_guide.py`.
                "console" | "python" => {}
                other => panic!("{place}: a block of kind `{other}`, not sh, console, toml or python"),
            }
        }
    }
    assert!(ran > 25, "only {ran} commands ran");
}

#[test]
fn links_of_the_guide_and_the_readme_lead_to_files() {
    let mut pages: Vec<(PathBuf, Page)> =
        guide().into_iter().map(|page| (repository().join("docs/src"), page)).collect();
    pages.push((repository().to_path_buf(), Page::read(&repository().join("README.md"))));
    for (folder, page) in &pages {
        for link in page.links().filter(|link| !link.contains("://")) {
            let file = link.split('#').next().expect("a part");
            assert!(folder.join(file).exists(), "{}: `{link}` leads nowhere", page.name);
        }
    }
    let listed: BTreeSet<String> = pages.iter().map(|(_, page)| page.name.clone()).collect();
    for file in fs::read_dir(repository().join("docs/src")).expect("the guide") {
        let name = file.expect("a file").file_name().into_string().expect("Unicode");
        let page = name.ends_with(".md") && name != "SUMMARY.md";
        assert!(!page || listed.contains(&name), "{name} is not in SUMMARY.md");
    }
}

/// Commands that need data from elsewhere are not run; what they name is there all the same.
#[test]
fn commands_and_options_that_are_told_of_exist() {
    let mut pages = guide();
    pages.push(Page::read(&repository().join("README.md")));
    let mut checked = 0;
    for page in &pages {
        for block in page.blocks.iter().filter(|block| block.kind != "toml") {
            let whole = block.text.replace("\\\n", " ");
            for line in whole.lines().map(|line| line.split(" #").next().expect("a part")) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let Some(at) = words.iter().position(|word| *word == "tinyglot") else { continue };
                if at > 0 && words[at - 1] != "|" {
                    continue;
                }
                let mut command: Vec<&str> = vec![words[at + 1]];
                if matches!(command[0], "data" | "config" | "acquirer" | "language") {
                    command.push(words[at + 2]);
                }
                let help = printed(&[&command[..], &["--help"]].concat());
                let options = words[at + 1..].iter().filter(|word| word.starts_with("--"));
                for option in options.map(|word| word.split('=').next().expect("a part")) {
                    let there =
                        help.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|word| word == option);
                    assert!(there, "{}:{}: {command:?} has no {option}", page.name, block.line);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 60, "only {checked} options were looked up");
}

/// The page of all keys is what the schema says. `TINYGLOT_WRITE_KEYS=1 cargo test --test it guide` writes it anew.
#[test]
fn the_page_of_keys_is_the_schema() {
    let path = repository().join("docs/src/keys.md");
    let schema = serde_json::from_str(&printed(&["config", "schema"])).expect("JSON");
    let page = crate::keys::page(&schema);
    if std::env::var_os("TINYGLOT_WRITE_KEYS").is_some() {
        fs::write(&path, &page).expect("written");
    }
    let there = fs::read_to_string(&path).expect("the page");
    assert!(there == page, "{} is not what the schema says: TINYGLOT_WRITE_KEYS=1 writes it", text(&path));
}
