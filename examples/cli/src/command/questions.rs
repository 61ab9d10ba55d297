//! This file lists what agents ask people, and answers it.

use agentcom_core::id::QuestionId;
use agentcom_core::time::Wall;
use serde_json::{Value, json};

use crate::args::Context;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::print::{CAUTION, table};
use crate::table::{Column, Table};
use crate::text::{self, field, plain, short};

/// What is answered, and how.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The question: its id, or the end of it
    #[arg(value_name = "QUESTION")]
    question: String,
    /// The answer: JSON, or else text. To whether something may be done it is yes or no (also y, ok,
    /// allow, true; n, reject, deny, false), or the name of an option where the question lists them; to a
    /// cap also an amount of dollars. Anything else is refused there, and the question stays open
    #[arg(value_name = "ANSWER", allow_hyphen_values = true)]
    answer: String,
}

const EXAMPLES: &str = "\
Examples:
  agentcom questions                 what agents ask, and until when
  agentcom answer 89abcdef yes       let it be done; `no` does not, and `maybe` is refused
  agentcom answer 89abcdef 2.50      raise a cap by so many dollars";

const COLUMNS: [Column; 6] = [
    Column::fixed("ID", 0),
    Column::fixed("TASK", 2),
    Column::text("AGENT", 8, 4),
    Column::prose("QUESTION", 20, 1),
    Column::fixed("LEFT", 3).right(),
    Column::prose("DEFAULT", 7, 5),
];

pub(crate) async fn list(ctx: &Context) -> Outcome {
    let answer = asked(&ctx.client()?).await?;
    Ok(ctx.print.data(&answer, || render(&answer, text::now()))?)
}

pub(crate) async fn answer(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let id = args.id(&client).await?;
    let said = value(&args.answer);
    let answer =
        client.post(&["api", "questions", &id, "answer"], &json!({ "answer": said })).await?;
    Ok(ctx.print.data(&answer, || format!("question {} is answered\n", short(&id)))?)
}

/// All questions that are open.
async fn asked(client: &Client) -> Result<Value, Failure> {
    client.get(&["api", "questions"], &[]).await
}

impl Args {
    /// The id that is meant.
    async fn id(&self, client: &Client) -> Result<String, Failure> {
        if self.question.parse::<QuestionId>().is_ok() {
            return Ok(self.question.clone());
        }
        let all = asked(client).await?;
        chosen(&self.question, all["questions"].as_array().map(Vec::as_slice).unwrap_or_default())
    }
}

/// The one question whose id ends so.
fn chosen(end: &str, all: &[Value]) -> Result<String, Failure> {
    /// The fewest characters that name a question.
    const SUFFIX_CHARS_MIN: usize = 4;
    if end.len() < SUFFIX_CHARS_MIN {
        let short = format_args!("`{end}` is too short to name a question");
        return Err(Failure::new(Exit::Usage, short).hint("give at least the last 4 of its digits"));
    }
    let ids = all.iter().map(|question| field(question, "question_id"));
    let found: Vec<String> = ids.filter(|id| id.ends_with(&end.to_ascii_lowercase())).collect();
    match &*found {
        [] => Err(Failure::new(Exit::NotFound, format_args!("there is no open question {end}"))
            .hint("`agentcom questions` lists them; it may be over by now")),
        [id] => Ok(id.clone()),
        several => {
            let mut failure = Failure::new(
                Exit::Usage,
                format_args!("{} questions end with {end}", several.len()),
            );
            failure.details = several.to_vec();
            Err(failure.hint("give more of the id"))
        }
    }
}

/// An answer as JSON, where it is JSON.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn render(answer: &Value, now: Wall) -> String {
    let questions = answer["questions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if questions.is_empty() {
        return "nobody asks anything\n".into();
    }
    let mut rows = Table::new(&COLUMNS);
    for question in questions {
        rows.row(CAUTION, cells(question, now));
    }
    table(&rows)
}

fn cells(question: &Value, now: Wall) -> Vec<String> {
    vec![
        short(&field(question, "question_id")).into(),
        short(&field(question, "task_id")).into(),
        field(question, "agent_id"),
        field(question, "question"),
        left(question, now),
        plain(&question["default"]),
    ]
}

/// How long it is until the default counts.
fn left(question: &Value, now: Wall) -> String {
    text::date(&question["deadline"]).map_or_else(String::new, |at| text::age(Some(now), at))
}

/// The open questions about a task, each in a line.
pub(crate) async fn about(client: &Client, task: &str) -> Result<Vec<String>, Failure> {
    let all = match asked(client).await {
        Ok(all) => all,
        // Whoever may read tasks may not read all questions.
        Err(failure) if failure.exit == Exit::NotAllowed => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let all = all["questions"].as_array().into_iter().flatten();
    let of_task = all.filter(|question| question["task_id"].as_str() == Some(task));
    Ok(of_task.map(|question| line(question, text::now())).collect())
}

fn line(question: &Value, now: Wall) -> String {
    let id = field(question, "question_id");
    format!(
        "{}: {} (`agentcom answer {0} …`, else {} in {})",
        short(&id),
        field(question, "question"),
        plain(&question["default"]),
        left(question, now),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn open() -> Value {
        json!({"count": 1, "questions": [{
            "question_id": "question-0123456789abcdef", "task_id": "task-00000000deadbeef",
            "generation": 3, "agent_id": "local-1", "question": "May it fetch: x?\nAnswer allow",
            "asked_at": 1_000, "deadline": 121_000, "default": "reject",
        }]})
    }

    #[test]
    fn questions_are_listed_with_what_happens_if_nobody_answers() {
        expect![[r#"
            ID        TASK      AGENT    QUESTION                        LEFT  DEFAULT
            89abcdef  deadbeef  local-1  May it fetch: x? Answer allow  2 min  reject
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&render(&open(), Wall(1_000))).to_string());
        assert_eq!(render(&json!({"questions": []}), Wall(0)), "nobody asks anything\n");
        expect![[r#"
            89abcdef: May it fetch: x?
            Answer allow (`agentcom answer 89abcdef …`, else reject in 20 s)"#]]
        .assert_eq(&line(&open()["questions"][0], Wall(101_000)));
    }

    #[test]
    fn a_question_is_named_by_the_end_of_its_id() {
        let all = open()["questions"].as_array().unwrap().clone();
        assert_eq!(chosen("CDEF", &all), Ok("question-0123456789abcdef".into()));
        let exit = |end: &str, all: &[Value]| chosen(end, all).unwrap_err().exit;
        assert_eq!(exit("ef", &all), Exit::Usage);
        assert_eq!(exit("0000", &all), Exit::NotFound);
        assert_eq!(exit("cdef", &[all[0].clone(), all[0].clone()]), Exit::Usage);
    }

    #[test]
    fn an_answer_is_json_or_text() {
        assert_eq!(value("allow"), json!("allow"));
        assert_eq!(value("\"allow\""), json!("allow"));
        assert_eq!(value("{\"a\":1}"), json!({"a": 1}));
        assert_eq!(value("true"), json!(true));
    }
}
