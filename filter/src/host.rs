//! The proxy's side: configuration, ticks and sending, through the SDK; requests through `abi`.

mod abi;
mod current;

use std::cell::{Cell, RefCell};
use std::time::{Duration, UNIX_EPOCH};

use foresail_wire::CONTENT_TYPE;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::{LogLevel, MapType};

use crate::config::{Config, Problem};
use crate::identity::{self, NodeFact};
use crate::outbox::Notice;
use crate::plugin::Plugin;

/// How soon to look again when the plugin has no window open.
const IDLE_TICK: Duration = Duration::from_mins(1);

thread_local! {
    static PLUGIN: RefCell<Option<Plugin>> = const { RefCell::new(None) };
    static MEMORY_PAGES: Cell<usize> = const { Cell::new(0) };
}

/// Runs `act` on the VM's plugin. Never re-entered; if it were, nothing would happen.
fn with_plugin<T>(act: impl FnOnce(&mut Plugin) -> T) -> Option<T> {
    PLUGIN.with(|plugin| {
        let mut plugin = plugin.try_borrow_mut().ok()?;
        Some(act(plugin.get_or_insert_with(|| Plugin::new(abi::random()))))
    })
}

/// A root context: one for each listener and configuration of the plugin.
struct Root {
    id: u32,
}

/// What `_initialize` does.
fn start() {
    proxy_wasm::set_root_context(|id| Box::new(Root { id }));
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        let status = if headers == 0 { None } else { answer_status() };
        let now = now_micros();
        notify(with_plugin(|plugin| plugin.answered(token, status, body, now)).flatten());
        send(now);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let json = if size == 0 { None } else { self.get_plugin_configuration() };
        if let Err(problems) = configure(self.id, &json.unwrap_or_default()) {
            for problem in problems {
                log(LogLevel::Error, &format!("foresail: configuration: {problem}"));
            }
            log(LogLevel::Error, "foresail: nothing is recorded until the configuration is right");
            with_plugin(|plugin| plugin.refuse(self.id));
        }
        // Traffic goes on in any case.
        true
    }

    fn on_tick(&mut self) {
        let now = now_micros();
        let next = with_plugin(|plugin| plugin.tick(now)).flatten();
        set_tick(next);
        send(now);
        log_memory();
    }
}

fn configure(root_id: u32, json: &[u8]) -> Result<(), Vec<Problem>> {
    let config = Config::from_json(json)?;
    let identity = identity::resolve(&config.identity, node).map_err(|problem| vec![problem])?;
    log(
        LogLevel::Info,
        &format!(
            "foresail: counts the requests of {}/{} and reports to cluster {}",
            identity.namespace, identity.workload, config.aggregator.cluster,
        ),
    );
    let now = now_micros();
    let next = with_plugin(|plugin| {
        plugin.configure(root_id, config, identity, now);
        plugin.tick(now)
    });
    set_tick(next.flatten());
    Ok(())
}

fn node(fact: NodeFact) -> Option<String> {
    let read = |path: &str| abi::property(path, |value| String::from_utf8(value?.to_vec()).ok());
    let path = fact.property().join("\0");
    // Before `xds` there was, in Envoy, the same without it.
    read(&path).or_else(|| read(path.strip_prefix("xds\0")?))
}

fn answer_status() -> Option<u16> {
    let value =
        hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok()??;
    std::str::from_utf8(&value).ok()?.parse().ok()
}

/// Sends the next frame if one is due.
fn send(now: u64) {
    let notice = with_plugin(|plugin| {
        let (bytes, aggregator) = plugin.next_frame(now)?;
        let headers = [
            (":method", "POST"),
            (":path", aggregator.path.as_str()),
            (":authority", aggregator.authority.as_deref().unwrap_or_default()),
            ("content-type", CONTENT_TYPE),
        ];
        let token = hostcalls::dispatch_http_call(
            &aggregator.cluster,
            headers.to_vec(),
            Some(&bytes),
            vec![],
            aggregator.timeout,
        );
        plugin.sent(token.ok(), now)
    });
    notify(notice.flatten());
}

fn set_tick(after: Option<Duration>) {
    // The SDK's call cannot fail: the proxy takes any period.
    let _ = hostcalls::set_tick_period(after.unwrap_or(IDLE_TICK));
}

fn notify(notice: Option<Notice>) {
    if let Some(notice) = notice {
        let level = match notice {
            Notice::Refused { .. } => LogLevel::Error,
            Notice::Unreachable { .. } => LogLevel::Warn,
            Notice::Reached => LogLevel::Info,
        };
        log(level, &format!("foresail: {notice}"));
    }
}

/// Says how much memory the VM has when it has more than the time before.
fn log_memory() {
    const PAGE_KIB: usize = 64;
    let pages = core::arch::wasm32::memory_size(0);
    if MEMORY_PAGES.replace(pages) < pages {
        log(LogLevel::Debug, &format!("foresail: memory is {} KiB", pages * PAGE_KIB));
    }
}

fn log(level: LogLevel, message: &str) {
    let _ = hostcalls::log(level, message);
}

fn now_micros() -> u64 {
    let now = hostcalls::get_current_time().ok();
    let since = now.and_then(|now| now.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
