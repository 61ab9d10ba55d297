//! This file makes of the schema that a server gives for an input one that every model takes.
//!
//! Servers may write whatever JSON Schema has. The Messages API refuses a request in which the schema of
//! one tool is a choice at its top, or has a field of a name that it does not know as one; Ollama refuses
//! one in which the schema of a field is `true`. What is lost here the server still holds calls against.

use serde_json::{Map, Value, json};

/// How long the name of a field may be.
const NAME_BYTES_MAX: usize = 64;

/// The same input as a schema of an object that says its fields itself, or why there is none.
pub(super) fn plain(mut schema: Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    let parts = parts(&mut schema);
    match schema.get("type") {
        None => drop(schema.insert("type".to_owned(), "object".into())),
        Some(kind) if kind == "object" => {}
        Some(_) => return Err("its input is no object"),
    }
    for (part, holds) in parts {
        take_in(&mut schema, part, holds);
    }
    let required = names(schema.get("required"));
    if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        if fields.keys().any(|name| !is_name(name) && required.contains(name)) {
            return Err("a field that it needs has a name that not every model takes");
        }
        fields.retain(|name, _| is_name(name));
        fields.values_mut().for_each(unfold);
    }
    Ok(schema)
}

/// Takes out what the schema is made of at its top: each part, and whether it holds whatever else does.
fn parts(schema: &mut Map<String, Value>) -> Vec<(Map<String, Value>, bool)> {
    let mut parts = Vec::new();
    if let Some(part) = schema.remove("$ref") {
        parts.push((json!({ "$ref": part }), true));
    }
    for (word, holds) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
        if let Some(Value::Array(of_word)) = schema.remove(word) {
            parts.extend(of_word.into_iter().map(|part| (part, holds)));
        }
    }
    let looked_up = parts.into_iter().filter_map(|(part, holds)| {
        let name = part.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix('#'));
        let at =
            name.and_then(|name| schema.get(name.split('/').nth(1)?)?.get(name.split('/').nth(2)?));
        at.unwrap_or(&part).as_object().map(|part| (part.clone(), holds))
    });
    looked_up.collect()
}

/// Adds the fields of a part, and those that are needed if it holds.
fn take_in(schema: &mut Map<String, Value>, mut part: Map<String, Value>, holds: bool) {
    let required = names(part.get("required"));
    if let Some(Value::Object(more)) = part.remove("properties")
        && let Value::Object(fields) = schema.entry("properties").or_insert_with(|| json!({}))
    {
        for (name, field) in more {
            fields.entry(name).or_insert(field);
        }
    }
    if holds && !required.is_empty() {
        let mut all = names(schema.get("required"));
        all.extend(required.into_iter().filter(|name| !all.contains(name)).collect::<Vec<_>>());
        schema.insert("required".to_owned(), all.into());
    }
}

fn names(list: Option<&Value>) -> Vec<String> {
    let names = list.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_fine)
}

/// Says of a field that may be anything that it may be anything, in the words that all know.
fn unfold(schema: &mut Value) {
    match schema {
        Value::Bool(_) => *schema = json!({}),
        Value::Object(schema) => {
            if let Some(Value::Object(fields)) = schema.get_mut("properties") {
                fields.values_mut().for_each(unfold);
            }
            if let Some(Value::Array(ways)) = schema.get_mut("anyOf") {
                ways.iter_mut().for_each(unfold);
            }
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(schema: &Value) -> Result<Value, &'static str> {
        plain(schema.as_object().unwrap().clone()).map(Value::Object)
    }

    #[test]
    fn a_choice_at_the_top_becomes_the_fields_of_all_ways() {
        let either = json!({
            "anyOf": [
                { "properties": { "id": { "type": "integer" } }, "required": ["id"] },
                { "properties": { "name": { "type": "string" } }, "required": ["name"] },
            ],
            "properties": { "id": { "type": "string" } },
        });
        let fields = json!({ "id": { "type": "string" }, "name": { "type": "string" } });
        assert_eq!(made(&either), Ok(json!({ "type": "object", "properties": fields })));
        let both = json!({
            "type": "object", "required": ["a"],
            "allOf": [{ "properties": { "b": {} }, "required": ["b", "a"] }, true],
        });
        let expected =
            json!({ "type": "object", "properties": { "b": {} }, "required": ["a", "b"] });
        assert_eq!(made(&both), Ok(expected));
    }

    #[test]
    fn what_the_top_refers_to_is_looked_up() {
        let defs = json!({ "In": { "properties": { "a": { "$ref": "#/$defs/A" } } }, "A": {} });
        let schema = json!({ "$ref": "#/$defs/In", "$defs": defs });
        let fields = json!({ "a": { "$ref": "#/$defs/A" } });
        let expected = json!({ "type": "object", "properties": fields, "$defs": defs });
        assert_eq!(made(&schema), Ok(expected));
        for nowhere in ["#/$defs/None", "https://example.org/a", "#"] {
            assert_eq!(made(&json!({ "$ref": nowhere })), Ok(json!({ "type": "object" })));
        }
    }

    #[test]
    fn a_field_that_models_cannot_name_is_left_out_unless_it_is_needed() {
        let odd = json!({ "properties": { "$top": {}, "page[size]": {}, "a": {} } });
        let expected = json!({ "type": "object", "properties": { "a": {} } });
        assert_eq!(made(&odd), Ok(expected));
        let needed = json!({ "properties": { "$top": {} }, "required": ["$top"] });
        assert!(made(&needed).unwrap_err().contains("not every model takes"));
    }

    #[test]
    fn what_may_be_anything_is_said_by_an_object() {
        let fields = json!({ "a": true, "b": { "properties": { "c": false }, "anyOf": [true] } });
        let plain = json!({ "a": {}, "b": { "properties": { "c": {} }, "anyOf": [{}] } });
        let made = made(&json!({ "properties": fields })).unwrap();
        assert_eq!(made["properties"], plain);
    }

    #[test]
    fn what_is_no_object_is_no_input() {
        assert_eq!(made(&json!({ "type": "array" })), Err("its input is no object"));
        let nullable = json!({ "type": ["object", "null"] });
        assert_eq!(made(&nullable), Err("its input is no object"));
    }
}
