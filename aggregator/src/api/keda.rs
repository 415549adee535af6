//! KEDA's external scaler: tells KEDA what a `ScaledObject`'s workload needs.
//!
//! Contract: `proto/external_scaler.proto` and <https://keda.sh/docs/latest/concepts/external-scalers>.
//! A figure that is not known is a gRPC status, never a zero: KEDA then keeps the replicas, or does
//! what the `ScaledObject`'s `fallback` says.

mod proto;
mod trigger;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::stream::{self, Stream};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::state::App;
use super::{NoValue, ScalingValue};
use crate::clock;
use proto::external_scaler_server::{ExternalScaler, ExternalScalerServer};
use proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef,
};
use trigger::Trigger;

/// Name of this interface in metrics.
const FROM: &str = "keda";
/// The longest request that is read; a trigger's metadata is far shorter.
const MAX_REQUEST_BYTES: usize = 256 << 10;
/// Time between looks at what a stream tells. A look costs less than a microsecond.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The service, for a listener of its own.
pub fn router(app: Arc<App>) -> Router {
    let service = ExternalScalerServer::new(Scaler { app });
    Routes::new(service.max_decoding_message_size(MAX_REQUEST_BYTES)).into_axum_router()
}

struct Scaler {
    app: Arc<App>,
}

impl Scaler {
    /// The trigger of a `ScaledObject`; `INVALID_ARGUMENT` when its metadata cannot be honoured.
    fn trigger(&self, object: Option<&ScaledObjectRef>) -> Result<Trigger, Status> {
        let trigger = object
            .ok_or_else(|| Status::invalid_argument("the request names no ScaledObject"))
            .and_then(|object| {
                Trigger::new(object).map_err(|error| Status::invalid_argument(error.to_string()))
            });
        trigger.inspect_err(|_| self.app.questions.count(FROM, "invalid"))
    }

    /// The figure that a trigger is about.
    fn value(&self, trigger: &Trigger) -> Result<ScalingValue, Status> {
        let value = self.app.scaling_value(&trigger.workload, trigger.metric, clock::now());
        self.app.questions.count(FROM, value.as_ref().map_or_else(NoValue::kind, |_| "ok"));
        value.map_err(|error| status(&error))
    }
}

fn status(error: &NoValue) -> Status {
    let text = error.to_string();
    match error {
        NoValue::NotManaged(_) => Status::not_found(text),
        NoValue::Unknown(_)
        | NoValue::Stale { .. }
        | NoValue::ReplicasUnknown(_)
        | NoValue::NoForecast(_) => Status::unavailable(text),
    }
}

/// The specification of a trigger, which follows from its metadata alone.
fn specification(trigger: &Trigger) -> GetMetricSpecResponse {
    GetMetricSpecResponse {
        metric_specs: vec![MetricSpec {
            metric_name: trigger.metric.name().to_owned(),
            target_size: whole(trigger.target_milli),
            target_size_float: trigger.target_milli as f64 / 1e3,
        }],
    }
}

/// Thousandths as a whole number, rounded up.
fn whole(milli: u64) -> i64 {
    i64::try_from(milli.div_ceil(1000)).unwrap_or(i64::MAX)
}

/// What a stream of answers is.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalScaler for Scaler {
    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let trigger = self.trigger(Some(request.get_ref()))?;
        let value = self.value(&trigger)?;
        Ok(Response::new(IsActiveResponse { result: value.is_active }))
    }

    type StreamIsActiveStream = Answers<IsActiveResponse>;

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let trigger = self.trigger(Some(request.get_ref()))?;
        let watch = ActivityWatch { app: Arc::clone(&self.app), trigger, told: None };
        Ok(Response::new(Box::pin(stream::try_unfold(watch, ActivityWatch::next))))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let trigger = self.trigger(Some(request.get_ref()))?;
        Ok(Response::new(specification(&trigger)))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        let trigger = self.trigger(scaled_object_ref.as_ref())?;
        let name = trigger.metric.name();
        if metric_name != name {
            self.app.questions.count(FROM, "invalid");
            let text = format!("this trigger has the metric {name}, not {metric_name:?}");
            return Err(Status::invalid_argument(text));
        }
        let value = self.value(&trigger)?;
        Ok(Response::new(GetMetricsResponse {
            metric_values: vec![MetricValue {
                metric_name,
                metric_value: whole(value.milli),
                metric_value_float: value.milli as f64 / 1e3,
            }],
        }))
    }

    type StreamMetricSpecStream = Answers<GetMetricSpecResponse>;

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let trigger = self.trigger(Some(request.get_ref()))?;
        let app = Arc::clone(&self.app);
        let first = Some(specification(&trigger));
        let answers = stream::try_unfold((app, first), |(app, first)| async move {
            // It never changes, so after the first there is only the end to tell.
            let Some(first) = first else { return Err(ending(&app).await) };
            Ok(Some((first, (app, None))))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Waits for the aggregator's end.
async fn ending(app: &App) -> Status {
    while !app.ingest.is_draining() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Status::unavailable("the aggregator is shutting down")
}

/// What `StreamIsActive` tells: whether the workload is active when the stream is opened, on each
/// change, and when it is known again.
struct ActivityWatch {
    app: Arc<App>,
    trigger: Trigger,
    /// The last that was told; `None` since it is not known any longer.
    told: Option<bool>,
}

impl ActivityWatch {
    /// Waits for something to tell. Ends with `NOT_FOUND` when nothing is decided for the workload,
    /// and with `UNAVAILABLE` when the aggregator ends. While the figure is not known nothing is
    /// told: KEDA reconnects up to a minute late, and learns that it is not known when it polls.
    async fn next(mut self) -> Result<Option<(IsActiveResponse, Self)>, Status> {
        loop {
            if self.app.ingest.is_draining() {
                return Err(ending(&self.app).await);
            }
            let Trigger { workload, metric, .. } = &self.trigger;
            match self.app.scaling_value(workload, *metric, clock::now()) {
                Ok(value) => {
                    let result = value.is_active;
                    if self.told != Some(result) {
                        self.told = Some(result);
                        return Ok(Some((IsActiveResponse { result }, self)));
                    }
                }
                Err(error @ NoValue::NotManaged(_)) => return Err(status(&error)),
                Err(_) => self.told = None,
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
