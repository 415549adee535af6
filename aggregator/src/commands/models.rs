//! `foresail models`: what learned policies there are, what they were made of, and which version is
//! in use.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::models::{Versions, load};

/// Arguments of `foresail models`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Arguments {
    /// Folder with .safetensors files.
    directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Puts the version before the one in use in use again, or one that is named.
    Rollback {
        /// Folder of versions, as `foresail train --out FOLDER` makes it.
        directory: PathBuf,
        /// Number of the version to use, such as 7.
        #[arg(long)]
        to: Option<u64>,
    },
}

/// Runs the command; what there is, one line a file, or what was done goes to `output`.
///
/// # Errors
/// When the folder cannot be read or written, or there is no version to go back to. A file that is
/// no usable model is listed with what is wrong, and is not put in use.
pub fn run(arguments: &Arguments, output: impl Write) -> anyhow::Result<()> {
    match (&arguments.command, &arguments.directory) {
        (Some(Command::Rollback { directory, to }), _) => roll_back(directory, *to, output),
        (None, Some(directory)) => list(directory, output),
        (None, None) => Ok(()),
    }
}

fn roll_back(directory: &Path, to: Option<u64>, mut output: impl Write) -> anyhow::Result<()> {
    let versions = Versions::of(directory);
    let says = || directory.display().to_string();
    let number = versions.earlier(to).with_context(says)?;
    let path = versions.path(number);
    load(&path)?;
    versions.use_version(number).with_context(says)?;
    writeln!(output, "{} is in use", path.display())?;
    Ok(())
}

fn list(directory: &Path, mut output: impl Write) -> anyhow::Result<()> {
    let says = || format!("{} cannot be read", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(says)? {
        let path = entry.with_context(says)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    let versions = Versions::of(directory);
    let in_use = versions.current().with_context(says)?.map(|number| versions.path(number));
    writeln!(
        output,
        "{:<28} {:<6} {:<4} {:<8} {:>6} {:>9} {:>10} {:<16} traces",
        "file", "in use", "kind", "version", "seed", "steps", "cost ratio", "data"
    )?;
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mark = if in_use.as_ref() == Some(&path) { "yes" } else { "" };
        match load(&path) {
            Ok(model) => {
                let about = model.about;
                let kind = format!("{:?}", about.kind).to_lowercase();
                writeln!(
                    output,
                    "{name:<28} {mark:<6} {kind:<4} {:<8} {:>6} {:>9} {:>10.4} {:<16} {}",
                    about.version,
                    about.seed,
                    about.steps,
                    about.validation_cost_ratio,
                    about.fingerprint,
                    about.data.join(",")
                )?;
            }
            Err(error) => {
                writeln!(
                    output,
                    "{name:<28} {mark:<6} unusable: {:#}",
                    anyhow::Error::from(error)
                )?;
            }
        }
    }
    Ok(())
}
