use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Json;
use axum::http::StatusCode as Status;
use axum::routing::post;
use serde_json::{Value, json};

use super::*;
use crate::sources;

/// What the address answers, call by call; the last answer is repeated.
struct Script {
    answers: Vec<(Status, Value, Duration)>,
    calls: AtomicUsize,
    orders: Mutex<Vec<Value>>,
}

async fn serve(answers: Vec<(Status, Value, Duration)>) -> (String, &'static Script) {
    let script = Script { answers, calls: AtomicUsize::new(0), orders: Mutex::default() };
    let script: &'static Script = Box::leak(Box::new(script));
    let answer = move |Json(order): Json<Value>| async move {
        let call = script.calls.fetch_add(1, Ordering::SeqCst);
        script.orders.lock().unwrap().push(order);
        let (status, body, pause) = script.answers[call.min(script.answers.len() - 1)].clone();
        tokio::time::sleep(pause).await;
        (status, Json(body))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/scale", listener.local_addr().unwrap());
    let router = Router::new().route("/scale", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, script)
}

async fn post_to(url: String, budget: Duration) -> Result<(), ActuateError> {
    let config = WebhookConfig { url, timeout: Duration::from_millis(300), retries: 3 };
    let order =
        Order { namespace: "demo", workload: "web", desired_replicas: 7, reason: "r", decision: 3 };
    Webhook::new(&config, &sources::client().unwrap()).post(&order, budget).await
}

const NOW: Duration = Duration::ZERO;
const BUDGET: Duration = Duration::from_secs(10);

#[tokio::test]
async fn an_order_says_what_is_asked_for_and_why() {
    let (url, script) = serve(vec![(Status::OK, json!({"desired_replicas": 7}), NOW)]).await;
    post_to(url, BUDGET).await.unwrap();
    let order = json!({"namespace": "demo", "workload": "web", "desired_replicas": 7,
        "reason": "r", "decision": 3});
    assert_eq!(*script.orders.lock().unwrap(), [order]);
}

#[tokio::test]
async fn an_answer_with_another_number_is_an_error_and_not_tried_again() {
    let (url, script) = serve(vec![(Status::OK, json!({"desired_replicas": 5}), NOW)]).await;
    let error = post_to(url, BUDGET).await.unwrap_err();
    assert!(matches!(error, ActuateError::WrongEcho { asked: 7, answered: 5 }), "{error}");
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_was_done_is_an_error() {
    for body in [json!({}), json!({"desired_replicas": null}), json!("ok")] {
        let (url, _) = serve(vec![(Status::OK, body, NOW)]).await;
        assert_eq!(post_to(url, BUDGET).await.unwrap_err().kind(), "answer");
    }
}

#[tokio::test]
async fn a_server_error_is_tried_again() {
    for status in [Status::INTERNAL_SERVER_ERROR, Status::TOO_MANY_REQUESTS] {
        let good = (Status::OK, json!({"desired_replicas": 7}), NOW);
        let (url, script) = serve(vec![(status, json!({}), NOW), good]).await;
        post_to(url, BUDGET).await.unwrap();
        assert_eq!(script.calls.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    for status in [Status::CONFLICT, Status::ACCEPTED, Status::FOUND] {
        let (url, script) = serve(vec![(status, json!({"desired_replicas": 7}), NOW)]).await;
        assert_eq!(post_to(url, BUDGET).await.unwrap_err().kind(), "status");
        assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn tries_end_with_the_retries_and_with_the_budget() {
    let bad = (Status::BAD_GATEWAY, json!({}), NOW);
    let (url, script) = serve(vec![bad.clone()]).await;
    assert_eq!(post_to(url, BUDGET).await.unwrap_err().kind(), "status");
    assert_eq!(script.calls.load(Ordering::SeqCst), 4);
    let (url, script) = serve(vec![bad]).await;
    assert_eq!(post_to(url, Duration::from_millis(250)).await.unwrap_err().kind(), "status");
    assert_eq!(script.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let late = (Status::OK, json!({"desired_replicas": 7}), Duration::from_secs(5));
    let (url, script) = serve(vec![late]).await;
    assert_eq!(post_to(url, BUDGET).await.unwrap_err().kind(), "timeout");
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_at_the_address_is_tried_again_until_the_budget_ends() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/scale", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(post_to(url, Duration::from_secs(1)).await.unwrap_err().kind(), "connect");
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let long = json!({"desired_replicas": 7, "more": "x".repeat(1 << 20)});
    let (url, _) = serve(vec![(Status::OK, long, NOW)]).await;
    assert_eq!(post_to(url, BUDGET).await.unwrap_err().kind(), "too_long");
}
