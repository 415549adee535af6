//! `POST` of the desired replicas to an address of the user's.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::{ActuateError, Order};
use crate::clock::Stopwatch;
use crate::config::WebhookConfig;
use crate::sources::read_limited;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// An HTTP address that scales.
#[derive(Clone, Debug)]
pub struct Webhook {
    client: Client,
    url: String,
    timeout: Duration,
    retries: u32,
}

/// What the answer must say; signed, so that nonsense can be shown.
#[derive(Deserialize)]
struct Echo {
    desired_replicas: i64,
}

impl Webhook {
    pub(super) fn new(config: &WebhookConfig, client: &Client) -> Self {
        Self {
            client: client.clone(),
            url: config.url.clone(),
            timeout: config.timeout,
            retries: config.retries,
        }
    }

    /// Posts an order until it is confirmed. Only a failure that may pass is tried again, and only
    /// while `budget` lasts. Setting a number of replicas twice is the same as once.
    pub(super) async fn post(
        &self,
        order: &Order<'_>,
        budget: Duration,
    ) -> Result<(), ActuateError> {
        let watch = Stopwatch::start();
        let mut pause = FIRST_PAUSE;
        for _ in 0..self.retries {
            let left = budget.saturating_sub(watch.elapsed());
            match self.post_once(order, left).await {
                Err(error) if error.is_passing() && watch.elapsed() + pause < budget => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::debug!(cause, ?pause, "the webhook is tried again");
                }
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.post_once(order, budget.saturating_sub(watch.elapsed())).await
    }

    async fn post_once(&self, order: &Order<'_>, left: Duration) -> Result<(), ActuateError> {
        let limit = self.timeout.min(left);
        tokio::time::timeout(limit, self.exchange(order))
            .await
            .unwrap_or(Err(ActuateError::Timeout(limit)))
    }

    async fn exchange(&self, order: &Order<'_>) -> Result<(), ActuateError> {
        let sent = self.client.post(&self.url).json(order).send().await;
        let response = sent.map_err(|error| {
            if error.is_connect() {
                ActuateError::Connect(error)
            } else {
                ActuateError::Broken(error)
            }
        })?;
        if response.status() != StatusCode::OK {
            return Err(ActuateError::Status(response.status()));
        }
        let body = read_limited(response, MAX_ANSWER_BYTES)
            .await
            .map_err(ActuateError::Broken)?
            .ok_or(ActuateError::TooLong(MAX_ANSWER_BYTES))?;
        let echo: Echo = serde_json::from_slice(&body).map_err(ActuateError::Answer)?;
        if echo.desired_replicas == i64::from(order.desired_replicas) {
            Ok(())
        } else {
            Err(ActuateError::WrongEcho {
                asked: order.desired_replicas,
                answered: echo.desired_replicas,
            })
        }
    }
}

#[cfg(test)]
mod tests;
