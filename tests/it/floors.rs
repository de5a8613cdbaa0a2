//! Which module imports which: `src/lib.rs` lists the modules by floors, a module imports from its own floor and from those above it, and no modules
//! side by side import one another in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Module = Vec<String>;

/// The modules under `src`, and their code without tests and comments.
fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut all, mut folders) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap().with_extension("");
            let mut name: Module = relative.iter().map(|part| part.to_str().unwrap().to_string()).collect();
            if name.last().is_some_and(|last| last == "mod") {
                name.pop();
            }
            let test = |part: &String| part == "tests" || part.ends_with("_tests");
            let outside = name == ["lib"] || name == ["main"];
            if path.extension().is_none_or(|ending| ending != "rs") || outside || name.iter().any(test) {
                continue;
            }
            all.insert(name, code(&fs::read_to_string(&path).unwrap()));
        }
    }
    all
}

fn code(text: &str) -> String {
    let tests = ["mod tests {", "pub(super) mod tests {", "pub(crate) mod tests {"];
    let lines = text.lines().take_while(|line| !tests.contains(line));
    lines.map(|line| line.split("//").next().unwrap().to_string() + "\n").collect()
}

/// The paths that begin with `crate` or `super`, those of a group one by one.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                spread(start, &code[at + start.len()..], &mut found);
            }
        }
    }
    found
}

/// Follows a path, and each branch of a group.
fn spread(before: &str, rest: &str, found: &mut Vec<String>) {
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if let Some(group) = rest.strip_prefix('{') {
        let (mut depth, mut from) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    spread(before, group[from..at].trim(), found);
                    from = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    } else if let Some(below) = rest[name.len()..].strip_prefix("::") {
        spread(&format!("{before}{name}::"), below, found);
    } else {
        found.push(format!("{before}{name}"));
    }
}

/// The module that a path leads to or into.
fn target(path: &str, from: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut to: Module = Vec::new();
    if parts[0] == "super" {
        to = from.clone();
        while parts.first() == Some(&"super") {
            to.pop();
            parts.remove(0);
        }
    } else {
        parts.remove(0);
    }
    to.extend(parts.into_iter().map(String::from));
    while !to.is_empty() && !modules.contains_key(&to) {
        to.pop();
    }
    (!to.is_empty()).then_some(to)
}

/// By parent: which of its children imports which.
fn imports() -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
    let modules = modules();
    let mut all: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (from, code) in &modules {
        for to in paths(code).iter().filter_map(|path| target(path, from, &modules)) {
            let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if same < from.len() && same < to.len() {
                let siblings = all.entry(from[..same].to_vec()).or_default();
                siblings.entry(from[same].clone()).or_default().insert(to[same].clone());
            }
        }
    }
    all
}

#[test]
fn no_modules_import_one_another_in_a_circle() {
    let mut circles = Vec::new();
    for (parent, edges) in imports() {
        for start in edges.keys() {
            let (mut seen, mut next) = (BTreeSet::new(), edges[start].iter().collect::<Vec<_>>());
            while let Some(module) = next.pop() {
                if module == start {
                    circles.push(format!("{} in `{}`", start, parent.join("::")));
                    break;
                }
                if seen.insert(module) {
                    next.extend(edges.get(module).into_iter().flatten());
                }
            }
        }
    }
    assert!(circles.is_empty(), "modules of circles: {circles:#?}");
}

#[test]
fn a_module_imports_from_its_own_floor_and_those_above() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mut floors: BTreeMap<String, usize> = BTreeMap::new();
    for (floor, group) in text.split("\n\n").enumerate() {
        let names = group.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'));
        floors.extend(names.map(|name| (name.to_string(), floor)));
    }
    assert!(floors.len() > 20 && floors["error"] < floors["ops"] && floors["ops"] < floors["cli"]);
    let edges = &imports()[&Module::new()];
    assert!(edges["cli"].contains("run") && edges["ops"].contains("device"), "imports are found");
    for (from, to) in edges.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
        assert!(floors[to] <= floors[from], "`{from}` imports `{to}`, which stands below it in `src/lib.rs`");
    }
}
