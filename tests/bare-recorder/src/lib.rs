//! Asks the proxy what a recorder asks, and keeps none of the answers: what is left of the cost is
//! the proxy's own. Its configuration names the questions, in any text: `["duration", "code"]`.
//!
//! `tools/build-filter.sh` links it twice: with its two callbacks, and with none for requests.

use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_property(
        path: *const u8,
        len: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        len: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, value: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        argument: *const u8,
        argument_len: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        len: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
}

const RESPONSE_HEADERS: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const PLUGIN_CONFIGURATION: u32 = 7;

const QUESTIONS: [(&str, fn()); 9] = [
    ("duration", || property("request\0duration")),
    ("code", || property("response\0code")),
    ("flags", || property("response\0flags")),
    ("grpc", || {
        header(RESPONSE_TRAILERS, "grpc-status");
        header(RESPONSE_HEADERS, "grpc-status");
    }),
    ("content", || header(RESPONSE_HEADERS, "content-type")),
    ("absent", || property("connection\0termination_details")),
    ("headers", all_headers),
    ("clock", clock),
    ("expression", evaluate),
];

/// The proxy's number for the compiled expression.
static EXPRESSION: AtomicU32 = AtomicU32::new(0);
/// A bit for each of `QUESTIONS` that is asked at the end of a request.
static ASKED: AtomicU32 = AtomicU32::new(0);

struct Scratch(UnsafeCell<[u8; 65_536]>);
// SAFETY: a VM has one thread.
unsafe impl Sync for Scratch {}
/// Every value goes there, one over the other.
static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; 65_536]));

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    if size <= 65_536 { SCRATCH.0.get().cast() } else { null_mut() }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_root: u32, len: usize) -> u32 {
    let (mut value, mut size) = (null_mut::<u8>(), 0_usize);
    // SAFETY: the pointers are valid for the call; what the proxy wrote stays until the next one.
    let text = unsafe {
        let status = proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, len, &mut value, &mut size);
        if status != 0 || value.is_null() {
            return 1;
        }
        std::slice::from_raw_parts(value, size)
    };
    let text = std::str::from_utf8(text).unwrap_or_default();
    let named = QUESTIONS.iter().enumerate().filter(|(_, (name, _))| text.contains(name));
    ASKED.store(named.fold(0, |bits, (at, _)| bits | 1 << at), Ordering::Relaxed);
    if text.contains("expression") {
        compile();
    }
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_context: u32, _root: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(_context: u32) {
    let asked = ASKED.load(Ordering::Relaxed);
    for (at, (_, ask)) in QUESTIONS.iter().enumerate() {
        if asked & 1 << at != 0 {
            ask();
        }
    }
}

fn property(path: &str) {
    let (mut value, mut size) = (null_mut(), 0);
    // SAFETY: the pointers are valid for the call.
    unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut value, &mut size) };
}

fn header(map: u32, name: &str) {
    let (mut value, mut size) = (null_mut(), 0);
    // SAFETY: as above.
    unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), &mut value, &mut size) };
}

fn all_headers() {
    let (mut value, mut size) = (null_mut(), 0);
    // SAFETY: as above.
    unsafe { proxy_get_header_map_pairs(RESPONSE_HEADERS, &mut value, &mut size) };
}

fn clock() {
    let mut time = 0;
    // SAFETY: as above.
    unsafe { proxy_get_current_time_nanoseconds(&mut time) };
}

/// Compiles the expression that answers three questions at once.
fn compile() {
    const QUESTIONS: &str = "[request.duration, response.code, response.flags]";
    let token = foreign("expr_create", QUESTIONS.as_bytes());
    EXPRESSION.store(token.unwrap_or_default(), Ordering::Relaxed);
}

fn evaluate() {
    foreign("expr_evaluate", &EXPRESSION.load(Ordering::Relaxed).to_le_bytes());
}

/// Calls one of the proxy's own functions; the first four bytes of its answer.
fn foreign(name: &str, argument: &[u8]) -> Option<u32> {
    let (mut value, mut size) = (null_mut::<u8>(), 0);
    let (at, len) = (argument.as_ptr(), argument.len());
    // SAFETY: as above; the proxy has written `size` bytes to the scratch memory.
    unsafe {
        let status =
            proxy_call_foreign_function(name.as_ptr(), name.len(), at, len, &mut value, &mut size);
        (status == 0 && size >= 4 && !value.is_null()).then(|| value.cast::<u32>().read_unaligned())
    }
}
