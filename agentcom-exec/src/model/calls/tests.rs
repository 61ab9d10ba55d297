//! This file tests that calls are found however models write them, and nothing else is taken for one.

use serde_json::json;

use super::*;

fn tools() -> Vec<Spec> {
    let spec = |name: &str, properties: Value| Spec {
        name: name.to_owned(),
        description: String::new(),
        input: json!({ "type": "object", "properties": properties }),
    };
    vec![
        spec(
            "read_file",
            json!({ "path": { "type": "string" }, "start_line": { "type": "integer" } }),
        ),
        spec(
            "write_file",
            json!({
                "path": { "type": "string" }, "content": { "type": "string" },
                "create_dirs": { "type": "boolean" },
            }),
        ),
    ]
}

/// The calls in a text, and the rest of it.
fn found(text: &str) -> (Vec<(String, Value)>, String) {
    let mut reply = Reply { text: text.to_owned(), ..Reply::default() };
    settle(&mut reply, &tools());
    let calls = reply.calls.into_iter().map(|call| (call.name, call.input)).collect();
    (calls, reply.text)
}

#[track_caller]
fn assert_found(text: &str, name: &str, input: Value, rest: &str) {
    assert_eq!(found(text), (vec![(name.to_owned(), input)], rest.to_owned()), "{text}");
}

#[test]
fn calls_that_the_server_understood_come_first() {
    let call = Call { id: None, name: "read_file".into(), input: json!("{\"path\": \"a\"}") };
    let text = r#"{"name": "write_file", "arguments": {}}"#.to_owned();
    let mut reply = Reply { text: text.clone(), calls: vec![call], ..Reply::default() };
    settle(&mut reply, &tools());
    assert_eq!((reply.calls.len(), &*reply.calls[0].name), (1, "read_file"));
    assert_eq!((&reply.calls[0].input, reply.text), (&json!({ "path": "a" }), text));
}

#[test]
fn json_in_the_text_is_a_call_if_there_is_such_a_tool() {
    let input = json!({ "path": "a", "content": "fn f() { {} }" });
    for text in [
        r#"{"name": "write_file", "arguments": {"path": "a", "content": "fn f() { {} }"}}"#,
        r#"{"tool": "write_file", "parameters": {"path": "a", "content": "fn f() { {} }"}}"#,
        r#"{"type": "function", "function": {"name": "write_file", "arguments": {"path": "a", "content": "fn f() { {} }"}}}"#,
        r#"[{"name": "write_file", "input": {"path": "a", "content": "fn f() { {} }"}}]"#,
        r#"{"name": "write_file", "arguments": "{\"path\": \"a\", \"content\": \"fn f() { {} }\"}"}"#,
        r#"{"name": "write_file", "arguments": {"path": "a", "content": "fn f() { {} }"}"#,
    ] {
        assert_found(text, "write_file", input.clone(), "");
        assert_found(
            &format!("I write {{}} it:\n{text}"),
            "write_file",
            input.clone(),
            "I write {} it:",
        );
    }
    let fenced = "Look:\n```json\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a\"}}\n```";
    assert_found(fenced, "read_file", json!({ "path": "a" }), "Look:\n```json\n\n```");
}

#[test]
fn blocks_are_calls_also_of_tools_that_there_are_not() {
    assert_found(
        "So:\n<tool_call>\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a\",}}\n</tool_call>",
        "read_file",
        json!({ "path": "a" }),
        "So:",
    );
    assert_found("<tool_call>{\"name\": \"fly\"}", "fly", json!({}), "");
    let (calls, rest) = found(
        "<tool_call>{\"name\": \"read_file\", \"arguments\": {\"path\": \"a\"}}\n\
         <tool_call>{\"name\": \"read_file\", \"arguments\": {\"path\": \"b\"}}</tool_call> and",
    );
    assert_eq!((calls.len(), &*rest), (2, "and"));
}

#[test]
fn qwen_writes_functions_and_parameters() {
    let text = "<tool_call>\n<function=write_file>\n<parameter=path>\nsrc/a.rs\n</parameter>\n\
                <parameter=content>\nfn a() {\n    \"<b>\"\n}\n\n</parameter>\n\
                <parameter=create_dirs>\nTrue\n</parameter>\n</function>\n</tool_call>";
    let input = json!({
        "path": "src/a.rs", "content": "fn a() {\n    \"<b>\"\n}\n", "create_dirs": true,
    });
    assert_found(text, "write_file", input, "");
    let open = "<tool_call><function=read_file><parameter=path>a<parameter=start_line>7";
    assert_found(open, "read_file", json!({ "path": "a", "start_line": 7 }), "");
}

