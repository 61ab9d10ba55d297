//! This file has a model call tools that was not made to: the server holds each of its answers to a JSON
//! schema (`format`) that fits calls of tools that there are, and words at the end, and nothing else.
//!
//! ```json
//! {"function":"read_file","parameters":{"path":"src/lib.rs"}}
//! {"answer":"The sum is mended."}
//! ```
//!
//! Servers know a part of JSON Schema only (llama.cpp, `grammars/README.md`): some words of it are refused, or
//! have others beside them ignored, so of a tool's input they are given what all of them hold to. The
//! tool itself judges the rest.
//!
//! The tools are listed before all else, and what they say is told as people's words, since the template of
//! such a model knows neither. [`calls::settle`](crate::model::calls::settle) reads the calls, as it does of any
//! model that writes them into its text.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::{Format, Heard, Message, Reply, Request, Said};
use crate::tool::Spec;

/// A request in words, and what its answer is held to.
#[derive(Debug)]
pub(super) struct Told {
    system: String,
    messages: Vec<Message>,
    format: Format,
}

impl Told {
    /// The same as `request`, which has tools.
    pub(super) fn of(request: &Request<'_>) -> Self {
        Self {
            system: format!("{}\n\n{}", request.system, listed(request.tools)),
            messages: request.messages.iter().map(in_words).collect(),
            format: Format::Schema(schema(request.tools)),
        }
    }

    pub(super) fn request(&self) -> Request<'_> {
        let Self { system, messages, format } = self;
        Request { system, messages, tools: &[], format: Some(format) }
    }
}

/// What all answers fit. Servers write the fields in this order, which is that of their names, so that the tool
/// is settled before its input.
fn schema(tools: &[Spec]) -> Value {
    let object = |fields: Value, required: &[&str]| json!({ "type": "object", "properties": fields, "required": required });
    let call = |tool: &Spec| {
        let fields = json!({ "function": { "const": tool.name }, "parameters": held(&tool.input) });
        object(fields, &["function", "parameters"])
    };
    let answer = object(json!({ "answer": { "type": "string" } }), &["answer"]);
    json!({ "anyOf": tools.iter().map(call).chain([answer]).collect::<Vec<_>>() })
}

/// A schema that fits all that `schema` does, and perhaps more: of what types values are, what fields objects have, and
/// what words there are to choose from.
fn held(schema: &Value) -> Value {
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.is_empty()) {
        return json!({ "enum": words });
    }
    if !schema["const"].is_null() {
        return json!({ "const": schema["const"] });
    }
    match schema["type"].as_str() {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields: Map<String, Value> =
                fields.map(|(name, schema)| (name.clone(), held(schema))).collect();
            let required = schema["required"].as_array().into_iter().flatten();
            let required: Vec<&Value> = required
                .filter(|name| name.as_str().is_some_and(|name| fields.contains_key(name)))
                .collect();
            match fields.is_empty() {
                // Any fields, and not none.
                true => json!({ "type": "object" }),
                false => json!({ "type": "object", "properties": fields, "required": required }),
            }
        }
        Some("array") => json!({ "type": "array", "items": held(&schema["items"]) }),
        Some(plain @ ("string" | "integer" | "number" | "boolean" | "null")) => {
            json!({ "type": plain })
        }
        // Several types, references, and what nobody knows.
        Some(_) | None => json!({}),
    }
}

/// The tools, for a model that has never heard of any.
fn listed(tools: &[Spec]) -> String {
    let mut text = "Each of your answers is one JSON object: {\"function\": TOOL, \"parameters\": INPUT} calls a \
                    tool, and you are told what it found; {\"answer\": TEXT} says that all is done. The tools, \
                    with the JSON schemas of their input:"
        .to_owned();
    for Spec { name, description, input } in tools {
        let _ = write!(text, "\n- {name}: {description} {input}");
    }
    text
}

/// A message as a model hears it that knows of no tools.
fn in_words(message: &Message) -> Message {
    match message {
        Message::User(text) => Message::User(text.clone()),
        Message::Tool { call, content } => Message::User(format!("{} found: {content}", call.name)),
        Message::Model(reply) => {
            let calls = reply.calls.iter();
            let calls = calls.map(|it| json!({ "function": it.name, "parameters": it.input }));
            let mut text: Vec<String> = calls.map(|call| call.to_string()).collect();
            if reply.ending.is_cut() || !reply.unreadable.is_empty() {
                text = vec![reply.text.clone()];
            } else if text.is_empty() {
                text.push(json!({ "answer": reply.text }).to_string());
            }
            Message::Model(Reply { text: text.join("\n"), ..Reply::default() })
        }
    }
}

/// Hears what people cannot read before it is whole.
pub(super) fn hushed(said: &mut Said<'_>) -> impl FnMut(Heard<'_>) + Send {
    |heard| match heard {
        Heard::Text(text) => said(Heard::Thought(text)),
        Heard::Thought(_) | Heard::Took(_) => said(heard),
    }
}

