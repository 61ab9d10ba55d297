//! This file tests how JSON is read.

use expect_test::expect;
use serde::Deserialize;

use super::{is_too_deep, parse};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only what is wrong with it is looked at")]
struct Outer {
    inner: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only what is wrong with it is looked at")]
struct Inner {
    number: u8,
}

#[test]
fn the_path_leads_to_the_wrong_value() {
    let mut seen = String::new();
    for body in [
        r#"{}"#,
        r#"[]"#,
        r#"{"inner":[{"number":1},{}]}"#,
        r#"{"inner":[{"number":1},{"number":300}]}"#,
        r#"{"inner":[{"number":"1"}]}"#,
        r#"{"inner":[{"number":1,"more":2}]}"#,
        r#"{"inner":[],"more":2}"#,
    ] {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err().document();
        let bad = &problem["errors"][0];
        seen += &format!("{} {}: {}\n", bad["error"], bad["field"], bad["detail"]);
    }
    expect![[r#"
        "required" "inner": "missing field `inner`"
        "wrong_type" "body": "expected an object"
        "required" "inner[1].number": "missing field `number`"
        "invalid_value" "inner[1].number": "invalid value: integer `300`, expected u8"
        "wrong_type" "inner[0].number": "invalid type: string \"1\", expected u8"
        "unknown_field" "inner[0].more": "unknown field `more`, expected `number`"
        "unknown_field" "more": "unknown field `more`, expected `inner`"
    "#]]
    .assert_eq(&seen);
}

#[test]
fn brackets_in_texts_do_not_count() {
    assert!(!is_too_deep(format!("\"{}\"", "[".repeat(100)).as_bytes()));
    assert!(!is_too_deep(format!("\"\\\"{}\"", "[".repeat(100)).as_bytes()));
    assert!(!is_too_deep("[]".repeat(100).as_bytes()));
    assert!(!is_too_deep("[".repeat(32).as_bytes()));
    assert!(is_too_deep("[".repeat(33).as_bytes()));
    assert!(is_too_deep(format!("\"\\\\\"{}", "[".repeat(33)).as_bytes()));
}
