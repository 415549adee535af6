//! What is compared by `filter_cost`: which modules, and what each is told.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use foresail_tests::paths;
use serde_json::{Value, json};

const DEFAULT_ROUNDS: usize = 200;
const NONE: &str = "none";
pub(crate) const EMPTY: &str = "the SDK's empty filter";
pub(crate) const FORESAIL: &str = "foresail";
pub(crate) const BARE: &str = "the same questions";
pub(crate) const CALLBACKS: &str = "two callbacks";
/// What the filter asks about a quick 200.
const SAME_QUESTIONS: [&str; 4] = ["duration", "code", "flags", "grpc"];
/// What `--calls` measures, by the names that `tests/bare-recorder` knows.
const CALLS: [(&str, &[&str]); 10] = [
    ("request.duration", &["duration"]),
    ("response.code", &["code"]),
    ("duration and code", &["duration", "code"]),
    ("duration, code and flags", &["duration", "code", "flags"]),
    ("the same as one CEL expression", &["expression"]),
    ("header content-type", &["content"]),
    ("all response headers", &["headers"]),
    ("grpc-status, absent from trailers and headers", &["grpc"]),
    ("an absent property", &["absent"]),
    ("clock", &["clock"]),
];

/// What a proxy loads.
pub(crate) struct Module {
    pub(crate) name: String,
    /// `None`: no filter at all.
    pub(crate) file: Option<PathBuf>,
    pub(crate) config: Value,
}

/// What the command line asks for.
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// Each question by itself.
    pub(crate) calls: bool,
    pub(crate) modules: Vec<Module>,
}

impl Settings {
    pub(crate) fn from_arguments() -> Result<Self> {
        let mut rounds = DEFAULT_ROUNDS;
        let mut calls = false;
        let mut given = Vec::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => rounds = arguments.next().context("--rounds N")?.parse()?,
                "--calls" => calls = true,
                "--module" => {
                    let module = arguments.next().context("--module NAME=FILE")?;
                    let (name, file) = module.split_once('=').context("--module NAME=FILE")?;
                    given.push(filter(name, PathBuf::from(file)));
                }
                // cargo says this to every bench.
                "--bench" => {}
                other => bail!("no argument {other}; there are --rounds, --calls and --module"),
            }
        }
        let mut modules = if calls { calls_by_themselves()? } else { contenders()? };
        modules.extend(given);
        Ok(Self { rounds, calls, modules })
    }
}

fn contenders() -> Result<Vec<Module>> {
    Ok(vec![
        Module { name: NONE.to_owned(), file: None, config: Value::Null },
        Module { file: Some(built("empty_filter")?), ..filter(EMPTY, PathBuf::new()) },
        filter(FORESAIL, paths::wasm()?),
        asking(BARE, &SAME_QUESTIONS)?,
    ])
}

fn calls_by_themselves() -> Result<Vec<Module>> {
    let mut modules = vec![
        Module { name: NONE.to_owned(), file: None, config: Value::Null },
        Module { file: Some(built("empty_filter")?), ..filter(EMPTY, PathBuf::new()) },
        Module { file: Some(built("silent")?), ..filter("no callback", PathBuf::new()) },
        asking(CALLBACKS, &[])?,
    ];
    for (title, questions) in CALLS {
        modules.push(asking(title, questions)?);
    }
    Ok(modules)
}

fn filter(name: &str, file: PathBuf) -> Module {
    let config = json!({
        "cluster": "aggregator",
        "direction": "inbound",
        "identity": {"namespace": "bench", "workload": name, "pod": "bench-0"},
    });
    Module { name: name.to_owned(), file: Some(file), config }
}

/// The module that asks and keeps nothing.
fn asking(name: &str, questions: &[&str]) -> Result<Module> {
    let file = Some(built("bare_recorder")?);
    Ok(Module { name: name.to_owned(), file, config: json!(questions) })
}

fn built(name: &str) -> Result<PathBuf> {
    let file = paths::root().join("target/wasm").join(name).with_extension("wasm");
    if !file.is_file() {
        bail!("missing {}; run `make wasm`", file.display());
    }
    Ok(file)
}
