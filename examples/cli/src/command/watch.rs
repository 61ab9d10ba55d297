//! This file follows what happens, and goes on where it was after a lost connection.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::args::Context;
use crate::client::{Client, FeedEvent};
use crate::exit::{Exit, Failure, Outcome};
use crate::print::{FAINT, PLAIN};
use crate::table::one_line;
use crate::text::{self, clock, field, short};

/// What to follow.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Start after this event, 0 for all that are kept [default: only what happens from now on]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only what happens to this task: its id, or the end of it
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Print the output of running work as well
    #[arg(long, short)]
    progress: bool,
}

const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let task = match &args.task {
        Some(given) => Some(crate::name::task_id(&client, given).await?),
        None => None,
    };
    let mut cursor = args.after;
    let mut pause = PAUSE_MIN;
    let mut reached = false;
    let mut saying = Saying::default();
    loop {
        let ended = follow(&client, &mut cursor, &mut pause, &mut reached, |event| {
            let wanted =
                task.as_deref().is_none_or(|task| event.data["task_id"].as_str() == Some(task));
            if wanted { show(event, &mut saying, args, ctx) } else { Ok(()) }
        });
        match ended.await {
            Err(failure) if reached && is_passing(&failure) => {
                ctx.print.note(&format!("{FAINT}{}; trying again{FAINT:#}", failure.message));
            }
            Err(failure) => return Err(failure),
            Ok(()) => ctx.print.note(&format!("{FAINT}the feed ended; following again{FAINT:#}")),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Shows what the feed says until the connection ends.
async fn follow(
    client: &Client,
    cursor: &mut Option<u64>,
    pause: &mut Duration,
    reached: &mut bool,
    mut show: impl FnMut(&FeedEvent) -> Outcome,
) -> Outcome {
    let mut feed = std::pin::pin!(client.feed(*cursor).await?);
    *reached = true;
    while let Some(event) = feed.next().await {
        let event = event?;
        show(&event)?;
        *cursor = event.cursor.or(*cursor);
        *pause = PAUSE_MIN;
    }
    Ok(())
}

fn is_passing(failure: &Failure) -> bool {
    failure.exit == Exit::Unavailable || failure.exit == Exit::TryAgain
}

fn show(event: &FeedEvent, saying: &mut Saying, args: &Args, ctx: &Context) -> Outcome {
    if ctx.print.json {
        let line = json!({ "event": event.kind, "cursor": event.cursor, "data": event.data });
        return Ok(ctx.print.text(&format!("{line}\n"))?);
    }
    if !args.progress {
        let shown = event.data["type"].as_str().map(|kind| line(kind, &event.data));
        return Ok(ctx.print.text(&shown.unwrap_or_default())?);
    }
    Ok(ctx.print.text(&saying.shown(&event.data))?)
}

/// What models are saying, by task: it comes in small pieces, of which lines are made.
#[derive(Default)]
struct Saying(BTreeMap<String, String>);

impl Saying {
    /// So many characters make a line that does not end by itself.
    const LINE_CHARS: usize = 72;

    /// The lines to show for an event: before any other what its task's model said until then.
    fn shown(&mut self, event: &Value) -> String {
        let task = event["task_id"].as_str().unwrap_or_default();
        let said = &event["event"];
        if let (Some("token"), Some(text)) = (said["event_type"].as_str(), said["text"].as_str()) {
            let held = self.0.entry(task.to_owned()).or_default();
            held.push_str(text);
            let mut lines = String::new();
            while let Some(end) = end_of_line(held, Self::LINE_CHARS) {
                let rest = held.split_off(end);
                lines += &words(task, &std::mem::replace(held, rest));
            }
            return lines;
        }
        let held = self.0.remove(task).unwrap_or_default();
        let shown = match event["type"].as_str() {
            Some(kind) => line(kind, event),
            None => progress(event),
        };
        words(task, &held) + &shown
    }
}

/// Where the first line of a text ends, if it does: at its end, or behind the last word that has room.
fn end_of_line(text: &str, chars_max: usize) -> Option<usize> {
    let until = text.char_indices().nth(chars_max).map(|(at, _)| at);
    let line = &text[..until.unwrap_or(text.len())];
    let behind_word = || line.rfind(' ').map_or(line.len(), |at| at + 1);
    line.find('\n').map(|at| at + 1).or_else(|| until.map(|_| behind_word()))
}

/// A line that a model says, unless it is blank.
fn words(task: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    progress(&json!({ "task_id": task, "event": { "text": text.trim_end() } }))
}

fn line(kind: &str, event: &Value) -> String {
    let state = kind.strip_prefix("task.");
    let style = state.map_or(PLAIN, super::tasks::style_of);
    let at = text::date(&event["at"]).map_or_else(String::new, clock);
    let task = event["task_id"].as_str().map_or("", short);
    let detail = match kind {
        "question.asked" => question(&event["detail"]),
        _ => text::plain(&event["detail"]),
    };
    let mut row = format!("{FAINT}{at}{FAINT:#} {style}{kind}{style:#}");
    let gap = 18_usize.saturating_sub(kind.chars().count());
    let agent = field(event, "agent_id") + &field(event, "operator");
    let rest = format!("{:gap$} {task:<8} {agent:<12} {}", "", one_line(&detail));
    row.push_str(rest.trim_end());
    row.push('\n');
    row
}

/// What an agent asks, and how it is answered.
fn question(question: &Value) -> String {
    let (id, text) = (field(question, "id"), field(question, "text"));
    let default = text::plain(&question["default"]);
    format!("{text} (`agentcom answer {} …`, else {default})", short(&id))
}

fn progress(news: &Value) -> String {
    let task = news["task_id"].as_str().map_or("", short);
    let percent =
        news["percent"].as_u64().map_or_else(String::new, |percent| format!("{percent} %"));
    let text = one_line(&field(&news["event"], "text"));
    format!("{FAINT}         {:<18} {task:<8} {percent:>5} {text}{FAINT:#}\n", "progress")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_a_model_says_piece_by_piece_is_shown_in_lines() {
        let mut saying = Saying::default();
        let task = "task-0123456789abcdef";
        let token = |text: &str| json!({ "task_id": task, "event": { "event_type": "token", "text": text } });
        let mut text = String::new();
        for piece in ["Let ", "me ", "see.\n", "\n"].into_iter().chain(["the parser "; 8]) {
            text += &saying.shown(&token(piece));
        }
        let other = json!({ "task_id": "task-0000000000000000", "event": { "text": "step" } });
        text += &saying.shown(&other);
        let call =
            json!({ "task_id": task, "event": { "event_type": "tool_call", "text": "read it" } });
        text += &saying.shown(&call);
        text += &saying.shown(&token(&"x".repeat(80)));
        text +=
            &saying.shown(&json!({ "type": "task.completed", "task_id": task, "at": 3_661_000 }));
        assert!(saying.0.is_empty());
        expect![[r#"
                     progress           89abcdef       Let me see.
                     progress           89abcdef       the parser the parser the parser the parser the parser the parser the
                     progress           00000000       step
                     progress           89abcdef       parser the parser
                     progress           89abcdef       read it
                     progress           89abcdef       xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                     progress           89abcdef       xxxxxxxx
            01:01:01 task.completed     89abcdef
        "#]].assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn events_are_lines() {
        let events = [
            json!({"seq": 1, "at": 3_661_000, "type": "task.ready", "task_id": "task-0123456789abcdef"}),
            json!({"seq": 2, "at": 3_662_000, "type": "task.working", "task_id": "task-0123456789abcdef",
                   "agent_id": "local-1", "generation": 1, "detail": {"a": 1}}),
            json!({"seq": 3, "at": 3_662_000, "type": "question.asked", "task_id": "task-0123456789abcdef",
                   "agent_id": "local-1", "detail": {"id": "question-0123456701234567", "text": "May it?\nYes?",
                   "default": "reject"}}),
            json!({"seq": 4, "at": 3_663_000, "type": "agent.added", "agent_id": "x"}),
            json!({"seq": 5, "at": 3_663_000, "type": "token.added", "operator": "ci", "detail": ["task:read"]}),
        ];
        let mut text: String = events
            .iter()
            .map(|event| line(event["type"].as_str().unwrap_or_default(), event))
            .collect();
        let news = json!({"task_id": "task-0123456789abcdef", "percent": 40, "event": {"text": "a\u{1b}[2Jb"}});
        text += &progress(&news);
        expect![[r#"
            01:01:01 task.ready         89abcdef
            01:01:02 task.working       89abcdef local-1      {"a":1}
            01:01:02 question.asked     89abcdef local-1      May it? Yes? (`agentcom answer 01234567 …`, else reject)
            01:01:03 agent.added                 x
            01:01:03 token.added                 ci           task:read
                     progress           89abcdef  40 % a [2Jb
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }
}
