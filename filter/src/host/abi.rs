//! The proxy's functions that every request needs, called without the SDK: it would build each
//! property's path anew, copy each answer into memory of its own, and keep a boxed context for
//! each request. And the module's own entry points, which `tools/wasm/link.py` gives the
//! names that the proxy looks for.
#![expect(unsafe_code, reason = "the proxy's ABI passes pointers; this is the only file that does")]

use std::cell::{Cell, UnsafeCell};

use super::current::Current;
use super::with_plugin;

/// Values up to this length are read without memory being taken for them.
const SCRATCH_BYTES: usize = 4096;
const OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, size: usize) -> u32;
}

// Defined in the SDK.
unsafe extern "C" {
    fn proxy_on_context_create(context_id: u32, root_context_id: u32);
}

struct Scratch {
    bytes: UnsafeCell<[u8; SCRATCH_BYTES]>,
    /// Whether the next allocation that the proxy asks for may be the scratch memory.
    armed: Cell<bool>,
}

thread_local! {
    static SCRATCH: Scratch = const {
        Scratch { bytes: UnsafeCell::new([0; SCRATCH_BYTES]), armed: Cell::new(false) }
    };
}

/// What the module does first.
#[unsafe(no_mangle)]
extern "C" fn foresail_initialize() {
    super::start();
}

/// A request has begun, or a root context has.
#[unsafe(no_mangle)]
extern "C" fn foresail_on_context_create(context_id: u32, root_context_id: u32) {
    if root_context_id == 0 {
        // SAFETY: this is the SDK's own callback, with the arguments that the proxy gave.
        unsafe { proxy_on_context_create(context_id, root_context_id) };
    } else {
        with_plugin(|plugin| plugin.begin(context_id, root_context_id, &mut Current));
    }
}

/// A request has finished.
#[unsafe(no_mangle)]
extern "C" fn foresail_on_log(context_id: u32) {
    with_plugin(|plugin| plugin.finish(context_id, &mut Current));
}

/// Memory for a value that the proxy hands over. While a value is read for a request it is the
/// scratch memory; otherwise it is the caller's to free, as the SDK expects.
#[unsafe(no_mangle)]
extern "C" fn foresail_memory_allocate(size: usize) -> *mut u8 {
    SCRATCH.with(|scratch| {
        if scratch.armed.take() && size <= SCRATCH_BYTES {
            return scratch.bytes.get().cast();
        }
        Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
    })
}

/// Reads a property; `path` has its parts separated by NUL. `read` gets `None` when there is no
/// such value.
#[inline]
pub(super) fn property<T>(path: &str, read: impl FnOnce(Option<&[u8]>) -> T) -> T {
    // SAFETY: the pointers are valid for the call, which keeps none of them.
    value(read, |start, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), start, size) })
}

/// Reads a header; `read` gets `None` when there is no such header.
#[inline]
pub(super) fn header<T>(map: Map, name: &str, read: impl FnOnce(Option<&[u8]>) -> T) -> T {
    // SAFETY: as above.
    value(read, |start, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), start, size)
    })
}

/// Header maps of a request.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Map {
    ResponseHeaders = 2,
    ResponseTrailers = 3,
}

#[inline]
fn value<T>(
    read: impl FnOnce(Option<&[u8]>) -> T,
    call: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
) -> T {
    let mut start = std::ptr::null_mut::<u8>();
    let mut size = 0_usize;
    let scratch = SCRATCH.with(|scratch| {
        scratch.armed.set(true);
        scratch.bytes.get().cast::<u8>()
    });
    let status = call(&raw mut start, &raw mut size);
    SCRATCH.with(|scratch| scratch.armed.set(false));
    if status != OK {
        return read(None);
    }
    if start.is_null() || size == 0 {
        return read(Some(&[]));
    }
    if start == scratch {
        // SAFETY: the proxy has written `size` bytes there, at most `SCRATCH_BYTES`; nothing else
        // writes them until `read` has returned, because `read` does not call the proxy.
        return read(Some(unsafe { std::slice::from_raw_parts(start, size) }));
    }
    let memory = std::ptr::slice_from_raw_parts_mut(start, size);
    // SAFETY: `foresail_memory_allocate` made it a box of this length and gave it away.
    read(Some(&unsafe { Box::from_raw(memory) }))
}

/// A value that is an integer of eight bytes.
#[inline]
pub(super) fn integer(value: Option<&[u8]>) -> Option<i64> {
    value?.first_chunk().copied().map(i64::from_le_bytes)
}

/// A random number from the proxy.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is valid for the call.
    let status = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    let here = u64::from_le_bytes(bytes);
    // Should the proxy refuse, its clock has nanoseconds, and no two VMs start in the same one.
    if status == 0 { here } else { super::now_micros().rotate_left(20) }
}
