//! This file tests how tokens are presented.

use agentcom_core::driver::token::Token;
use axum::http::Request;
use expect_test::expect;

use super::presented;

fn check(address: &str, header: Option<&str>) -> String {
    let mut request = Request::builder().uri(address);
    if let Some(header) = header {
        request = request.header("authorization", header);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    match presented(&parts) {
        Ok(token) => format!("token {token}"),
        Err(problem) => {
            let document = problem.document();
            format!(
                "{} {}",
                document["error"].as_str().unwrap(),
                document["hint"].as_str().unwrap()
            )
        }
    }
}

#[test]
fn a_token_comes_in_the_header_or_not_at_all() {
    let shown: Vec<String> = [
        ("/", Some("Bearer abc")),
        ("/", Some("bearer  abc ")),
        ("/?x=1", Some("Bearer 0123456789abcdef")),
        ("/", None),
        ("/", Some("abc")),
        ("/", Some("Basic abc")),
        ("/", Some("Bearer ")),
        ("/?token=abc", None),
        ("/?a=1&Token=abc", Some("Bearer abc")),
    ]
    .iter()
    .map(|(address, header)| check(address, *header))
    .collect();
    expect![[r#"
        token abc
        token abc
        token 0123456789abcdef
        unauthorized send `authorization: Bearer <token>`, once
        unauthorized the header has to read `authorization: Bearer <token>`
        unauthorized the header has to read `authorization: Bearer <token>`
        unauthorized the header has to read `authorization: Bearer <token>`
        token_in_url send it as `authorization: Bearer <token>`, and replace this one
        token_in_url send it as `authorization: Bearer <token>`, and replace this one"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_mistyped_token_is_told_apart_without_asking_the_hub() {
    let token = Token::generate().unwrap();
    let text = token.reveal();
    assert_eq!(check("/", Some(&format!("Bearer {text}"))), format!("token {text}"));
    let cut = &text[..text.len() - 1];
    let told = check("/", Some(&format!("Bearer {cut}")));
    assert_eq!(told, "unauthorized copy the whole token, from agc_ to its end");
}

#[test]
fn a_header_that_is_there_twice_is_not_trusted() {
    let twice =
        Request::builder().header("authorization", "Bearer a").header("authorization", "Bearer b");
    let (parts, ()) = twice.body(()).unwrap().into_parts();
    assert!(presented(&parts).is_err());
}
