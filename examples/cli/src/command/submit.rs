//! This file queues one task, from flags or from JSON.

use std::io::Read as _;
use std::time::Duration;

use agentcom_core::money::Micros;
use agentcom_core::route::AUTO;
use agentcom_core::sandbox::Level;
use agentcom_core::task::{AfterDependency, VerificationStep};
use agentcom_core::verify::Check;
use agentcom_exec::acp::Acp;
use agentcom_exec::claude_code::ClaudeCode;
use agentcom_exec::coding::{Chain, MessagesModels, OllamaModels};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::args::Context;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::name::{id_of, task_id};
use crate::print::STRONG;
use crate::{text, waiting};

/// What to queue, and whether to wait for its end.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Args {
    /// Read the whole task as JSON from standard input: `-`
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true, group = "what", conflicts_with = "description")]
    stdin: Option<String>,
    /// Run this command line with `sh -c`
    #[arg(long, value_name = "COMMAND", group = "what")]
    shell: Option<String>,
    /// Have a model change the repository of an agent as -d says, on a branch of its own
    #[arg(long, requires = "description", group = "what")]
    code: bool,
    /// Whose model: ollama, claude, or what the tier calls for; or a foreign agent: acp, claude-code;
    /// or auto: what the hub was told for its repository and tier
    #[arg(long, value_name = "KIND", requires = "code", value_parser = [Chain::KIND, AUTO, OllamaModels::KIND, MessagesModels::KIND, Acp::KIND, ClaudeCode::KIND], default_value = Chain::KIND)]
    with: String,
    /// The model, if it is not to be the agent's own
    #[arg(long, value_name = "MODEL", requires = "code")]
    model: Option<String>,
    /// How often the model is asked in each round, at most [default: by the tier, 5, 10 or 20]
    #[arg(long, value_name = "N", requires = "code", value_parser = clap::value_parser!(u32).range(1..=200))]
    turns: Option<u32>,
    /// How many tokens the model may read and write in all rounds together
    #[arg(long, value_name = "N", requires = "code")]
    tokens: Option<u64>,
    /// When the change is good, in words (repeatable)
    #[arg(long = "criterion", value_name = "TEXT")]
    criteria: Vec<String>,
    /// When it is good, as a check: TYPE, or TYPE and what it is about, such as `test_passes make
    /// test` or `diff_within 100 src/` (repeatable)
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    /// How often the model may correct what the checks found, at most 5
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=5))]
    corrections: Option<u32>,
    /// The branch to start from
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Say what it is for
    #[arg(long, short, value_name = "TEXT")]
    description: Option<String>,
    /// Only agents with this capability may run it (repeatable)
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    needs: Vec<String>,
    /// The least sandbox that an agent must have proved to be given it: l0 for none, l1 for one in which
    /// no commands are run, l2 or l3 [default: l2 with --code, l0 otherwise]
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<Level>)]
    sandbox: Option<Level>,
    /// Its lane: urgent, high, normal or low
    #[arg(long, short, value_name = "LANE")]
    priority: Option<String>,
    /// Start only after this task has ended (repeatable)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    after: Vec<String>,
    /// What becomes of it when a task of --after ends without being completed [default: fail]
    #[arg(long, value_name = "POLICY")]
    on_dependency_failure: Option<AfterFailure>,
    /// The repository that it concerns, by its address or the name that it is registered by
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<String>,
    /// How demanding it is: trivial, standard or complex; guessed from its words if it is not said
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// The one agent that may run it
    #[arg(long, value_name = "AGENT")]
    assign_to: Option<String>,
    /// How long one attempt may take, such as 90s or 5m
    #[arg(long, value_name = "SPAN", value_parser = span)]
    timeout: Option<Duration>,
    /// How often it is tried in total
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// How much it may cost, in dollars; a person is asked before it costs more
    #[arg(long, value_name = "DOLLARS")]
    budget: Option<Micros>,
    /// The goal that it serves
    #[arg(long, value_name = "NAME")]
    goal: Option<String>,
    /// Makes a repeated submission the same submission
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// A free label (repeatable)
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<String>,
    /// Wait for its end; the exit code is 3 if it is no success
    #[arg(long, short)]
    wait: bool,
    /// Wait at most this long; then the exit code is 75
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "wait")]
    timeout_wait: Option<Duration>,
}

/// What becomes of a task when one that it depends on ends without being completed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AfterFailure {
    /// It dies if one dies or is cancelled; one that is partial is enough
    Fail,
    /// It runs whatever becomes of them
    Continue,
    /// It dies unless all are completed; one that is partial is not enough
    Strict,
}

