use super::*;
use crate::units::WorkloadKey;

fn path(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("state.redb")
}

/// Number of a batch, and its frames with their times.
type Batch = (u64, Vec<(Timestamp, Vec<u8>)>);

#[derive(Debug, Default)]
struct Seen {
    workloads: Vec<(WorkloadId, WorkloadKey)>,
    batches: Vec<Batch>,
    states: Vec<(WorkloadId, u64, Vec<u8>)>,
    windows: Vec<(u8, Vec<u8>)>,
}

impl Loaded for Seen {
    fn workload(&mut self, id: WorkloadId, key: WorkloadKey) {
        self.workloads.push((id, key));
    }
    fn windows(&mut self, tier: u8, bytes: &[u8]) -> Result<(), StoreError> {
        self.windows.push((tier, bytes.to_vec()));
        Ok(())
    }
    fn state(&mut self, id: WorkloadId, batch: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.states.push((id, batch, bytes.to_vec()));
        Ok(())
    }
    fn autoscaler(&mut self, _id: WorkloadId, _bytes: &[u8]) {}
    fn load(&mut self, _id: WorkloadId, _bytes: &[u8]) {}

    fn board(&mut self, _id: WorkloadId, _bytes: &[u8]) {}
    fn decision(&mut self, _id: WorkloadId, _decision: Decision) {}
    fn batch(&mut self, number: u64, frames: SavedBatch<'_>) {
        self.batches.push((number, frames.map(|(at, bytes)| (at, bytes.to_vec())).collect()));
    }
}

fn load(store: &Store) -> Seen {
    let mut seen = Seen::default();
    store.load(&mut seen).unwrap();
    seen
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let key = WorkloadKey { namespace: "demo".to_owned(), name: "web".to_owned() };
    let mut frames = Vec::new();
    append_frame(&mut frames, at(5), b"one");
    append_frame(&mut frames, at(6), b"");
    let mut store = Store::open(&path(&directory)).unwrap();
    let workloads = [(0, key.clone())];
    let changes = Changes {
        workloads: &workloads,
        next_batch: 7,
        frames: Some(&frames),
        ..Changes::default()
    };
    store.commit(at(6), &changes).unwrap();
    let states = [(0, 7, b"state".to_vec())];
    store.commit(at(7), &Changes { next_batch: 8, states: &states, ..Changes::default() }).unwrap();
    drop(store);

    let store = Store::open(&path(&directory)).unwrap();
    let seen = load(&store);
    assert_eq!(seen.workloads, [(0, key)]);
    assert_eq!(seen.states, [(0, 7, b"state".to_vec())]);
    assert_eq!(seen.batches, [(7, vec![(at(5), b"one".to_vec()), (at(6), Vec::new())])]);
}

#[test]
fn batches_that_are_in_every_state_and_old_windows_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(&path(&directory)).unwrap();
    for batch in 1..=4 {
        let changes = Changes { next_batch: batch, frames: Some(&[]), ..Changes::default() };
        store.commit(at(batch), &changes).unwrap();
    }
    let windows =
        [(0, at(10), b"old".to_vec()), (0, at(20), b"new".to_vec()), (1, at(10), b"mid".to_vec())];
    let forget = [(0, at(20))];
    let changes = Changes {
        next_batch: 5,
        trim_batches_below: Some(3),
        windows: &windows,
        forget_windows: &forget,
        ..Changes::default()
    };
    store.commit(at(20), &changes).unwrap();
    let seen = load(&store);
    assert_eq!(seen.batches.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(seen.windows, [(0, b"new".to_vec()), (1, b"mid".to_vec())]);
}

#[test]
fn the_newest_decisions_come_first_and_the_oldest_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(&path(&directory)).unwrap();
    let decision = |sequence| Decision {
        sequence,
        at: at(sequence),
        observation: crate::journal::Observation::default(),
        signals: Vec::new(),
        forecast: None,
        proposed_replicas: 1,
        guards: Vec::new(),
        desired_replicas: 1,
        without_forecast: 1,
        reason: String::new(),
    };
    let decisions: Vec<_> = (1..=DECISIONS_KEPT + 5).map(|n| (3, decision(n))).collect();
    let changes = Changes { next_batch: 1, decisions: &decisions, ..Changes::default() };
    store.commit(at(1), &changes).unwrap();
    let newest = store.reader().decisions(3, 2).unwrap();
    assert_eq!(newest, [decision(DECISIONS_KEPT + 5), decision(DECISIONS_KEPT + 4)]);
    let all = store.reader().decisions(3, usize::MAX).unwrap();
    assert_eq!(all.len() as u64, DECISIONS_KEPT);
    assert_eq!(store.reader().decisions(2, 10).unwrap(), []);
}

#[test]
fn a_state_of_another_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(&path(&directory)).unwrap());
    let database = Database::create(path(&directory)).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("schema", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(&path(&directory)).unwrap_err();
    assert_eq!(error.to_string(), "the state has schema 99, this build knows 6");
}

#[test]
fn a_state_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _used = Store::open(&path(&directory)).unwrap();
    assert_eq!(Store::open(&path(&directory)).unwrap_err().kind(), "open");
}

#[test]
fn a_batch_whose_commit_failed_is_not_replayed_even_if_it_reached_the_disk() {
    let disk = disk::Disk::default();
    let mut store = disk.open();
    let frames = |next_batch| Changes { next_batch, frames: Some(&[]), ..Changes::default() };
    let numbers = |store: &Store| load(store).batches.iter().map(|(n, _)| *n).collect::<Vec<_>>();
    store.commit(at(1), &frames(1)).unwrap();
    disk.lie(true);
    assert_eq!(store.commit(at(2), &frames(2)).unwrap_err().kind(), "database");
    disk.lie(false);
    assert_eq!(numbers(&disk.open()), [1, 2], "the failed commit did reach the disk");
    assert_eq!(store.commit(at(2), &frames(2)).unwrap_err().kind(), "closed");
    store.commit(at(4), &Changes { next_batch: 2, ..Changes::default() }).unwrap();
    assert_eq!(numbers(&store), [1]);
}

#[test]
fn heat_of_workloads_that_share_a_row_is_kept_apart_replaced_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(&path(&directory)).unwrap();
    let heat = |cell: u8| from_bytes::<Heat>("heat", &[1, cell, 9]).unwrap();
    let row =
        |workload, index, cell| HeatRow { workload, tier: Tier::Mid, index, heat: heat(cell) };
    let commit = |store: &mut Store, heat: &[HeatRow]| {
        store.commit(at(1), &Changes { heat, ..Changes::default() }).unwrap();
    };
    commit(&mut store, &[row(3, 10, 1), row(4, 10, 2), row(70, 10, 3)]);
    commit(&mut store, &[row(3, 10, 5), row(3, 11, 6)]);
    let of = |store: &Store, id| store.reader().heat(id, Tier::Mid, 0..=u64::MAX).unwrap();
    assert_eq!(of(&store, 3), [(10, heat(5)), (11, heat(6))]);
    assert_eq!(of(&store, 4), [(10, heat(2))]);
    assert_eq!(of(&store, 70), [(10, heat(3))]);
    commit(&mut store, &[row(4, 10 + heat_kept(Tier::Mid), 7)]);
    assert_eq!(of(&store, 3), [(11, heat(6))], "what is as old as the last one forgotten is gone");
}
