//! This file lists tasks.

use agentcom_core::time::Wall;
use anstyle::Style;
use serde_json::Value;

use crate::args::Context;
use crate::exit::Outcome;
use crate::name::id_of;
use crate::print::{BAD, BUSY, CAUTION, FAINT, PLAIN, table};
use crate::table::{Column, Table};
use crate::text;
use crate::waiting::state_of;

/// Which tasks to list.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only tasks in this state: blocked, delayed, ready, assigned, working, waiting, completed,
    /// partial, dead_letter or cancelled (repeatable)
    #[arg(long, short, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only dead tasks
    #[arg(long, conflicts_with = "state")]
    dead: bool,
    /// Only tasks in this lane
    #[arg(long, short, value_name = "LANE")]
    priority: Option<String>,
    /// Only tasks that this agent holds or ended
    #[arg(long, short, value_name = "AGENT")]
    agent: Option<String>,
    /// Only tasks for this goal
    #[arg(long, value_name = "GOAL")]
    goal: Option<String>,
    /// Only tasks that this principal asked for, such as `admin` or `agent:NAME`
    #[arg(long, value_name = "WHO")]
    submitted_by: Option<String>,
    /// At most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Start behind this point, from `next_cursor` of the page before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  agentcom tasks --state ready,working
  agentcom tasks --dead --json | jq -r '.tasks[].id'";

const COLUMNS: [Column; 7] = [
    Column::fixed("ID", 0),
    Column::fixed("STATE", 1),
    Column::fixed("LANE", 4),
    Column::prose("DESCRIPTION", 16, 2),
    Column::text("AGENT", 8, 3),
    Column::fixed("TRIES", 6).right(),
    Column::fixed("AGE", 5).right(),
];

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let page = ctx.client()?.get(&["api", "tasks"], &args.query()).await?;
    ctx.print.data(&page, || render(&page, text::now()))?;
    if let (Some(next), false) = (page["next_cursor"].as_str(), ctx.print.json) {
        ctx.print.note(&format!("there is more: agentcom tasks --cursor {next}"));
    }
    Ok(())
}

impl Args {
    fn query(&self) -> Vec<(&'static str, String)> {
        let states = if self.dead { "dead_letter".into() } else { self.state.join(",") };
        let state = (!states.is_empty()).then_some(states);
        let fields = [
            ("state", state),
            ("priority", self.priority.clone()),
            ("assigned_to", self.agent.clone()),
            ("goal_id", self.goal.clone()),
            ("submitted_by", self.submitted_by.clone()),
            ("cursor", self.cursor.clone()),
            ("limit", Some(self.limit.to_string())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn render(page: &Value, now: Wall) -> String {
    let tasks = page["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    if tasks.is_empty() {
        return "no tasks\n".into();
    }
    let mut rows = Table::new(&COLUMNS);
    for task in tasks {
        rows.row(style_of(state_of(task)), cells(task, now));
    }
    table(&rows)
}

fn cells(task: &Value, now: Wall) -> Vec<String> {
    let attempts = task["attempts"].as_array().map_or(0, Vec::len);
    let created = text::date(&task["created_at"]);
    vec![
        text::short(id_of(task)).into(),
        state_of(task).into(),
        lane(task),
        text::field(task, "description"),
        text::field(task, "assigned_to"),
        attempts.to_string(),
        text::age(created, now),
    ]
}

/// The lane of a task in an answer, by its word.
pub(crate) fn lane(task: &Value) -> String {
    let priority = &task["priority"];
    let lane = priority.as_u64().and_then(|lane| {
        let lane = usize::try_from(lane).ok()?;
        agentcom_core::task::Priority::ALL.get(lane)
    });
    lane.map_or_else(|| text::plain(priority), ToString::to_string)
}

/// How a task in a state looks.
pub(crate) fn style_of(state: &str) -> Style {
    match state {
        "working" | "assigned" => BUSY,
        "waiting" | "delayed" | "blocked" => CAUTION,
        "dead_letter" => BAD,
        "completed" | "partial" | "cancelled" => FAINT,
        _ => PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn tasks_are_listed_with_what_matters() {
        let page = json!({"tasks": [
            {"id": "task-0123456789abcdef", "state": "working", "priority": 1, "description": "cargo test",
             "assigned_to": "local-1", "attempts": [{}], "created_at": 1000},
            {"id": "task-00000000deadbeef", "state": "dead_letter", "priority": "low", "description": "false",
             "assigned_to": null, "attempts": [{}, {}, {}], "created_at": "1970-01-01T00:00:00Z"},
        ]});
        let text = render(&page, Wall(61_000));
        expect![[r#"
            ID        STATE        LANE  DESCRIPTION  AGENT    TRIES    AGE
            89abcdef  working      high  cargo test   local-1      1  1 min
            deadbeef  dead_letter  low   false                     3  1 min
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&text).to_string());
        assert_eq!(render(&json!({"tasks": []}), Wall(0)), "no tasks\n");
    }
}
