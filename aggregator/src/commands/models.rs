//! `foresail models`: what learned policies there are, and what they were made of.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::learning::model::Model;

/// Models above this size are not read: those of `foresail train` are below 100 kB.
const MOST_BYTES: u64 = 64 << 20;

/// Arguments of `foresail models`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Folder with .safetensors files.
    directory: PathBuf,
}

/// Reads a model's file.
///
/// # Errors
/// When it cannot be read, is too large, or is no model of this version.
pub fn load(path: &Path) -> anyhow::Result<Model> {
    Model::from_bytes(&bytes(path)?).with_context(|| path.display().to_string())
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let says = || format!("{} cannot be read", path.display());
    let size = std::fs::metadata(path).with_context(says)?.len();
    if size > MOST_BYTES {
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, format!("{size} bytes")))
            .with_context(says);
    }
    std::fs::read(path).with_context(says)
}

/// Runs the command; the list goes to `output`, one line a file, by name.
///
/// # Errors
/// When the folder cannot be read. A file that is no usable model is listed with what is wrong.
pub fn run(arguments: &Arguments, mut output: impl Write) -> anyhow::Result<()> {
    let directory = &arguments.directory;
    let says = || format!("{} cannot be read", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(says)? {
        let path = entry.with_context(says)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    writeln!(
        output,
        "{:<28} {:<4} {:<8} {:>6} {:>9} {:>10} {:<16} traces",
        "file", "kind", "version", "seed", "steps", "cost ratio", "data"
    )?;
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match load(&path) {
            Ok(model) => {
                let about = model.about;
                let kind = format!("{:?}", about.kind).to_lowercase();
                writeln!(
                    output,
                    "{name:<28} {kind:<4} {:<8} {:>6} {:>9} {:>10.4} {:<16} {}",
                    about.version,
                    about.seed,
                    about.steps,
                    about.validation_cost_ratio,
                    about.fingerprint,
                    about.data.join(",")
                )?;
            }
            Err(error) => writeln!(output, "{name:<28} unusable: {error:#}")?,
        }
    }
    Ok(())
}
