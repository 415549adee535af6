//! What survives a `kill -9`: one redb file, written by one thread, one transaction at a time.
//!
//! Frames are written ahead ([`Changes::frames`]) and acknowledged after the commit. From time to time
//! the state that they led to is saved per workload together with the number of the last batch
//! that it contains; batches that every workload has saved are deleted. A restart reads the saved
//! states and applies the batches after them, each workload from its own number on.

mod schema;
mod heat;
mod load;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use redb::{Database, DatabaseError, ReadableDatabase};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::clock::Stopwatch;
use crate::journal::Decision;
use crate::telemetry::{Heat, Tier};
use crate::units::{Timestamp, WorkloadKey};

pub use heat::{HeatRow, heat_kept};
pub use load::{Loaded, SavedBatch, append_frame};

/// Number that the store gives a workload when it first sees it.
pub type WorkloadId = u32;

/// Decisions kept of each workload.
pub const DECISIONS_KEPT: u64 = 2_000;
/// Memory that redb may use for pages; its own default is 1 GiB.
const CACHE_BYTES: usize = 64 << 20;
/// How long a store that failed is left alone before it is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Why the state cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened. Check that its directory exists, that it may be written, and
    /// that no other aggregator uses it.
    #[error("the state in {path} cannot be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// Written by another version. Use that version, or move the file away to begin anew.
    #[error("the state has schema {found}, this build knows {known}")]
    UnknownSchema {
        /// Version in the file.
        found: u64,
        /// Version of this build.
        known: u64,
    },
    /// Reading or writing failed. Check the disk's space and health.
    #[error("the state cannot be read or written")]
    Database(#[source] Box<redb::Error>),
    /// A stored value is not what this version writes. Restore the file, or move it away.
    #[error("a value in table `{table}` cannot be read")]
    Corrupt {
        /// Where it stands.
        table: &'static str,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// A value has no stored form; the previous one is kept.
    #[error("a value cannot be stored")]
    Encode(#[source] CodecError),
    /// The store failed a moment ago and is not open again yet.
    #[error("the state is closed after an error; it is opened again within a second")]
    Closed,
}

impl StoreError {
    /// Stable name of the cause, for a metric's label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::UnknownSchema { .. } => "unknown_schema",
            Self::Database(_) => "database",
            Self::Corrupt { .. } => "corrupt",
            Self::Encode(_) => "encode",
            Self::Closed => "closed",
        }
    }
}

/// Why a value could not be turned into bytes or back.
#[derive(Debug, Error)]
pub enum CodecError {
    /// In the compact form of states and windows.
    #[error(transparent)]
    Compact(#[from] postcard::Error),
    /// In the JSON of decisions.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Wraps any redb error; they are many and large.
fn database_error<E: Into<redb::Error>>(error: E) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

/// A value in the store's compact form.
///
/// # Errors
/// [`StoreError::Encode`] when the type has no such form.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| StoreError::Encode(error.into()))
}

/// A value back from its compact form.
///
/// # Errors
/// [`StoreError::Corrupt`], naming `table`.
pub fn from_bytes<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| StoreError::Corrupt { table, source: error.into() })
}

/// Everything that one transaction writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes<'a> {
    /// Workloads seen for the first time.
    pub workloads: &'a [(WorkloadId, WorkloadKey)],
    /// Number of the first batch that no earlier transaction acknowledged.
    pub next_batch: u64,
    /// Frames of batch `next_batch`, built with [`append_frame`].
    pub frames: Option<&'a [u8]>,
    /// Batches below this one are in every saved state.
    pub trim_batches_below: Option<u64>,
    /// Windows that closed: tier, when, and the blob of all workloads.
    pub windows: &'a [(u8, Timestamp, Vec<u8>)],
    /// Windows of a tier that closed before this are deleted.
    pub forget_windows: &'a [(u8, Timestamp)],
    /// How long the requests of closed windows took.
    pub heat: &'a [HeatRow],
    /// Saved telemetry, each with the last batch in it.
    pub states: &'a [(WorkloadId, u64, Vec<u8>)],
    /// Decisions made.
    pub decisions: &'a [(WorkloadId, Decision)],
    /// Saved autoscalers.
    pub autoscalers: &'a [(WorkloadId, Vec<u8>)],
    /// Loads that autoscalers learned from.
    pub loads: &'a [(WorkloadId, Vec<u8>)],
    /// Scores of the policies beside the one in charge.
    pub boards: &'a [(WorkloadId, Vec<u8>)],
}

/// Opens the database; a parameter so that a test can use a disk that fails.
pub type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// The store's writing side. There is one.
pub struct Store {
    path: PathBuf,
    opener: Opener,
    shared: Arc<Shared>,
    /// Set while the last write failed: when, and whether unacknowledged rows may be in the file.
    failed_at: Option<Timestamp>,
    purge: bool,
}

