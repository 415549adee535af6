//! `foresail models`: what learned policies there are, and what they were made of.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::models::load;

/// Arguments of `foresail models`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Folder with .safetensors files.
    directory: PathBuf,
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
            Err(error) => {
                writeln!(output, "{name:<28} unusable: {:#}", anyhow::Error::from(error))?;
            }
        }
    }
    Ok(())
}
