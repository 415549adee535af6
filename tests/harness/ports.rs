//! Free loopback ports, for servers that must keep their port over a restart.
//!
//! Servers that may choose for themselves bind port 0 instead, which cannot collide.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use anyhow::{Result, bail};
use rand::RngExt;

use crate::random;

/// Below the range from which Linux takes the local ports of outgoing connections: a port of that
/// range can be taken by any client between being found free and being bound.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nobody listens on and that this process has not given out before.
pub fn free() -> Result<u16> {
    // By process id, so that test processes that run at the same time try different ports.
    let mut random = random::seeded(u64::from(std::process::id()));
    for _ in 0..2_000 {
        let port = random.random_range(RANGE);
        let is_new = GIVEN.lock().is_ok_and(|mut given| given.insert(port));
        if is_new && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free port in {RANGE:?}")
}
