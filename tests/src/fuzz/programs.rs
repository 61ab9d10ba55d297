//! This file tries bytes as what models, agents of others and helpers are told or say.

use agentcom_exec::acp::messages_in;
use agentcom_exec::model::{Reply, calls};
use agentcom_exec::sandbox::order_again;
use agentcom_exec::tool::Spec;
use serde_json::json;

/// What a model says: however it calls tools, its calls are found or none, and little is kept of names
/// that no tool has.
pub fn tool_calls(input: &[u8]) {
    const NAME_BYTES_MAX: usize = 128;
    let fields = json!({
        "path": { "type": "string" }, "start_line": { "type": "integer" },
        "ratio": { "type": "number" }, "all": { "type": "boolean" }, "files": { "type": "array" },
    });
    let spec = |name: &str| Spec {
        name: name.to_owned(),
        description: String::new(),
        input: json!({ "type": "object", "properties": fields }),
    };
    let tools = [spec("read_file"), spec("write_file")];
    let text = String::from_utf8_lossy(input).into_owned();
    let said_bytes = text.len();
    let mut reply = Reply { text, ..Reply::default() };
    calls::settle(&mut reply, &tools);
    assert!(reply.text.len() + reply.thinking.len() <= said_bytes, "something was made up");
    for call in &reply.calls {
        assert!(call.name.len() <= NAME_BYTES_MAX, "a name of {} bytes", call.name.len());
    }
    // What a server has understood stays.
    let found = reply.calls.len();
    calls::settle(&mut reply, &tools);
    assert_eq!(reply.calls.len(), found);
}

/// What an agent says by the Agent Client Protocol: what is read of it can be said again, in a line, and
/// is read as the same then.
pub fn acp_lines(input: &[u8]) {
    let messages = messages_in(input);
    for message in &messages {
        assert!(!message.contains('\n'), "{message}");
        let line = format!("{message}\n");
        assert_eq!(messages_in(line.as_bytes()), [message.as_str()]);
    }
}

/// What the helper of a sandbox is told to do: refused, or an order that is the same when it is passed
/// on, as a helper does with one who is inside.
pub fn sandbox_order(input: &[u8]) {
    let Some(order) = order_again(input) else { return };
    assert_eq!(order_again(&order).as_deref(), Some(&*order), "it is another when it is passed on");
}
