//! A folder of versions of one learned policy: the newest few, and which of them is in use.
//!
//! `v000007.safetensors` is the seventh, and the file `current` names the one in use. Every file
//! comes into its place whole, and `current` last: whenever a process ends, what is in use is a
//! whole version.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use thiserror::Error;

use crate::clock;

/// Versions that are kept, the one in use not counted where it is an older one.
pub const KEPT: usize = 5;
/// Names the version in use.
const CURRENT: &str = "current";
/// Ending of a model.
const ENDING: &str = "safetensors";
/// Ending of a file that is being written.
const PART: &str = "part";
/// A file that is still being written after so long was left behind by a process that was killed.
const ABANDONED: Duration = Duration::from_hours(1);

/// Why no other version can be put in use.
#[derive(Debug, Error)]
pub enum RollbackError {
    /// The folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] io::Error),
    /// There is no version before the one in use. Name one with `--to`.
    #[error("there is no version before the one in use; `foresail models` lists what there is")]
    NoneBefore,
    /// There is no such version. Name one that `foresail models` lists.
    #[error("there is no version {0}; `foresail models` lists what there is")]
    NoVersion(u64),
}

/// A folder of versions.
#[derive(Clone, Debug)]
pub struct Versions {
    folder: PathBuf,
}

impl Versions {
    /// Those of a folder, which need not have any yet.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Numbers of all versions, ascending.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            numbers.extend(number_of(&entry?.path()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The version in use; `None` where none is named.
    ///
    /// # Errors
    /// When the folder cannot be read, or what names the version names none.
    pub fn current(&self) -> io::Result<Option<u64>> {
        let text = match fs::read_to_string(self.folder.join(CURRENT)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let named = number_of(Path::new(text.trim()));
        let says = || format!("`{CURRENT}` in {} names no version", self.folder.display());
        named.map(Some).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, says()))
    }

    /// The file of a version.
    pub fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("v{number:06}.{ENDING}"))
    }

    /// Adds a version with what is known of it, by ending, and puts it in use. Of the older ones
    /// the newest stay. Gives its number.
    ///
    /// # Errors
    /// When the folder cannot be written; what was in use stays so.
    pub fn add(&self, model: &[u8], beside: &[(&str, &[u8])]) -> io::Result<u64> {
        fs::create_dir_all(&self.folder)?;
        let number = self.place(model)?;
        let path = self.path(number);
        for (ending, bytes) in beside {
            put(&path.with_extension(ending), bytes)?;
        }
        self.use_version(number)?;
        self.forget()?;
        Ok(number)
    }

    /// The version to go back to: the one before the one in use, or the one that is named.
    ///
    /// # Errors
    /// [`RollbackError`].
    pub fn earlier(&self, named: Option<u64>) -> Result<u64, RollbackError> {
        let all = self.all()?;
        if let Some(number) = named {
            return all.contains(&number).then_some(number).ok_or(RollbackError::NoVersion(number));
        }
        let current = self.current()?.ok_or(RollbackError::NoneBefore)?;
        let before = all.iter().rev().find(|known| **known < current);
        before.copied().ok_or(RollbackError::NoneBefore)
    }

    /// Puts a version in use.
    ///
    /// # Errors
    /// When the folder cannot be written; what was in use stays so.
    pub fn use_version(&self, number: u64) -> io::Result<()> {
        let path = self.path(number);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        put(&self.folder.join(CURRENT), format!("{name}\n").as_bytes())
    }

    /// Puts a model under the next free number: two at once get one each.
    fn place(&self, model: &[u8]) -> io::Result<u64> {
        let mut number = self.all()?.last().map_or(1, |newest| newest + 1);
        let part = write_part(&self.path(number), model)?;
        loop {
            match fs::hard_link(&part, self.path(number)) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
        fs::remove_file(&part)?;
        Ok(number)
    }

    /// Removes what is neither among the newest nor in use, and what killed processes left.
    fn forget(&self) -> io::Result<()> {
        let (all, current) = (self.all()?, self.current()?);
        let oldest_kept = all.iter().rev().nth(KEPT - 1).copied().unwrap_or(0);
        let now = Duration::from_micros(clock::now().as_micros());
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let is_old = numbered(&path)
                .is_some_and(|number| number < oldest_kept && Some(number) != current);
            let is_left = path.extension() == Some(OsStr::new(PART)) && {
                let written = entry.metadata()?.modified()?;
                let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
                now.saturating_sub(written) > ABANDONED
            };
            if is_old || is_left {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// The number in a model's name.
fn number_of(path: &Path) -> Option<u64> {
    numbered(path).filter(|_| path.extension() == Some(OsStr::new(ENDING)))
}

/// The number in the name of a model, or of what stands beside it.
fn numbered(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?.strip_prefix('v')?;
    stem.parse().ok().filter(|_| stem.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Puts a file in place whole or not at all, whenever the process ends.
///
/// # Errors
/// When it cannot be written.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = write_part(path, bytes)?;
    fs::rename(&part, path)
}

/// Writes a file beside the one that it is to become.
fn write_part(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidFilename))?;
    let mut name = name.to_owned();
    name.push(format!(".{}.{number}.{PART}", std::process::id()));
    let part = path.with_file_name(name);
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Versions) {
        let directory = tempfile::tempdir().unwrap();
        let versions = Versions::of(&directory.path().join("models"));
        (directory, versions)
    }

    #[test]
    fn five_versions_are_kept_and_the_one_in_use() {
        let (_directory, versions) = folder();
        for number in 1..=7_u8 {
            assert_eq!(versions.add(&[number], &[("json", b"{}")]).unwrap(), u64::from(number));
            assert_eq!(versions.current().unwrap(), Some(u64::from(number)));
        }
        assert_eq!(versions.all().unwrap(), [3, 4, 5, 6, 7]);
        assert_eq!(fs::read(versions.path(7)).unwrap(), [7]);
        // Five models, five descriptions, and the name of the one in use.
        assert_eq!(fs::read_dir(&versions.folder).unwrap().count(), 11);
        versions.use_version(3).unwrap();
        // Somebody adds without putting it in use, and another does.
        fs::write(versions.path(8), b"8").unwrap();
        versions.forget().unwrap();
        assert_eq!(versions.all().unwrap(), [3, 4, 5, 6, 7, 8], "what is in use stays");
    }

    #[test]
    fn rolling_back_goes_one_version_at_a_time_and_stops_at_the_first() {
        let (_directory, versions) = folder();
        versions.add(b"a", &[]).unwrap();
        versions.add(b"b", &[]).unwrap();
        versions.add(b"c", &[]).unwrap();
        for expected in [2, 1] {
            assert_eq!(versions.earlier(None).unwrap(), expected);
            versions.use_version(expected).unwrap();
        }
        assert!(matches!(versions.earlier(None), Err(RollbackError::NoneBefore)));
        assert!(matches!(versions.earlier(Some(9)), Err(RollbackError::NoVersion(9))));
        assert_eq!(versions.earlier(Some(3)).unwrap(), 3);
        assert_eq!(versions.current().unwrap(), Some(1));
        assert_eq!(versions.add(b"d", &[]).unwrap(), 4, "a number is not given twice");
    }

    #[test]
    fn what_another_process_left_half_written_is_no_version_and_goes_in_time() {
        let (_directory, versions) = folder();
        versions.add(b"a", &[]).unwrap();
        let left = versions.folder.join("v000002.safetensors.77.0.part");
        let left_now = versions.folder.join("v000002.safetensors.78.0.part");
        fs::write(&left, b"half").unwrap();
        fs::write(&left_now, b"half").unwrap();
        let now = Duration::from_micros(clock::now().as_micros());
        let long_ago = UNIX_EPOCH + now - 2 * ABANDONED;
        File::options().write(true).open(&left).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(versions.all().unwrap(), [1]);
        assert_eq!(versions.add(b"b", &[]).unwrap(), 2);
        assert!(!left.exists() && left_now.exists());
    }

    #[test]
    fn two_at_once_get_a_number_each() {
        let (_directory, versions) = folder();
        let mut numbers: Vec<u64> = std::thread::scope(|scope| {
            let adding: Vec<_> = (0..4_u8)
                .map(|n| {
                    scope.spawn({
                        let versions = &versions;
                        move || versions.add(&[n], &[]).unwrap()
                    })
                })
                .collect();
            adding.into_iter().map(|one| one.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert!(versions.current().unwrap().is_some_and(|current| current <= 4));
    }

    #[test]
    fn a_name_of_no_version_is_said_and_not_guessed() {
        let (_directory, versions) = folder();
        versions.add(b"a", &[]).unwrap();
        fs::write(versions.folder.join(CURRENT), "v+1.safetensors\n").unwrap();
        assert!(versions.current().unwrap_err().to_string().contains("names no version"));
    }
}