/// What the model means, which is said if it is an answer; calls stay in the text.
pub(super) fn read(mut reply: Reply, said: &mut Said<'_>) -> Reply {
    let object: Option<Value> = serde_json::from_str(&reply.text).ok();
    if let Some(answer) = object.as_ref().and_then(|object| object["answer"].as_str()) {
        said(Heard::Text(answer));
        reply.text = answer.to_owned();
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Call, calls};

    fn tools() -> Vec<Spec> {
        let input = json!({ "type": "object", "properties": { "path": { "type": "string" } } });
        vec![Spec { name: "look".into(), description: "Looks.".into(), input }]
    }

    #[test]
    fn an_answer_is_a_call_of_a_tool_that_there_is_or_the_last_word() {
        let tools = tools();
        let Format::Schema(schema) =
            Told::of(&Request { tools: &tools, ..Request::default() }).format
        else {
            panic!("any JSON will do")
        };
        let ways: Vec<Vec<&String>> = schema["anyOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|way| way["properties"].as_object().unwrap().keys().collect())
            .collect();
        assert_eq!(ways, [vec!["function", "parameters"], vec!["answer"]]);
        let read = |text: &str| {
            let mut aloud = String::new();
            let mut said = |heard: Heard<'_>| {
                let Heard::Text(text) = heard else { panic!("{heard:?}") };
                aloud.push_str(text);
            };
            let mut reply = read(Reply { text: text.into(), ..Reply::default() }, &mut said);
            calls::settle(&mut reply, &tools);
            assert!(aloud.is_empty() || aloud == reply.text, "{aloud}");
            (reply.text, reply.calls)
        };
        let call = Call { id: None, name: "look".into(), input: json!({ "path": "a" }) };
        let called = r#"{"function":"look","parameters":{"path":"a"}}"#;
        assert_eq!(read(called), (String::new(), vec![call]));
        assert_eq!(read(r#"{"answer":"It is done."}"#), ("It is done.".into(), Vec::new()));
        let quotes = r#"{"answer":"I called {\"function\":1}."}"#;
        assert_eq!(read(quotes), (r#"I called {"function":1}."#.into(), Vec::new()));
        assert_eq!(read("{\"answer\":\"It").0, "{\"answer\":\"It", "it was cut off");
    }

    #[test]
    fn of_an_input_servers_are_told_what_all_of_them_hold_to() {
        let words = json!({ "enum": ["a", "b"], "type": "string" });
        let mut input = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "id": { "type": "string", "pattern": r"^\S+$", "format": "uri" },
                "kind": words, "only": { "const": 1 },
                "list": { "type": "array", "items": { "$ref": "#/$defs/x" }, "uniqueItems": true },
                "many": { "type": ["string", "null"] }, "any": true, "none": { "enum": [] },
                "open": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "required": ["id", "absent"],
            "anyOf": [{ "required": ["kind"] }],
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "id": { "type": "string" }, "kind": { "enum": ["a", "b"] }, "only": { "const": 1 },
                "list": { "type": "array", "items": {} }, "many": {}, "any": {}, "none": {},
                "open": { "type": "object" },
            },
            "required": ["id"],
        });
        assert_eq!(held(&input), expected);
        input["properties"] = json!({});
        assert_eq!(held(&input), json!({ "type": "object" }));
    }

    #[test]
    fn what_tools_said_is_told_in_words() {
        let tools = tools();
        let call =
            Call { id: Some("1".into()), name: "look".into(), input: json!({ "path": "a" }) };
        let said = [
            Message::User("Look at a.".into()),
            Message::Model(Reply { calls: vec![call.clone()], ..Reply::default() }),
            Message::Tool { call, content: r#"{"ok":true}"#.into() },
            Message::Model(Reply { text: "Well.".into(), ..Reply::default() }),
        ];
        let request = Request { system: "Be good.", messages: &said, tools: &tools, format: None };
        let told = Told::of(&request);
        let Request { system, messages, tools, .. } = told.request();
        assert!(system.starts_with("Be good.") && system.contains("- look: Looks. {"), "{system}");
        let text = |message: &Message| match message {
            Message::User(text) => format!("people: {text}"),
            Message::Model(reply) => {
                assert_eq!(reply.calls, [], "they are in its text");
                format!("model: {}", reply.text)
            }
            Message::Tool { .. } => panic!("{message:?}"),
        };
        assert!(tools.is_empty());
        assert_eq!(
            messages.iter().map(text).collect::<Vec<_>>(),
            [
                "people: Look at a.",
                r#"model: {"function":"look","parameters":{"path":"a"}}"#,
                r#"people: look found: {"ok":true}"#,
                r#"model: {"answer":"Well."}"#,
            ]
        );
    }
}