impl From<AfterFailure> for AfterDependency {
    fn from(said: AfterFailure) -> Self {
        match said {
            AfterFailure::Fail => Self::Fail,
            AfterFailure::Continue => Self::Continue,
            AfterFailure::Strict => Self::Strict,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  agentcom submit --shell 'make test' --priority high --wait
  agentcom submit --code -d 'Fix the parser' --check 'test_passes cargo test' --corrections 2
  agentcom submit --shell 'make deploy' --after 89abcdef --on-dependency-failure strict --needs deploy
  echo '{\"shell\": \"date\", \"priority\": \"low\"}' | agentcom submit -";

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let mut body = match args.stdin {
        Some(_) => read_stdin()?,
        None => json!({}),
    };
    let Some(fields) = body.as_object_mut() else {
        return Err(Failure::new(Exit::Usage, "standard input holds no JSON object"));
    };
    for check in &args.checks {
        let step: VerificationStep = serde_json::from_value(step(check)).map_err(wrong)?;
        Check::read(&step).map_err(wrong)?;
    }
    args.lay_over(fields);
    if !args.after.is_empty() {
        let mut after = Vec::new();
        for given in &args.after {
            after.push(task_id(&client, given).await?);
        }
        fields.insert("depends_on".into(), json!(after));
    }
    let answer = client.post(&["api", "tasks"], &body).await?;
    if args.wait {
        return args.wait_for(&client, id_of(&answer), ctx).await;
    }
    ctx.print.data(&answer, || {
        let id = id_of(&answer);
        format!("{STRONG}{id}{STRONG:#}\n")
    })?;
    ctx.print.note(&format!("queued; see `agentcom task {}`", text::short(id_of(&answer))));
    Ok(())
}

impl Args {
    /// Puts what the flags say into the body of the request.
    fn lay_over(&self, body: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.into(), value);
            }
        };
        let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
        let shell = self.shell.as_ref();
        set("shell", shell.map(|command| json!(command)));
        set("description", self.description.as_ref().or(shell).map(|text| json!(text)));
        set("op", self.code.then(|| json!({ "kind": self.with, "input": self.coding_input() })));
        set("success_criteria", list(&self.criteria));
        let checks: Vec<Value> = self.checks.iter().map(|check| step(check)).collect();
        set("verification_steps", (!checks.is_empty()).then(|| json!(checks)));
        set("max_verification_retries", self.corrections.map(|most| json!(most)));
        set("budget_micros", self.budget.map(|most| json!(most)));
        set("goal_id", self.goal.as_ref().map(|goal| json!(goal)));
        set("branch", self.branch.as_ref().map(|branch| json!(branch)));
        set("priority", self.priority.as_ref().map(|lane| json!(lane)));
        set("needs", list(&self.needs));
        set("sandbox", self.sandbox.map(|level| json!(level)));
        let after_failure = self.on_dependency_failure.map(AfterDependency::from);
        set("on_dependency_failure", after_failure.map(|then| json!(then)));
        set("repo", self.repo.as_ref().map(|repo| json!(repo)));
        set("complexity_tier", self.tier.as_ref().map(|tier| json!(tier)));
        set("assign_to", self.assign_to.as_ref().map(|agent| json!(agent)));
        set("timeout_ms", self.timeout.map(|timeout| json!(millis(timeout))));
        set("max_attempts", self.max_attempts.map(|max| json!(max)));
        set("idempotency_key", self.idempotency_key.as_ref().map(|key| json!(key)));
        set("tags", list(&self.tags));
    }

    /// What the coding operation says beside the task itself.
    fn coding_input(&self) -> Value {
        let mut input = Map::new();
        let fields = [
            ("model", self.model.as_ref().map(|model| json!(model))),
            ("turns_max", self.turns.map(|most| json!(most))),
            ("tokens_max", self.tokens.map(|most| json!(most))),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                input.insert(name.into(), value);
            }
        }
        Value::Object(input)
    }

    async fn wait_for(&self, client: &Client, id: &str, ctx: &Context) -> Outcome {
        ctx.print.note(&format!("waiting for {id}"));
        let deadline = self.timeout_wait.map(|span| Instant::now() + span);
        let task = waiting::ended(client, id, deadline, ctx.print).await?;
        ctx.print.data(&task, || super::task::output(&task))?;
        judge(&task)
    }
}

/// A check that is none.
fn wrong(bad: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, bad).hint("docs/models.md lists the checks and what they are about")
}

/// A check, from its type and what it is about; some need no more than their type.
fn step(check: &str) -> Value {
    let (kind, target) = check.split_once(char::is_whitespace).unwrap_or((check, "auto"));
    json!({ "type": kind, "target": target.trim() })
}

