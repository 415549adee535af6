//! A small HTTP client for admin pages and the aggregator's API.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// No answer within this time is an error.
const LIMIT: Duration = Duration::from_secs(10);

/// A client with a connection pool; clones share it.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Http {
    fn default() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }
}

impl Http {
    /// Sends a request; the answer's status and body, whatever the status is.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<(u16, Bytes)> {
        self.send_with(method, url, &[("content-type", content_type)], body).await
    }

    /// The same with headers, each as often as it is given.
    pub async fn send_with(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<(u16, Bytes)> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status().as_u16();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        timeout(LIMIT, exchange).await.with_context(|| format!("{url} took over {LIMIT:?}"))?
    }

    /// GET; the answer's status and body.
    pub async fn get(&self, url: &str) -> Result<(u16, Bytes)> {
        self.send(Method::GET, url, "text/plain", Bytes::new()).await
    }

    /// GET of a text; an error unless the status is 200.
    pub async fn text(&self, url: &str) -> Result<String> {
        let (status, body) = self.get(url).await?;
        if status != 200 {
            bail!("{url} answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(String::from_utf8(body.to_vec())?)
    }

    /// GET of JSON; an error unless the status is 200.
    pub async fn json(&self, url: &str) -> Result<Value> {
        let text = self.text(url).await?;
        serde_json::from_str(&text).with_context(|| format!("{url} did not answer JSON: {text}"))
    }

    /// POST of JSON; the answer's status and body.
    pub async fn post_json(&self, url: &str, body: &Value) -> Result<(u16, Bytes)> {
        self.send(Method::POST, url, "application/json", body.to_string()).await
    }
}
