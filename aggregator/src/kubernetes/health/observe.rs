//! The layer of the client that sees every request and what becomes of it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::{Method, Request, Response, Uri};
use tower::{Layer, Service};

use super::{Answer, Asked, Health};
use crate::clock;

/// Puts [`Observed`] around a client.
#[derive(Clone, Debug)]
pub(in crate::kubernetes) struct Observe(pub(in crate::kubernetes) Health);

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed { inner, health: self.0.clone() }
    }
}

/// A client whose answers are taken note of.
#[derive(Clone, Debug)]
pub(in crate::kubernetes) struct Observed<S> {
    inner: S,
    health: Health,
}

impl<S, In, Out> Service<Request<In>> for Observed<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let asked = asked(request.method(), request.uri());
        let open = Open { health: self.health.clone(), asked };
        Observing { open, answer: Box::pin(self.inner.call(request)) }
    }
}

/// A request on its way.
pub(in crate::kubernetes) struct Observing<F> {
    open: Open,
    answer: Pin<Box<F>>,
}

impl<F, Out, E> Future for Observing<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.answer.as_mut().poll(context));
        self.open.close(match &result {
            Ok(answer) if answer.status().as_u16() < 400 => Answer::Done,
            Ok(answer) => Answer::Refused(answer.status().as_u16()),
            Err(_) => Answer::Unreachable,
        });
        Poll::Ready(result)
    }
}

/// A request that nobody waits for any longer when this goes before there is an answer.
struct Open {
    health: Health,
    /// `None` once there was an answer, or for what is no object.
    asked: Option<Asked>,
}

impl Open {
    fn close(&mut self, answer: Answer) {
        if let Some(asked) = self.asked.take() {
            self.health.note(&asked, answer, clock::now());
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close(Answer::Silence);
    }
}

/// The group of pods' use of CPU and memory.
const METRICS: &str = "metrics.k8s.io";

/// What a request asks for; `None` for what is about no objects, such as what kinds there are.
fn asked(method: &Method, uri: &Uri) -> Option<Asked> {
    let path: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match path.as_slice() {
        ["api", _version, rest @ ..] => ("", rest),
        ["apis", group, _version, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let (resource, name, part) = match rest {
        [resource] => (*resource, None, None),
        [resource, name] => (*resource, Some(*name), None),
        [resource, name, part, ..] => (*resource, Some(*name), Some(*part)),
        [] => return None,
    };
    let watches = uri.query().is_some_and(|query| query.split('&').any(|it| it == "watch=true"));
    let verb = match method.as_str() {
        "GET" if watches => "watch",
        "GET" if name.is_none() => "list",
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => return None,
    };
    // Not to be taken for the pods themselves.
    let of_group = if group == METRICS { format!(".{group}") } else { String::new() };
    let part = part.map(|part| format!("/{part}")).unwrap_or_default();
    let resource = format!("{resource}{of_group}{part}");
    Some(Asked { verb, resource, namespace: namespace.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_verb_and_resource() {
        let of = |method: Method, uri: &str| {
            asked(&method, &uri.parse().unwrap()).map(|asked| asked.to_string())
        };
        for (method, uri, what) in [
            (Method::GET, "/api/v1/pods?&limit=500", "list pods"),
            (Method::GET, "/api/v1/pods?watch=true&timeoutSeconds=240", "watch pods"),
            (
                Method::GET,
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "get deployments/scale in a",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b/scale?x",
                "patch deployments/scale in a",
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/f/leases/l",
                "update leases in f",
            ),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events", "create events in a"),
            (Method::GET, "/api/v1/namespaces/a", "get namespaces"),
            (
                Method::GET,
                "/apis/metrics.k8s.io/v1beta1/namespaces/a/pods",
                "list pods.metrics.k8s.io in a",
            ),
        ] {
            assert_eq!(of(method, uri).as_deref(), Some(what), "{uri}");
        }
        assert_eq!(of(Method::GET, "/apis/argoproj.io/v1alpha1"), None);
        assert_eq!(of(Method::GET, "/version"), None);
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_had_no_answer() {
        let health = Health::default();
        let pending = tower::service_fn(|_: Request<()>| async {
            std::future::pending::<Result<Response<()>, std::io::Error>>().await
        });
        let mut client = Observe(health.clone()).layer(pending);
        for _ in 0..2 {
            let request = Request::get("/api/v1/pods").body(()).unwrap();
            drop(client.call(request));
        }
        let faults = health.faults(clock::now());
        assert_eq!(faults.len(), 1);
        assert_eq!(faults.first().map(super::super::Fault::reason), Some("ApiTimeout"));
    }
}
