//! Cleans up after a process that was killed before it could: a shell that holds the other end of
//! a pipe, and ends what it was told of when the pipe closes.
//!
//! Linux could also signal children when their parent dies, but only when the *thread* that started
//! them does, in unsafe code, and without removing directories.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result, anyhow};

/// Reads `+ PID`, `- PID` and `d DIRECTORY` until the pipe closes, then kills and removes.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=
while read -r what value; do
    case $what in
    +) pids="$pids $value" ;;
    -) rest=; for pid in $pids; do [ "$pid" = "$value" ] || rest="$rest $pid"; done; pids=$rest ;;
    d) set -- "$@" "$value" ;;
    esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
for directory in "$@"; do rm -rf "$directory" 2>/dev/null || { sleep 1; rm -rf "$directory"; }; done
"#;

static PIPE: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

/// Kills the process when this one ends.
pub(crate) fn watch(pid: u32) -> Result<()> {
    tell(&format!("+ {pid}"))
}

/// Forgets the process; to be called before its id can be given to another.
pub(crate) fn forget(pid: u32) -> Result<()> {
    tell(&format!("- {pid}"))
}

/// Removes the directory when this process ends.
pub(crate) fn remove_at_exit(directory: &Path) -> Result<()> {
    tell(&format!("d {}", directory.display()))
}

fn tell(line: &str) -> Result<()> {
    let pipe = PIPE.get_or_init(start).as_ref().context("cannot start the watchdog shell")?;
    let mut pipe = pipe.lock().map_err(|_| anyhow!("the watchdog's pipe is poisoned"))?;
    writeln!(pipe, "{line}").context("cannot write to the watchdog")
}

/// In a process group of its own, so that a Ctrl-C at the terminal does not reach it. Nobody waits
/// for it: it outlives this process on purpose.
fn start() -> Option<Mutex<ChildStdin>> {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "foresail-watchdog"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    shell.stdin.take().map(Mutex::new)
}