/// Success if the task in an answer completed.
fn judge(task: &Value) -> Outcome {
    let (id, state) = (text::short(id_of(task)), waiting::state_of(task));
    if state == "completed" {
        return Ok(());
    }
    let error = text::field(task, "last_error");
    let verdict = text::field(&task["verification_report"], "status");
    let why = match (error.is_empty(), verdict.is_empty()) {
        (false, _) => format!(": {error}"),
        (true, false) => format!("; its checks say {verdict}"),
        (true, true) => String::new(),
    };
    let message = format!("task {id} ended as {state}{why}");
    Err(Failure::new(Exit::Unsuccessful, message).hint(format_args!("see `agentcom task {id}`")))
}

/// A JSON document from standard input.
pub(crate) fn read_stdin() -> Result<Value, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(BODY_BYTES_MAX).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(Exit::Usage, format_args!("standard input is not JSON: {error}"))
    })
}

const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A span as people write it: `90s`, `5m`, `1h 30m`, or a number of seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let rule = || "write a span like 90s, 5m or 1h 30m".to_owned();
    if let Ok(secs) = text.parse::<u64>() {
        return Ok(Duration::from_secs(secs));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| rule())?;
    Duration::try_from(span).map_err(|_| rule())
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use expect_test::expect;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn body(line: &[&str]) -> Value {
        let words = std::iter::once("submit").chain(line.iter().copied());
        let mut body = Map::new();
        Line::try_parse_from(words).unwrap().args.lay_over(&mut body);
        Value::Object(body)
    }

    #[test]
    fn flags_become_the_body_of_the_request() {
        expect![[r#"{"description":"make","shell":"make"}"#]]
            .assert_eq(&body(&["--shell", "make"]).to_string());
        let all = [
            "--shell",
            "make",
            "-d",
            "build it",
            "--needs",
            "a,b",
            "-p",
            "high",
            "--tier",
            "complex",
            "--timeout",
            "2m",
            "--max-attempts",
            "1",
            "--tag",
            "t",
            "--budget",
            "0.50",
            "--goal",
            "g",
            "--sandbox",
            "l1",
            "--on-dependency-failure",
            "strict",
        ];
        expect![[r#"{"budget_micros":500000,"complexity_tier":"complex","description":"build it","goal_id":"g","max_attempts":1,"needs":["a","b"],"on_dependency_failure":"strict","priority":"high","sandbox":"L1","shell":"make","tags":["t"],"timeout_ms":120000}"#]].assert_eq(&body(&all).to_string());
    }

    #[test]
    fn a_coding_task_says_what_its_model_may_and_what_is_checked() {
        let line = [
            "--code",
            "-d",
            "mend it",
            "--with",
            "claude",
            "--model",
            "m",
            "--turns",
            "7",
            "--tokens",
            "1000",
            "--check",
            "test_passes make test",
            "--check",
            "git_clean",
            "--corrections",
            "2",
        ];
        expect![[r#"{"description":"mend it","max_verification_retries":2,"op":{"input":{"model":"m","tokens_max":1000,"turns_max":7},"kind":"claude"},"verification_steps":[{"target":"make test","type":"test_passes"},{"target":"auto","type":"git_clean"}]}"#]].assert_eq(&body(&line).to_string());
        assert!(Line::try_parse_from(["submit", "--code"]).is_err());
        assert!(Line::try_parse_from(["submit", "--shell", "x", "--sandbox", "l4"]).is_err());
        assert!(Line::try_parse_from(["submit", "--shell", "x", "--turns", "7"]).is_err());
    }

    #[test]
    fn a_task_has_something_to_run() {
        assert!(Line::try_parse_from(["submit"]).is_err());
        assert!(Line::try_parse_from(["submit", "-"]).is_ok());
        assert!(Line::try_parse_from(["submit", "-", "--shell", "x"]).is_err());
    }

    #[test]
    fn spans_are_written_as_people_do() {
        let read = ["90", "90s", "1h 30m", "5m", "-5s", "soon"]
            .map(|text| span(text).map(|span| span.as_secs()).ok());
        assert_eq!(read, [Some(90), Some(90), Some(5400), Some(300), None, None]);
    }

    #[test]
    fn only_a_completed_task_is_a_success() {
        assert!(judge(&json!({"id": "task-1", "state": "completed"})).is_ok());
        let dead = json!({"id": "task-0000000000001234", "state": "dead_letter", "last_error": "exit code 1"});
        let failure = judge(&dead).unwrap_err();
        assert_eq!(failure.exit, Exit::Unsuccessful);
        expect!["task 00001234 ended as dead_letter: exit code 1"].assert_eq(&failure.message);
    }
}
