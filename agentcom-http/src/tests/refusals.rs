//! This file tests requests that are not understood or not let in.

use agentcom_core::rng::Rng;
use axum::body::{Body, Bytes};
use axum::http::Request;
use expect_test::{expect, expect_file};
use std::convert::Infallible;
use std::time::Duration;

use crate::Options;
use crate::dto::task_body::{References, TaskBody, draft};
use crate::testing::client::{Answer, request, send, send_with};
use crate::testing::{ADMIN, Hub};

async fn post(body: &str) -> Answer {
    send(&Hub::default(), request("POST", "/api/tasks", ADMIN, body)).await
}

fn with(name: &'static str, value: &str) -> Request<Body> {
    let mut request = request("GET", "/livez", "", "");
    request.headers_mut().remove(name);
    if !value.is_empty() {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn foreign_hosts_and_pages_are_turned_away_before_anything_else() {
    for (name, value, status) in [
        ("host", "127.0.0.1:4000", 200),
        ("host", "[::1]:4000", 200),
        ("host", "evil.example", 403),
        ("host", "", 403),
        ("origin", "http://localhost:4000", 200),
        ("origin", "http://localhost:3000", 403),
        ("origin", "null", 403),
        ("origin", "https://evil.example", 403),
    ] {
        let answer = send(&Hub::default(), with(name, value)).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
        assert!(answer.headers.contains_key("x-request-id"));
    }
    let twice = {
        let mut request = with("origin", "http://localhost:4000");
        request.headers_mut().append("origin", "http://localhost:4000".parse().unwrap());
        request
    };
    assert_eq!(send(&Hub::default(), twice).await.status.as_u16(), 403);
    let elsewhere = Request::builder().uri("http://evil.example/livez").header("host", "localhost");
    assert_eq!(
        send(&Hub::default(), elsewhere.body(Body::empty()).unwrap()).await.status.as_u16(),
        403
    );
    let unknown_path = {
        let mut request = request("GET", "/nowhere", "", "");
        request.headers_mut().insert("host", "evil.example".parse().unwrap());
        request
    };
    expect![[r#"
        403
        {
          "detail": "the request's host is not one that this hub answers to",
          "error": "foreign_origin",
          "hint": "configure the public host name of the hub; pages of other origins are never served",
          "status": 403,
          "title": "foreign origin",
          "type": "urn:agentcom:problem:foreign_origin"
        }"#]].assert_eq(&send(&Hub::default(), unknown_path).await.shown());
}

#[tokio::test]
async fn each_answer_forbids_guessing_caching_and_framing() {
    let answer = send(&Hub::default(), request("GET", "/nowhere", "", "")).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("content-type", "application/problem+json"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_request_id_that_is_no_name_is_replaced() {
    for bad in ["a b", "<x>", &"x".repeat(129)] {
        let answer = send(&Hub::default(), with("x-request-id", bad)).await;
        let id = answer.headers["x-request-id"].to_str().unwrap();
        assert!(id.starts_with("req-") && id.len() == 20, "{id}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let mut many = request("GET", "/livez", "", "");
    for n in 0..64 {
        many.headers_mut().insert(
            axum::http::HeaderName::try_from(format!("x-{n}")).unwrap(),
            "y".parse().unwrap(),
        );
    }
    assert_eq!(send(&Hub::default(), many).await.wrong(), "431 headers_too_large\n");
    let long = with("x-long", &"y".repeat(17_000));
    assert_eq!(send(&Hub::default(), long).await.wrong(), "431 headers_too_large\n");
    let address = request("GET", &format!("/livez?{}", "y".repeat(17_000)), "", "");
    assert_eq!(send(&Hub::default(), address).await.wrong(), "431 headers_too_large\n");
}

#[tokio::test]
async fn wrong_paths_and_methods_are_problems_too() {
    let hub = Hub::default();
    expect![[r#"
        404
        {
          "detail": "there is nothing at /api/taskz",
          "error": "not_found",
          "hint": "GET /api/schemas lists what there is",
          "status": 404,
          "title": "not found",
          "type": "urn:agentcom:problem:not_found"
        }"#]]
    .assert_eq(&send(&hub, request("GET", "/api/taskz", ADMIN, "")).await.shown());
    let answer = send(&hub, request("PUT", "/api/tasks", ADMIN, "")).await;
    expect![[r#"
        405
        {
          "detail": "PUT is not possible here; the `allow` header says what is",
          "error": "method_not_allowed",
          "status": 405,
          "title": "method not allowed",
          "type": "urn:agentcom:problem:method_not_allowed"
        }"#]]
    .assert_eq(&answer.shown());
    assert_eq!(answer.headers["allow"], "POST,GET,HEAD");
}

/// Bodies that are wrong, but for one.
const WRONG: &[&str] = &[
    "",
    "{",
    "[]",
    "null",
    "{} {}",
    r#"{"descripton":"x"}"#,
    r#"{"description":7}"#,
    r#"{"priority":"asap"}"#,
    r#"{"priority":4}"#,
    r#"{"priority":true}"#,
    r#"{"priority":null}"#,
    r#"{"needs":["a",7]}"#,
    r#"{"needs":["a b"],"tags":["ok",""],"assign_to":"x y","run_after":"soon"}"#,
    r#"{"needs":[],"needed_capabilities":[]}"#,
    r#"{"op":{}}"#,
    r#"{"op":{"kind":"Shell"}}"#,
    r#"{"op":{"kind":"shell","extra":1}}"#,
    r#"{"op":{"kind":"shell"},"shell":"x"}"#,
    r#"{"shell":"  "}"#,
    r#"{"metadata":[1]}"#,
    r#"{"metadata":{"shell_command":7}}"#,
    r#"{"metadata":{"target_agent":"b"},"assign_to":"a"}"#,
    r#"{"timeout_ms":-1}"#,
    r#"{"timeout_ms":1.5}"#,
    r#"{"rates":[{"key":"","limit":1,"per_ms":1}]}"#,
    r#"{"rates":[{"key":"k","limit":1}]}"#,
    r#"{"depends_on":["x"]}"#,
    r#"{"file_hints":[{"path":7}]}"#,
    r#"{"ref":"a"}"#,
    r#"{"description":"a","description":"b"}"#,
    r#"{"on_lease_loss":"panic"}"#,
    r#"{"metadata":{"n":1e400}}"#,
    r#"{"op":{"kind":"shell","input":{"n":[-1e400]}}}"#,
    r#"{"metadata":{"shell_command":"a","shell_command":"b"}}"#,
];

#[tokio::test]
async fn each_wrong_field_is_named() {
    let mut seen = String::new();
    for body in WRONG {
        let mut asking = request("POST", "/api/tasks", ADMIN, body);
        asking.headers_mut().insert("content-type", "application/json".parse().unwrap());
        let answer = send(&Hub::default(), asking).await;
        let shown = answer.wrong();
        seen += &format!("{body}\n  {}\n", shown.trim_end().replace('\n', "\n  "));
    }
    expect_file!["wrong_fields.txt"].assert_eq(&seen);
}

#[tokio::test]
async fn only_json_that_says_so_is_read() {
    for (kind, status) in [
        ("application/json", 201),
        ("Application/JSON; charset=utf-8", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
    ] {
        let mut asking = request("POST", "/api/tasks", ADMIN, "{}");
        asking.headers_mut().insert("content-type", kind.parse().unwrap());
        assert_eq!(send(&Hub::default(), asking).await.status.as_u16(), status, "{kind}");
    }
    for (encoding, status) in [("identity", 201), ("gzip", 415), ("br", 415), ("gzip, br", 415)] {
        for path in ["/api/tasks", "/api/admin/agents/a-1/restart"] {
            let mut asking = request("POST", path, ADMIN, "{}");
            asking.headers_mut().insert("content-encoding", encoding.parse().unwrap());
            let answered = send(&Hub::default(), asking).await.status.as_u16();
            assert_eq!(answered == 415, status == 415, "{encoding}: {path}");
        }
    }
    let mut asking = request("POST", "/api/tasks", ADMIN, "{}");
    asking.headers_mut().remove("content-type");
    expect![[r#"
        415
        {
          "detail": "the body has to be sent as `content-type: application/json`",
          "error": "unsupported_media_type",
          "status": 415,
          "title": "unsupported media type",
          "type": "urn:agentcom:problem:unsupported_media_type"
        }"#]]
    .assert_eq(&send(&Hub::default(), asking).await.shown());
}

#[tokio::test]
async fn a_body_whose_end_is_said_in_two_ways_is_refused_whatever_serves_the_routes() {
    for (length, codings, status) in [
        (None, &["chunked"][..], 201),
        (Some("2"), &[], 201),
        (Some("2"), &["chunked"], 400),
        (None, &["gzip, chunked"], 400),
        (None, &["chunked", "chunked"], 400),
    ] {
        let mut asking = request("POST", "/api/tasks", ADMIN, "{}");
        if let Some(length) = length {
            asking.headers_mut().insert("content-length", length.parse().unwrap());
        }
        for coding in codings {
            asking.headers_mut().append("transfer-encoding", coding.parse().unwrap());
        }
        let answer = send(&Hub::default(), asking).await;
        assert_eq!(answer.status.as_u16(), status, "{length:?} {codings:?}");
        assert!(status == 201 || answer.wrong() == "400 ambiguous_length\n");
    }
}

#[tokio::test]
async fn a_body_is_bounded_in_length_and_depth() {
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(post(&long).await.wrong(), "413 body_too_large\n");
    let chunk = Ok::<_, Infallible>(Bytes::from(vec![b' '; 1 << 16]));
    let chunks = Body::from_stream(futures_util::stream::repeat(chunk));
    let mut endless = request("POST", "/api/tasks", ADMIN, "{}");
    *endless.body_mut() = chunks;
    assert_eq!(send(&Hub::default(), endless).await.wrong(), "413 body_too_large\n");
    let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    assert_eq!(post(&deep).await.wrong(), "400 invalid_json\n");
    let brackets = format!(r#"{{"description":"{}"}}"#, "[".repeat(100));
    assert_eq!(post(&brackets).await.status.as_u16(), 201);
    let mut not_text = request("POST", "/api/tasks", ADMIN, "{}");
    *not_text.body_mut() = Body::from(&b"{\"description\":\"\xff\"}"[..]);
    assert_eq!(send(&Hub::default(), not_text).await.wrong(), "400 invalid_json\n");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let mut slow = request("POST", "/api/tasks", ADMIN, "{}");
    *slow.body_mut() =
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    assert_eq!(send(&Hub::default(), slow).await.wrong(), "408 slow_body\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_unknown() {
    let options = Options { answer_within: Duration::from_secs(1), ..Options::default() };
    let mut slow = request("POST", "/api/tasks", ADMIN, "{}");
    *slow.body_mut() =
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    assert_eq!(send_with(&Hub::default(), options, slow).await.wrong(), "504 indeterminate\n");
}

#[tokio::test]
async fn a_panic_is_a_problem_without_details() {
    let hub = Hub::default();
    hub.script(|script| script.panics = true);
    let answer = send(&hub, request("GET", "/health", "", "")).await;
    expect![[r#"
        500
        {
          "detail": "something went wrong; the log of the hub says more under this request id",
          "error": "internal",
          "status": 500,
          "title": "internal",
          "type": "urn:agentcom:problem:internal"
        }"#]]
    .assert_eq(&answer.shown());
}

#[test]
fn damaged_bodies_are_read_or_refused_but_never_more() {
    let whole = include_str!("whole_body.json").as_bytes();
    let alphabet = b"{}[]\",:0129-.eE\\ nulltrue\0\xff";
    let (mut read, mut refused) = (0, 0);
    for seed in 0..5_000_u64 {
        let mut bytes = whole.to_vec();
        let mut rng = Rng::new(seed);
        for _ in 0..=seed % 3 {
            let dice = rng.next_u64();
            let at = (dice >> 32) as usize % bytes.len();
            let byte = alphabet[(dice >> 16) as usize % alphabet.len()];
            match dice % 3 {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        match crate::input::parse::<TaskBody>(&bytes) {
            Ok(body) => {
                read += 1;
                let _ = draft(body, "", &References::new());
            }
            Err(problem) => {
                refused += 1;
                assert!([400, 422].contains(&problem.status().as_u16()));
            }
        }
    }
    assert!(read > 250 && refused > 250, "{read} read, {refused} refused");
}
