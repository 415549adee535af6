//! A disk for tests: it can fail, and it can lose everything since the last `fsync`.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, StorageBackend};

use super::Store;

/// What the disk holds.
#[derive(Debug, Default)]
struct State {
    written: Vec<u8>,
    synced: Vec<u8>,
    fails: bool,
    /// Syncs, and says that it did not.
    lies: bool,
    /// Only the newest handle writes: one from before a crash belongs to a dead process.
    handle: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// Opens a store on it.
    pub(crate) fn open(&self) -> Store {
        let disk = self.clone();
        let opener = move || Database::builder().create_with_backend(disk.handle());
        Store::open_with(Path::new("test"), Box::new(opener)).unwrap()
    }

    /// Loses what was not synced and makes all open handles useless.
    pub(crate) fn crash(&self) {
        let mut state = self.lock();
        state.written = state.synced.clone();
        state.handle += 1;
    }

    /// Makes writes fail, or work again.
    pub(crate) fn fail(&self, fails: bool) {
        self.lock().fails = fails;
    }

    /// Makes syncs succeed and report failure, or be honest again.
    pub(crate) fn lie(&self, lies: bool) {
        self.lock().lies = lies;
    }

    fn handle(&self) -> Handle {
        let mut state = self.lock();
        state.handle += 1;
        Handle { disk: self.clone(), number: state.handle }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    number: u64,
}

impl Handle {
    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.disk.lock();
        if state.fails || state.handle != self.number {
            return Err(io::Error::other("the disk fails"));
        }
        change(&mut state);
        Ok(())
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.lock();
        let from = usize::try_from(offset).unwrap();
        out.copy_from_slice(&state.written[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|state| state.written.resize(usize::try_from(len).unwrap(), 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|state| state.synced = state.written.clone())?;
        if self.disk.lock().lies { Err(io::Error::other("the disk lies")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        self.change(|state| state.written[from..from + data.len()].copy_from_slice(data))
    }
}
