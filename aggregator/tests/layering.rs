//! Imports point upward: a module uses only modules that stand before it in `lib.rs`, and the core
//! neither reads the clock nor touches the outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// What the core must not name: the machine's clock, sockets, disk and chance.
const OUTSIDE: [&str; 9] = [
    "SystemTime",
    "Instant::",
    "std::net::Tcp",
    "std::fs",
    "std::thread",
    "tokio::",
    "axum::",
    "redb::",
    "rand::",
];

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Modules in the order of `lib.rs`, and how many of them are core.
fn modules(lib: &str) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut core = 0;
    for line in lib.lines() {
        if line.starts_with("// Shell") || line.starts_with("// Offline") {
            core = if core == 0 { names.len() } else { core };
        }
        let name = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
        names.extend(name.map(str::to_owned));
    }
    (names, core)
}

/// All files of a module: `name.rs` and everything under `name/`.
fn files(module: &str) -> Vec<PathBuf> {
    let mut found = vec![source_dir().join(format!("{module}.rs"))];
    let mut folders = vec![source_dir().join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.exists() && !path.ends_with("tests.rs"));
    found
}

/// Code lines of a file up to its tests; comments may name what they like.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// Everything that stands against the layering in one file of a module.
fn violations(text: &str, position: usize, names: &[String], core: usize) -> Vec<String> {
    let mut found = Vec::new();
    for line in code(text) {
        if line.contains("crate::{") {
            found.push(format!("`{}`: name each module in an import of its own", line.trim()));
        }
        for later in names.iter().skip(position + 1) {
            if line.contains(&format!("crate::{later}::")) {
                found.push(format!("`{}`: {later} stands below", line.trim()));
            }
        }
        if position < core {
            let outside = OUTSIDE.iter().filter(|word| line.contains(*word));
            found.extend(outside.map(|word| format!("`{}`: the core uses {word}", line.trim())));
        }
    }
    found
}

#[test]
fn imports_point_upward_and_the_core_is_pure() {
    let lib = fs::read_to_string(source_dir().join("lib.rs")).expect("lib.rs");
    let (names, core) = modules(&lib);
    assert!(core >= 8 && names.len() > core, "lib.rs lists its modules in blocks: {names:?}");
    let mut found = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let files = files(name);
        assert!(!files.is_empty(), "no file of module {name}");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let problems = violations(&text, position, &names, core);
            found.extend(problems.iter().map(|problem| format!("{}: {problem}", file.display())));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_check_itself_sees_what_it_forbids() {
    let names: Vec<String> = ["units", "policy", "store"].map(str::to_owned).into();
    let check = |text: &str| violations(text, 1, &names, 2).len();
    assert_eq!(check("use crate::units::Rps;\n//! [`crate::store::Store`]\n"), 0);
    assert_eq!(check("use crate::store::Store;\n"), 1, "a core module imports a shell module");
    assert_eq!(check("use crate::{units, store};\n"), 1, "a grouped import");
    assert_eq!(check("let now = std::time::SystemTime::now();\n"), 1, "the core reads the clock");
    assert_eq!(check("#[cfg(test)]\nmod tests { use crate::store::Store; }\n"), 0);
    assert_eq!(violations("use std::time::Instant::now", 2, &names, 2).len(), 0, "the shell may");
}
