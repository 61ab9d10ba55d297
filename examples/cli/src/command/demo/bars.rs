//! This file shows the tasks of the demonstration at work: a bar each on a terminal, or else lines.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::FeedEvent;
use crate::print::Printer;
use crate::table::one_line;
use crate::text::field;
use crate::waiting::OVER;

/// What the feed has told so far.
#[derive(Debug)]
pub(super) struct Bars {
    bars: BTreeMap<String, (&'static str, ProgressBar)>,
    whole: ProgressBar,
    /// Where to say what happens if there are no bars.
    lines: Option<Printer>,
    over: BTreeMap<String, bool>,
}

const STEPS: u64 = 4;

impl Bars {
    /// Bars for the tasks with these ids and names.
    pub(super) fn new(tasks: &[(String, &'static str)], print: Printer) -> Self {
        let target =
            if print.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let multi = MultiProgress::with_draw_target(target);
        let hidden = multi.is_hidden();
        let bar = |(id, name): &(String, &'static str)| {
            let bar = multi.add(ProgressBar::new(STEPS).with_style(style(WAITS)));
            bar.set_prefix(*name);
            bar.set_message("queued");
            (id.clone(), (*name, bar))
        };
        let bars = tasks.iter().map(bar).collect();
        let count = u64::try_from(tasks.len()).unwrap_or(u64::MAX);
        let whole = multi.add(ProgressBar::new(count).with_style(style(WHOLE)));
        whole.enable_steady_tick(Duration::from_millis(100));
        let over = tasks.iter().map(|(id, _)| (id.clone(), false)).collect();
        Self { bars, whole, lines: (hidden && !print.quiet).then_some(print), over }
    }

    /// Whether all tasks have ended.
    pub(super) fn all_over(&self) -> bool {
        self.over.values().all(|over| *over)
    }

    /// Shows what the feed says.
    pub(super) fn apply(&mut self, event: &FeedEvent) {
        let id = field(&event.data, "task_id");
        let Some((name, bar)) = self.bars.get(&id) else { return };
        match event.data["type"].as_str().and_then(|kind| kind.strip_prefix("task.")) {
            Some(state) => {
                let agent = field(&event.data, "agent_id");
                let told = matches!(state, "working" | "delayed") || OVER.contains(&state);
                if let Some(print) = self.lines.filter(|_| told) {
                    print.note(format!("{name:<10} {:<12} {agent}", words(state)).trim_end());
                }
                show(bar, state, &agent);
                if OVER.contains(&state) {
                    self.over.insert(id, true);
                }
                let over = self.over.values().filter(|over| **over).count();
                self.whole.set_position(u64::try_from(over).unwrap_or(u64::MAX));
            }
            None => {
                let text = one_line(&field(&event.data["event"], "text"));
                if !text.is_empty() && !bar.is_finished() {
                    bar.set_message(text);
                }
            }
        }
    }

    /// Leaves the bars as they are.
    pub(super) fn finish(&self) {
        for (_, bar) in self.bars.values() {
            bar.abandon();
        }
        self.whole.finish_and_clear();
    }
}

const WAITS: &str = "  {prefix:<10} [{bar:12.dim}] {wide_msg:.dim}";
const WORKS: &str = "  {prefix:<10} [{bar:12.cyan}] {wide_msg}";
const WELL: &str = "  {prefix:<10} [{bar:12.green}] {wide_msg:.green}";
const ILL: &str = "  {prefix:<10} [{bar:12.red}] {wide_msg:.red}";
const WHOLE: &str = "  {spinner} {pos} of {len} tasks have ended, {elapsed}";

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a bug; the usual one does no harm.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn show(bar: &ProgressBar, state: &str, agent: &str) {
    let (template, steps) = match state {
        "assigned" => (WORKS, 1),
        "working" => (WORKS, 2),
        "completed" => (WELL, STEPS),
        _ if OVER.contains(&state) => (ILL, STEPS),
        _ => (WAITS, 0),
    };
    bar.set_style(style(template));
    bar.set_position(steps);
    let told = words(state);
    match template {
        WELL | ILL => bar.abandon_with_message(told.to_owned()),
        WORKS if !agent.is_empty() => bar.set_message(format!("{told} on {agent}")),
        _ => bar.set_message(told.to_owned()),
    }
}

/// A state in words that need no explanation.
fn words(state: &str) -> &str {
    match state {
        "blocked" => "waits for others",
        "delayed" => "failed, is tried again",
        "submitted" | "ready" => "queued",
        "dead_letter" => "gave up",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(kind: &str, id: &str) -> FeedEvent {
        FeedEvent {
            kind: "event".into(),
            cursor: Some(1),
            data: json!({"type": kind, "task_id": id}),
        }
    }

    #[test]
    fn the_demonstration_is_over_when_all_its_tasks_are() {
        let tasks = [("task-1".to_owned(), "one"), ("task-2".to_owned(), "two")];
        let mut bars = Bars::new(&tasks, Printer { json: false, quiet: true });
        for (kind, id) in [
            ("task.completed", "task-1"),
            ("task.dead_letter", "task-9"),
            ("agent.added", "task-2"),
        ] {
            bars.apply(&event(kind, id));
            assert!(!bars.all_over(), "{kind} {id}");
        }
        bars.apply(&event("task.dead_letter", "task-2"));
        assert!(bars.all_over());
    }
}
