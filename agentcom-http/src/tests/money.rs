//! This file tests the requests about money: caps, prices, the ledger, the emergency stop.

use agentcom_core::command::Command;
use agentcom_core::ledger::{Subject, Tally};
use agentcom_core::money::{Micros, Usage};
use agentcom_core::name::{AgentId, ModelName};
use agentcom_core::price::Price;
use agentcom_core::view::AccountView;
use expect_test::expect;

use super::manage::{ask, commanded};
use crate::testing::Hub;

#[tokio::test]
async fn requests_become_commands() {
    for (method, path, body, command) in [
        (
            "PUT",
            "/api/admin/caps",
            r#"{"cap":"agent:*/day","limit_micros":2500000}"#,
            Command::SetCap { cap: "agent:*/day".parse().unwrap(), limit: Some(Micros(2_500_000)) },
        ),
        (
            "DELETE",
            "/api/admin/caps",
            r#"{"cap":"month"}"#,
            Command::SetCap { cap: "month".parse().unwrap(), limit: None },
        ),
        (
            "PUT",
            "/api/admin/prices",
            r#"{"model":"m","input_micros":3,"output_micros":15,"cache_read_micros":1}"#,
            Command::SetPrice {
                model: ModelName::new("m").unwrap(),
                price: Some(Price {
                    input: Micros(3),
                    output: Micros(15),
                    cache_read: Micros(1),
                    cache_write: Micros(3),
                }),
            },
        ),
        (
            "DELETE",
            "/api/admin/prices",
            r#"{"model":"m"}"#,
            Command::SetPrice { model: ModelName::new("m").unwrap(), price: None },
        ),
        ("PUT", "/api/admin/estop", "", Command::Estop { stop: true }),
        ("DELETE", "/api/admin/estop", "", Command::Estop { stop: false }),
    ] {
        assert_eq!(commanded(method, path, body).await, command, "{method} {path}");
    }
}

#[tokio::test]
async fn the_ledger_and_the_caps_are_listed() {
    let hub = Hub::default();
    hub.script(|script| {
        let spent = Tally { calls: 2, micros: Micros(30), usage: Usage::default() };
        script.money.accounts = vec![AccountView {
            account: Subject::Agent(AgentId::new("a-1").unwrap()),
            day: Tally::default(),
            month: spent,
            ever: spent,
            reserved: Micros(7),
        }];
        script.money.caps = vec![("task".parse().unwrap(), Micros(500_000))];
    });
    let answer = ask(&hub, "GET", "/api/ledger?account=agent:", "").await;
    expect![[r#"
        200
        {
          "accounts": [
            {
              "account": "agent:a-1",
              "day": {
                "calls": 0,
                "input_tokens": 0,
                "micros": 0,
                "output_tokens": 0
              },
              "ever": {
                "calls": 2,
                "input_tokens": 0,
                "micros": 30,
                "output_tokens": 0
              },
              "month": {
                "calls": 2,
                "input_tokens": 0,
                "micros": 30,
                "output_tokens": 0
              },
              "reserved": 7
            }
          ],
          "count": 1,
          "more": false,
          "stopped": false
        }"#]]
    .assert_eq(&answer.shown());
    assert_eq!(hub.script(|script| script.prefixes.clone()), ["agent:"]);
    let caps = ask(&hub, "GET", "/api/admin/caps", "").await.json();
    assert_eq!(caps["caps"], serde_json::json!([{"cap": "task", "limit_micros": 500_000}]));
    let prices = ask(&hub, "GET", "/api/admin/prices", "").await.json();
    assert!(prices["prices"].as_array().unwrap().iter().all(|price| price["as_of"].is_string()));
}
