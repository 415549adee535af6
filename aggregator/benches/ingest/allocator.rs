//! An allocator that counts what is asked for and what is held.

#![expect(unsafe_code, reason = "only an allocator can count what is allocated")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// While false nothing is counted, so that counting is not part of what is timed.
static COUNTS: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static REQUESTED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn taken(bytes: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        REQUESTED.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn freed(bytes: usize) {
    if COUNTS.load(Ordering::Relaxed) {
        FREED.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        freed(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        freed(layout.size());
        taken(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What some work asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocated {
    /// Calls that asked for memory; growing is one.
    pub(crate) calls: usize,
    /// Bytes asked for and not given back.
    pub(crate) held: usize,
}

/// What `work` returns, and what it and everything that ran beside it allocated.
pub(crate) fn allocated_by<T>(work: impl FnOnce() -> T) -> (Allocated, T) {
    let read = || [&CALLS, &REQUESTED, &FREED].map(|counter| counter.load(Ordering::Relaxed));
    let before = read();
    COUNTS.store(true, Ordering::Relaxed);
    let result = work();
    COUNTS.store(false, Ordering::Relaxed);
    let [calls, requested, freed] = read();
    let held = (requested - before[1]).saturating_sub(freed - before[2]);
    (Allocated { calls: calls - before[0], held }, result)
}
