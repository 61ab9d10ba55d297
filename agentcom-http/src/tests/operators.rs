//! This file tests operators' tokens: how they are made, shown, listed and refused.

use agentcom_core::agent::TokenHash;
use agentcom_core::command::{Command, OperatorCommand, Rejected, Reply};
use agentcom_core::driver::token::Token;
use agentcom_core::name::OperatorId;
use agentcom_core::operator::{Operator, Right, Validity};
use agentcom_core::time::{Span, Wall};
use expect_test::expect;

use super::manage::{ask, commanded};
use crate::testing::client::{request, send};
use crate::testing::{EXPIRED, Hub};

fn operator(rights: &[Right], validity: Validity) -> Operator {
    let (id, rights) = (OperatorId::new("ci").unwrap(), rights.iter().copied().collect());
    Operator::new(id, rights, validity, TokenHash([7; 32]), Wall(1_000))
}

#[tokio::test]
async fn a_token_is_valid_for_90_days_unless_it_is_said() {
    let asked = [
        ("", Validity::USUAL),
        (r#","expires_after_ms":60000"#, Validity::of(Span::from_secs(60)).unwrap()),
        (r#","expires_after_ms":"never""#, Validity::ENDLESS),
    ];
    for (said, meant) in asked {
        let body = format!(r#"{{"name":"ci","rights":["task:submit","task:read"]{said}}}"#);
        let command = commanded("POST", "/api/tokens", &body).await;
        let Command::Operator(OperatorCommand::Add { id, rights, validity, .. }) = command else {
            panic!("{command:?}")
        };
        let rights: Vec<Right> = rights.into_iter().collect();
        assert_eq!((id.as_str(), validity), ("ci", meant));
        assert_eq!(rights, [Right::TaskRead, Right::TaskSubmit]);
    }
    for (body, meant) in [
        ("", None),
        (r#"{"expires_after_ms":"never"}"#, Some(Validity::ENDLESS)),
        (r#"{"expires_after_ms":1000}"#, Some(Validity::of(Span(1_000)).unwrap())),
    ] {
        let command = commanded("POST", "/api/tokens/ci/rotate", body).await;
        let Command::Operator(OperatorCommand::Rotate { validity, .. }) = command else {
            panic!("{command:?}")
        };
        assert_eq!(validity, meant, "{body}");
    }
    let gone = OperatorCommand::Remove(OperatorId::new("ci").unwrap());
    assert_eq!(commanded("DELETE", "/api/tokens/ci", "").await, Command::Operator(gone));
}

#[tokio::test]
async fn a_token_is_shown_once_and_the_hub_gets_its_hash() {
    for (path, body) in
        [("/api/tokens", r#"{"name":"ci","rights":["task:read"]}"#), ("/api/tokens/ci/rotate", "")]
    {
        let hub = Hub::default();
        let known = operator(&[Right::TaskRead], Validity::USUAL);
        hub.script(|script| script.operators = vec![known]);
        let told = ask(&hub, "POST", path, body).await.json();
        let shown = Token::parse(told["token"].as_str().unwrap()).unwrap();
        assert_eq!(told["expires_at"], 1_000 + 90 * 86_400_000_u64);
        assert_eq!((&told["name"], &told["rights"][0]), (&"ci".into(), &"task:read".into()));
        let command = hub.script(|script| script.heard[0].2.clone());
        let Command::Operator(
            OperatorCommand::Add { token, .. } | OperatorCommand::Rotate { token, .. },
        ) = command
        else {
            panic!("{command:?}")
        };
        assert!(token.matches(&shown.hash()));
    }
}

#[tokio::test]
async fn what_is_listed_says_until_when_and_is_no_token() {
    let hub = Hub::default();
    hub.script(|script| {
        let mut known = operator(&[Right::TaskRead], Validity::USUAL);
        known.issue(TokenHash([8; 32]), Validity::ENDLESS, Wall(2_000));
        script.operators = vec![known];
    });
    expect![[r#"
        200
        {
          "count": 1,
          "tokens": [
            {
              "added_at": 1000,
              "name": "ci",
              "rights": [
                "task:read"
              ],
              "tokens": [
                {
                  "expired": false,
                  "expires_at": null,
                  "fingerprint": "sha256:08080808",
                  "issued_at": 2000
                },
                {
                  "expired": false,
                  "expires_at": 7776001000,
                  "fingerprint": "sha256:07070707",
                  "issued_at": 1000
                }
              ]
            }
          ]
        }"#]]
    .assert_eq(&ask(&hub, "GET", "/api/tokens", "").await.shown());
}

#[tokio::test]
async fn bad_terms_are_named_field_by_field() {
    let mut seen = String::new();
    for body in [
        r#"{"name":"a b","rights":["task:read"]}"#,
        r#"{"name":"ci","rights":[]}"#,
        r#"{"name":"ci","rights":["task:read","root"],"expires_after_ms":999}"#,
        r#"{"name":"ci","rights":["task:read"],"expires_after_ms":"soon"}"#,
        r#"{"name":"ci","rights":["task:read"],"admin":true}"#,
    ] {
        seen += &ask(&Hub::default(), "POST", "/api/tokens", body).await.wrong();
    }
    expect![[r#"
        422 validation_failed
        invalid_value name: name of a token may hold only ASCII letters, digits and ._-
        422 validation_failed
        invalid_value rights: must name at least one right
        422 validation_failed
        invalid_value rights[1]: right must be task:read, task:submit, admin:read or admin:write
        invalid_value expires_after_ms: must be 1 second to 3650 days, or never
        422 validation_failed
        invalid_value expires_after_ms: must be 1 second to 3650 days, or never
        422 validation_failed
        unknown_field admin: unknown field `admin`, expected one of `name`, `rights`, `expires_after_ms`
    "#]].assert_eq(&seen);
    let exists = Rejected::OperatorExists(OperatorId::new("ci").unwrap());
    let hub = Hub::answering(Ok(Reply::Rejected(exists)));
    let body = r#"{"name":"ci","rights":["task:read"]}"#;
    assert_eq!(ask(&hub, "POST", "/api/tokens", body).await.wrong(), "409 token_exists\n");
}

#[tokio::test]
async fn an_expired_token_is_told_from_an_unknown_one() {
    let answer = send(&Hub::default(), request("GET", "/api/tasks", EXPIRED, "")).await;
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    expect![[r#"
        401
        {
          "detail": "the token `ci` expired on 1970-01-02T00:00:00Z",
          "error": "token_expired",
          "expired_at": 86400000,
          "hint": "POST /api/tokens/{name}/rotate, with the admin token, gives it another",
          "name": "ci",
          "status": 401,
          "title": "token expired",
          "type": "urn:agentcom:problem:token_expired"
        }"#]]
    .assert_eq(&answer.shown());
}

#[tokio::test]
async fn whoever_lacks_a_right_is_told_which() {
    let answer = send(&Hub::default(), request("GET", "/api/ledger", "task:read", "")).await;
    expect![[r#"
        403
        {
          "detail": "operator:ci may not see what is spent",
          "error": "forbidden",
          "hint": "use a token with the right admin:read, or the admin token",
          "needs": "admin:read",
          "status": 403,
          "title": "forbidden",
          "type": "urn:agentcom:problem:forbidden"
        }"#]]
    .assert_eq(&answer.shown());
}

#[tokio::test]
async fn what_a_client_says_of_its_rights_gives_it_none() {
    let mut asked = request("PUT", "/api/admin/estop", "task:read", "");
    for (name, value) in [
        ("x-agentcom-rights", "admin:write"),
        ("x-agentcom-scopes", "admin:write"),
        ("x-agentcom-principal", "admin"),
        ("x-forwarded-user", "admin"),
    ] {
        asked.headers_mut().insert(name, value.parse().unwrap());
    }
    let hub = Hub::default();
    assert_eq!(send(&hub, asked).await.wrong(), "403 forbidden\n");
    let path = "/api/admin/estop?rights=admin:write&scope=admin:write&as=admin";
    assert_eq!(send(&hub, request("PUT", path, "task:read", "")).await.status.as_u16(), 403);
    let body = r#"{"shell":"true","rights":["admin:write"],"submitted_by":"admin"}"#;
    let answer = send(&hub, request("POST", "/api/tasks", "task:submit", body)).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert!(hub.script(|script| script.heard.is_empty()));
}