/// What readers need.
#[derive(Debug)]
struct Shared {
    database: RwLock<Option<Arc<Database>>>,
    healthy: AtomicBool,
    commit_seconds: Histogram,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the state in a file, or begins one.
    ///
    /// # Errors
    /// [`StoreError::Open`] and [`StoreError::UnknownSchema`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = path.to_path_buf();
        let opener = move || Database::builder().set_cache_size(CACHE_BYTES).create(&file);
        Self::open_with(path, Box::new(opener))
    }

    /// Opens a state by other means than a file; `path` is what messages call it.
    ///
    /// # Errors
    /// [`StoreError::Open`] and [`StoreError::UnknownSchema`].
    pub fn open_with(path: &Path, opener: Opener) -> Result<Self, StoreError> {
        let shared = Shared {
            database: RwLock::new(None),
            healthy: AtomicBool::new(false),
            commit_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
        };
        let store = Self {
            path: path.to_path_buf(),
            opener,
            shared: Arc::new(shared),
            failed_at: None,
            purge: false,
        };
        store.reopen()?;
        Ok(store)
    }

    fn reopen(&self) -> Result<Arc<Database>, StoreError> {
        let opened = (self.opener)()
            .map_err(|source| StoreError::Open { path: self.path.clone(), source })?;
        schema::prepare(&opened)?;
        let opened = Arc::new(opened);
        *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&opened));
        self.shared.healthy.store(true, Ordering::Release);
        Ok(opened)
    }

    /// A handle for reading, valid as long as the store.
    pub fn reader(&self) -> StoreReader {
        StoreReader(Arc::clone(&self.shared))
    }

    /// Reads everything that a restart needs.
    ///
    /// # Errors
    /// [`StoreError::Database`] and [`StoreError::Corrupt`].
    pub fn load(&self, visit: &mut dyn Loaded) -> Result<(), StoreError> {
        let database = self.shared.open_database()?;
        load::load(&database, visit)
    }

    /// Writes `changes` in one durable transaction: when this returns `Ok`, a `kill -9` cannot
    /// undo it. After an error nothing of it counts as written, and the database is opened
    /// again by a later call.
    ///
    /// # Errors
    /// [`StoreError::Closed`] between a failure and the next try, else the failure itself.
    pub fn commit(&mut self, now: Timestamp, changes: &Changes<'_>) -> Result<(), StoreError> {
        let result = self.try_commit(now, changes);
        match &result {
            Ok(()) => {
                self.failed_at = None;
                self.purge = false;
            }
            Err(StoreError::Closed | StoreError::Encode(_)) => {}
            Err(_) => {
                // redb refuses all work after an I/O error until it is opened anew.
                self.shared.healthy.store(false, Ordering::Release);
                *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = None;
                self.failed_at = Some(now);
                self.purge = true;
            }
        }
        result
    }

    fn try_commit(&mut self, now: Timestamp, changes: &Changes<'_>) -> Result<(), StoreError> {
        let watch = Stopwatch::start();
        let database = match self.failed_at {
            Some(failed_at) if now.since(failed_at) < REOPEN_AFTER && now >= failed_at => {
                return Err(StoreError::Closed);
            }
            Some(_) => self.reopen()?,
            None => self.shared.open_database()?,
        };
        let transaction = database.begin_write().map_err(database_error)?;
        schema::write(&transaction, changes, self.purge)?;
        transaction.commit().map_err(database_error)?;
        self.shared.commit_seconds.observe(watch.elapsed().as_secs_f64());
        Ok(())
    }
}

impl Shared {
    fn open_database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Closed)
    }
}

/// The store's reading side, for the API.
#[derive(Clone, Debug)]
pub struct StoreReader(Arc<Shared>);

impl StoreReader {
    /// Whether the last write succeeded.
    pub fn is_healthy(&self) -> bool {
        self.0.healthy.load(Ordering::Acquire)
    }

    /// How long commits take, in seconds.
    pub fn commit_seconds(&self) -> &Histogram {
        &self.0.commit_seconds
    }

    /// The newest decisions of a workload, newest first.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::Database`] and [`StoreError::Corrupt`].
    pub fn decisions(&self, id: WorkloadId, limit: usize) -> Result<Vec<Decision>, StoreError> {
        let database = self.0.open_database()?;
        let transaction = database.begin_read().map_err(database_error)?;
        load::decisions(&transaction, id, limit)
    }

    /// How long a workload's requests took, by the number of the window, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::Database`] and [`StoreError::Corrupt`].
    pub fn heat(
        &self,
        id: WorkloadId,
        tier: Tier,
        windows: RangeInclusive<u64>,
    ) -> Result<Vec<(u64, Heat)>, StoreError> {
        let database = self.0.open_database()?;
        let transaction = database.begin_read().map_err(database_error)?;
        heat::read(&transaction, id, tier, windows)
    }
}

#[cfg(test)]
pub(crate) mod disk;
#[cfg(test)]
mod tests;
