//! This file tries texts as frames, in both directions.

use agentcom_core::command::Command;
use agentcom_core::json::Json;
use agentcom_core::name::Kind;
use agentcom_core::task::Draft;
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::Span;
use agentcom_core::wire::{self, Dialect, ToHub};

/// A script for a hub with two agents that hold a task each: every line is a frame, of the first
/// agent unless it begins with `2`. The tasks are called `task-0000000000000001` and `..2`. Frames
/// are written as they were read, and the hub stays sound.
pub fn frame_to_hub(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut bench = Bench::new();
    let sessions = [
        bench.join("one", Dialect::V1, 2, &["gpu"]),
        bench.join("two", Dialect::Plain, 1, &["gpu"]),
    ];
    let draft = || Draft::new(Kind::new("shell").expect("a name"), Json::null());
    let mut text = text.to_owned();
    for number in 1..=2 {
        let name = format!("task-{number:016x}");
        text = text.replace(&name, &bench.submit(draft()).to_string());
    }
    bench.call(Command::SetOldestFirst { every: 2 });
    for line in text.lines().take(16) {
        let (from, line) = match line.strip_prefix('2') {
            Some(line) => (sessions[1], line),
            None => (sessions[0], line),
        };
        if let Ok(frame) = wire::read_to_hub(line)
            && !is_kept_whole(&frame)
        {
            let again = wire::read_to_hub(&wire::write(&frame));
            assert!(again == Ok(frame.clone()), "{frame:?} is read back as {again:?}");
        }
        bench.raw(from, line);
    }
    bench.pass(Span::from_secs(120));
    bench.check();
}

/// Frames of clients of the original whose content is nothing to us are not taken apart.
const fn is_kept_whole(frame: &ToHub) -> bool {
    matches!(
        frame,
        ToHub::ResourceReport { .. } | ToHub::OllamaReport { .. } | ToHub::Messaging { .. }
    )
}

/// A text as a frame for an agent: it is written as it was read.
pub fn frame_to_agent(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(frame) = wire::read_to_agent(text) {
        let again = wire::read_to_agent(&wire::write(&frame));
        assert!(again.as_ref() == Ok(&frame), "{frame:?} is read back as {again:?}");
    }
}
