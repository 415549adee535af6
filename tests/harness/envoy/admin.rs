//! What a proxy says of itself on its admin page.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Http;

/// The admin page of a proxy; clones ask the same one.
#[derive(Clone, Debug)]
pub struct Admin {
    http: Http,
    url: String,
}

impl Admin {
    pub(super) fn new(http: Http, address: SocketAddr) -> Self {
        Self { http, url: format!("http://{address}") }
    }

    /// `http://address` of the page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it takes requests.
    pub async fn is_ready(&self) -> bool {
        self.http.get(&format!("{}/ready", self.url)).await.is_ok_and(|(status, _)| status == 200)
    }

    /// All counters and gauges that were ever touched, by name.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>> {
        self.stats_matching("").await
    }

    /// Those whose name matches a regular expression.
    pub async fn stats_matching(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let url = format!("{}/stats?format=json&usedonly&filter={filter}", self.url);
        let answer = self.http.json(&url).await?;
        let stats = answer.get("stats").and_then(Value::as_array).context("no stats")?;
        // Histograms have neither name nor value at this level and are left out.
        let pair = |stat: &Value| {
            Some((stat.get("name")?.as_str()?.to_owned(), stat.get("value")?.as_u64()?))
        };
        Ok(stats.iter().filter_map(pair).collect())
    }

    /// One counter or gauge; 0 while it was never touched.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let all = self.stats_matching(&format!("^{}$", name.replace('.', "%5C."))).await?;
        Ok(all.get(name).copied().unwrap_or(0))
    }

    /// Listener names and the addresses that they are bound to.
    pub(super) async fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        let answer = self.http.json(&format!("{}/listeners?format=json", self.url)).await?;
        let listeners = answer.get("listener_statuses").and_then(Value::as_array);
        listeners
            .into_iter()
            .flatten()
            .map(|listener| {
                let name = listener.get("name").and_then(Value::as_str).context("no name")?;
                let socket =
                    listener.pointer("/local_address/socket_address").context("no address")?;
                let port = socket.get("port_value").and_then(Value::as_u64).context("no port")?;
                let ip = socket.get("address").and_then(Value::as_str).context("no address")?;
                Ok((name.to_owned(), SocketAddr::new(ip.parse()?, u16::try_from(port)?)))
            })
            .collect()
    }
}
