//! What becomes of a request.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde_json::{Map, Value, json};

use super::limits::ANSWER_PATIENCE;
use crate::metrics;
use crate::node::{Check, Node};

type Answer = Response<Full<Bytes>>;

/// Answers a request; `node` is none while it starts.
pub(super) async fn to<B: Body>(request: &Request<B>, node: Option<&Node>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "only GET and HEAD are answered");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if !request.body().is_end_stream() {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "body", "a request here has no body");
    }
    let answer = async {
        match request.uri().path() {
            "/metrics" => figures(node).await,
            "/health" => health(node).await,
            "/ready" => readiness(node).await,
            _ => error(StatusCode::NOT_FOUND, "not-found", "there are /metrics, /health and /ready"),
        }
    };
    let late = |_| error(StatusCode::SERVICE_UNAVAILABLE, "late", "the node has not answered in time");
    tokio::time::timeout(ANSWER_PATIENCE, answer).await.unwrap_or_else(late)
}

async fn figures(node: Option<&Node>) -> Answer {
    let Some(node) = node else { return error(StatusCode::SERVICE_UNAVAILABLE, "starting", "the node is starting") };
    match node.metrics().await {
        Ok(families) => with(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(&families)),
        Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &crate::chain(&why)),
    }
}

async fn health(node: Option<&Node>) -> Answer {
    match node {
        None => document(StatusCode::OK, &json!({ "status": "starting", "checks": {} })),
        Some(node) => checked(&node.health().await, "alive", "failing"),
    }
}

async fn readiness(node: Option<&Node>) -> Answer {
    match node {
        None => document(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "starting", "checks": {} })),
        Some(node) => checked(&node.readiness().await, "ready", "not-ready"),
    }
}

/// Each check by name, `ok` or what is wrong.
fn checked(checks: &[Check], good: &str, bad: &str) -> Answer {
    let is_good = checks.iter().all(|check| check.found.is_ok());
    let words = |check: &Check| (check.name.to_owned(), Value::from(check.found.clone().err().unwrap_or("ok".into())));
    let found: Map<_, _> = checks.iter().map(words).collect();
    let (code, status) = if is_good { (StatusCode::OK, good) } else { (StatusCode::SERVICE_UNAVAILABLE, bad) };
    document(code, &json!({ "status": status, "checks": found }))
}

fn error(code: StatusCode, reason: &str, message: &str) -> Answer {
    document(code, &json!({ "error": { "reason": reason, "message": message } }))
}

fn document(code: StatusCode, value: &Value) -> Answer {
    with(code, "application/json", format!("{value}\n"))
}

fn with(code: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};

    use super::*;

    #[tokio::test]
    async fn a_node_that_starts_is_alive_and_not_ready() {
        let ask = async |path: &str| {
            let request = Request::get(path).body(Empty::<Bytes>::new()).unwrap();
            let answer = to(&request, None).await;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice::<Value>(&body).unwrap())
        };
        assert_eq!(ask("/health").await, (200, json!({ "status": "starting", "checks": {} })));
        assert_eq!(ask("/ready").await, (503, json!({ "status": "starting", "checks": {} })));
        assert_eq!(ask("/metrics").await.0, 503);
    }

    #[tokio::test]
    async fn one_thing_that_is_wrong_makes_it_not_ready_and_is_named() {
        let checks =
            [Check { name: "engine", found: Ok(()) }, Check { name: "disk", found: Err("the disk is full".into()) }];
        let answer = checked(&checks, "ready", "not-ready");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let expected = json!({ "status": "not-ready", "checks": { "engine": "ok", "disk": "the disk is full" } });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        assert_eq!(checked(&checks[..1], "ready", "not-ready").status(), StatusCode::OK);
    }
}