#[test]
fn functions_are_calls_one_by_one_also_where_the_block_was_not_begun() {
    let function = |path: &str| {
        format!("<function=read_file>\n<parameter=path>\n{path}\n</parameter>\n</function>")
    };
    let (one, two) = (function("a"), function("b"));
    let calls = ["a", "b"].map(|path| ("read_file".to_owned(), json!({ "path": path })));
    for text in [
        format!("So:\n<tool_call>\n{one}\n{two}\n</tool_call>"),
        format!("So:\n{one}\n</tool_call>\n{two}\n</tool_call>"),
        format!("So:\n{one}{two}"),
    ] {
        assert_eq!(found(&text), (calls.to_vec(), "So:".to_owned()), "{text}");
    }
    assert_found(&one, "read_file", json!({ "path": "a" }), "");
    for prose in [
        format!("It reads {one} and no more."),
        "<function=fly>\n<parameter=to>\nm\n</parameter>\n</function>".to_owned(),
        "`<function=read_file>` begins one.".to_owned(),
    ] {
        assert_eq!(found(&prose), (vec![], prose.clone()));
    }
}

#[test]
fn arguments_have_the_types_of_the_schema() {
    let call = |arguments: &str| {
        found(&format!(r#"{{"name": "read_file", "arguments": {arguments}}}"#)).0.remove(0).1
    };
    assert_eq!(
        call(r#"{"path": "true", "start_line": " 12 "}"#),
        json!({ "path": "true", "start_line": 12 })
    );
    assert_eq!(call(r#"{"start_line": "many"}"#), json!({ "start_line": "many" }));
    assert_eq!(call("null"), json!({}));
    assert_eq!(call("[1]"), json!([1]));
}

#[test]
fn what_a_model_thinks_is_no_call() {
    let call = r#"{"name": "read_file", "arguments": {"path": "a"}}"#;
    for text in [
        format!("<think>I could {call}</think>\nDone."),
        format!("I could {call}</think>\nDone."),
        format!("Done.<think>{call}"),
    ] {
        assert_eq!(found(&text), (vec![], "Done.".to_owned()), "{text}");
    }
    assert_found(&format!("<think>hm</think>{call}"), "read_file", json!({ "path": "a" }), "");
}

#[test]
fn prose_examples_and_nonsense_are_no_calls() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for text in [
        "",
        "All tests pass.",
        r#"The config is {"name": "demo", "arguments": {}}."#,
        r#"{"name": 7}"#,
        "{ not json",
        "<tool_call></tool_call>",
        "<tool_call>nothing</tool_call>",
        &deep,
    ] {
        assert_eq!(found(text).0, [], "{text}");
    }
}

/// What was meant to be a call in a text: the names of tools that can be told, and why it cannot be read.
fn meant(text: &str) -> Vec<(Option<String>, String)> {
    let mut reply = Reply { text: text.to_owned(), ..Reply::default() };
    settle(&mut reply, &tools());
    assert!(reply.unreadable.is_empty() || reply.text.contains(&reply.unreadable[0].text));
    reply.unreadable.into_iter().map(|it| (it.name, it.why)).collect()
}

#[test]
fn what_is_meant_to_be_a_call_and_cannot_be_read_is_told_with_why() {
    let quotes =
        r#"{"name": "write_file", "arguments": {"path": "a", "content": "let a = "one";"}}"#;
    for (text, name, why) in [
        (format!("So:\n<tool_call>\n{quotes}\n</tool_call>"), Some("write_file"), "line 2 column"),
        (format!("<tool_call>{quotes}"), Some("write_file"), "it is no JSON"),
        (format!("I call it: <tool_call>{quotes}</tool_call>"), Some("write_file"), "no JSON"),
        (quotes.to_owned(), Some("write_file"), "line 1 column"),
        (format!("I write it:\n```json\n{quotes}\n```\n"), Some("write_file"), "it is no JSON"),
        (format!("[{quotes}]"), Some("write_file"), "it is no JSON"),
        (
            r#"{"type": "function", "function": {"name": "read_file", "arguments": {"path" "a"}}}"#
                .to_owned(),
            Some("read_file"),
            "it is no JSON",
        ),
        ("<tool_call>\n{\"name\": 7}\n</tool_call>".to_owned(), None, "which tool"),
        ("<tool_call>{\"path\": \"a\"}</tool_call>".to_owned(), None, "which tool"),
        ("<tool_call>{path: a b}</tool_call>".to_owned(), None, "it is no JSON"),
        ("<tool_call>\n<function=read_file\n".to_owned(), Some("read_file"), "are not whole"),
        ("So:\n<function=read_file\n".to_owned(), Some("read_file"), "are not whole"),
        (
            "<tool_call><function=read_file><parameter=path</tool_call>".to_owned(),
            Some("read_file"),
            "are not whole",
        ),
    ] {
        let meant = meant(&text);
        let [(found, said)] = &meant[..] else { panic!("{text}: {meant:?}") };
        assert_eq!(found.as_deref(), name, "{text}");
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn a_call_within_one_that_cannot_be_read_is_not_made() {
    let inner = r#"{"name": "read_file", "arguments": {"path": "a"}}"#;
    let outer =
        format!(r#"{{"name": "write_file", "arguments": {{"path": "b", "content": "{inner}"}}}}"#);
    for text in [outer.clone(), format!("<tool_call>{outer}</tool_call>")] {
        assert_eq!(found(&text).0, [], "{text}");
        assert_eq!(meant(&text).len(), 1, "{text}");
    }
}

#[test]
fn what_can_be_read_beside_it_is_a_call_and_few_are_told() {
    let good = r#"<tool_call>{"name": "read_file", "arguments": {"path": "a"}}}</tool_call>"#;
    let bad = r#"<tool_call>{"name": "read_file", "arguments": {"path" "a"}}</tool_call>"#;
    let text = format!("{good}\n{bad}\n{good}");
    assert_eq!((found(&text).0.len(), meant(&text).len()), (2, 1));
    assert_eq!(found(&text).1, bad, "the model sees what is spoken of");
    assert_eq!(meant(&bad.repeat(100)).len(), unreadable::COUNT_MAX);
}

#[test]
fn prose_that_speaks_of_calls_is_none() {
    let broken = r#"{"name": "read_file", "arguments": {"path" "a"}}"#;
    for text in [
        "Models write <tool_call> and {\"name\": ...} there.".to_owned(),
        "The tag is\n<tool_call>\nwhich opens a block.".to_owned(),
        "<tool_call>...</tool_call>".to_owned(),
        "<tool_call>{...}</tool_call>".to_owned(),
        "<tool_call></tool_call>".to_owned(),
        "<tool_call>nothing</tool_call>".to_owned(),
        format!("I mended `<tool_call>{broken}</tool_call>`, which was refused."),
        format!("What was refused is {broken}, and is read from here on."),
        format!("<think>{broken}</think>Done."),
        r#"{"name": "demo", "arguments": {"path" "a"}}"#.to_owned(),
        "{\"name\": \"read_file\", \"version\" 1}".to_owned(),
        "fn main() {\n    let name = \"read_file\";\n}".to_owned(),
    ] {
        assert_eq!((found(&text).0, meant(&text)), (vec![], vec![]), "{text}");
    }
}

#[test]
fn long_texts_full_of_brackets_are_read_in_time() {
    // Each bracket begins something that never ends: the work must not be squared too far.
    let text = "{\"a\": [".repeat(2_000);
    assert_eq!(found(&text).0, []);
    let text = format!("x{}", "<function=read_file".repeat(50_000));
    assert_eq!(found(&text).0, []);
}

#[test]
fn a_call_is_found_behind_much_that_only_begins_like_one_and_not_behind_too_much() {
    let call = r#"{"name": "read_file", "arguments": {"path": "a"}}"#;
    let behind = |count: usize| found(&format!("{}{call}", "{ x ".repeat(count))).0.len();
    assert_eq!((behind(TRIED_MAX - 1), behind(TRIED_MAX)), (1, 0));
    let text = "[{".repeat(100_000);
    assert_eq!(found(&text), (vec![], text));
}

#[test]
fn a_long_name_is_kept_where_a_tool_has_it_and_cut_where_none_does() {
    let long = "é".repeat(1_000);
    let call = || Call { id: None, name: long.clone(), input: json!({}) };
    let mut tools = tools();
    let mut reply = Reply { calls: vec![call()], ..Reply::default() };
    settle(&mut reply, &tools);
    assert_eq!(reply.calls[0].name.len(), NAME_BYTES_MAX);
    tools[0].name.clone_from(&long);
    let mut reply = Reply { calls: vec![call()], ..Reply::default() };
    settle(&mut reply, &tools);
    assert_eq!(reply.calls[0].name, long);
}
