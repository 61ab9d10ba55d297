//! This file shows what is spent, says how much may be, and stops all spending at once.

use agentcom_core::money::Micros;
use serde_json::{Value, json};

use crate::args::Context;
use crate::client::Client;
use crate::exit::Outcome;
use crate::print::{self, BAD, CAUTION, FAINT, PLAIN};
use crate::table::{Column, Table};
use crate::text;

const CAPS: [&str; 3] = ["api", "admin", "caps"];
const PRICES: [&str; 3] = ["api", "admin", "prices"];
const ESTOP: [&str; 3] = ["api", "admin", "estop"];

/// How much may be spent.
#[derive(Debug, clap::Args)]
#[command(after_help = CAP_NAMES)]
pub(crate) struct BudgetArgs {
    #[command(subcommand)]
    command: Option<BudgetCommand>,
}

const CAP_NAMES: &str = "\
Caps, in UTC:
  day, month                        all that is spent
  task                              each task that has no budget of its own (`submit --budget`)
  goal:NAME                         a goal, for ever
  agent:NAME/day, agent:NAME/month  an agent; likewise model: and repo:
The name * stands for each. Without a command all caps are shown, with what is left of them.";

#[derive(Debug, clap::Subcommand)]
enum BudgetCommand {
    /// Set a cap, in dollars
    Set {
        /// The cap
        cap: String,
        /// How much
        dollars: Micros,
    },
    /// Remove a cap
    Remove {
        /// The cap
        cap: String,
    },
}

/// What models cost.
#[derive(Debug, clap::Args)]
pub(crate) struct PriceArgs {
    #[command(subcommand)]
    command: Option<PriceCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum PriceCommand {
    /// Set what a million tokens of a model cost, in dollars
    Set {
        /// The model, with or without the date of its release
        model: String,
        /// Tokens that it reads
        #[arg(long, value_name = "DOLLARS")]
        input: Micros,
        /// Tokens that it writes
        #[arg(long, value_name = "DOLLARS")]
        output: Micros,
        /// Tokens that it reads from a cache; as much as input if it is not said
        #[arg(long, value_name = "DOLLARS")]
        cache_read: Option<Micros>,
        /// Tokens that it reads and writes to a cache; as much as input if it is not said
        #[arg(long, value_name = "DOLLARS")]
        cache_write: Option<Micros>,
    },
    /// Go back to the price that is listed
    Remove {
        /// The model
        model: String,
    },
}

/// What was spent, and by whom.
#[derive(Debug, clap::Args)]
pub(crate) struct LedgerArgs {
    /// Only accounts that begin like this: day:, month:, agent:, model:, repo: or goal:
    account: Option<String>,
}

/// Stop all spending.
#[derive(Debug, clap::Args)]
pub(crate) struct EstopArgs {
    /// Let work go on again
    #[arg(long)]
    off: bool,
}

pub(crate) async fn budget(args: &BudgetArgs, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let (answer, said) = match &args.command {
        None => return caps(&client, ctx).await,
        Some(BudgetCommand::Set { cap, dollars }) => {
            let body = json!({ "cap": cap, "limit_micros": dollars });
            (client.put(&CAPS, &body).await?, format!("`{cap}` is {dollars}\n"))
        }
        Some(BudgetCommand::Remove { cap }) => {
            let body = json!({ "cap": cap });
            (client.delete(&CAPS, Some(&body)).await?, format!("`{cap}` is not bounded\n"))
        }
    };
    Ok(ctx.print.data(&answer, || said)?)
}

async fn caps(client: &Client, ctx: &Context) -> Outcome {
    let mut answer = client.get(&CAPS, &[]).await?;
    let ledger = client.get(&["api", "ledger"], &[]).await?;
    for cap in answer["caps"].as_array_mut().into_iter().flatten() {
        cap["taken_micros"] = taken(cap["cap"].as_str().unwrap_or_default(), &ledger);
    }
    Ok(ctx.print.data(&answer, || caps_table(&answer))?)
}

/// What of a cap is spent or reserved; nothing where each has its own.
fn taken(cap: &str, ledger: &Value) -> Value {
    let (account, period) = match cap {
        "day" | "month" => ("all", cap),
        _ => match cap.rsplit_once('/') {
            Some((account, period)) => (account, period),
            None => (cap, "ever"),
        },
    };
    if account == "task" || account.ends_with(":*") {
        return Value::Null;
    }
    let accounts = ledger["accounts"].as_array();
    let found = accounts.into_iter().flatten().find(|found| found["account"] == account);
    found.map_or(json!(0), |found| {
        let spent = found[period]["micros"].as_u64().unwrap_or(0);
        json!(spent.saturating_add(found["reserved"].as_u64().unwrap_or(0)))
    })
}

fn caps_table(answer: &Value) -> String {
    let columns = [
        Column::text("CAP", 12, 0),
        Column::fixed("LIMIT", 0).right(),
        Column::fixed("TAKEN", 1).right(),
        Column::fixed("LEFT", 1).right(),
    ];
    let mut table = Table::new(&columns);
    let caps: Vec<&Value> = answer["caps"].as_array().into_iter().flatten().collect();
    for cap in &caps {
        let limit = micros(&cap["limit_micros"]).unwrap_or_default();
        let taken = micros(&cap["taken_micros"]);
        let left = taken.map(|taken| limit.less(taken));
        let style = match left {
            Some(Micros(0)) => BAD,
            Some(left) if left.0 < limit.0 / 5 => CAUTION,
            Some(_) | None => PLAIN,
        };
        let shown = |amount: Option<Micros>| amount.map_or("each".into(), |some| some.to_string());
        let name = text::field(cap, "cap");
        table.row(style, vec![name, limit.to_string(), shown(taken), shown(left)]);
    }
    let mut out = stopped(answer);
    if caps.is_empty() {
        out.push_str(
            "nothing is capped; `agentcom budget set day 5` would cap each day at $5.00\n",
        );
    } else {
        out.push_str(&print::table(&table));
    }
    out
}

pub(crate) async fn price(args: &PriceArgs, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let (answer, said) = match &args.command {
        None => {
            let answer = client.get(&PRICES, &[]).await?;
            return Ok(ctx.print.data(&answer, || prices_table(&answer))?);
        }
        Some(PriceCommand::Set { model, input, output, cache_read, cache_write }) => {
            let body = json!({
                "model": model, "input_micros": input, "output_micros": output,
                "cache_read_micros": cache_read, "cache_write_micros": cache_write,
            });
            let said =
                format!("a million tokens of {model} cost {input} read and {output} written\n");
            (client.put(&PRICES, &body).await?, said)
        }
        Some(PriceCommand::Remove { model }) => {
            let body = json!({ "model": model });
            let said = format!("{model} costs what is listed, if it is\n");
            (client.delete(&PRICES, Some(&body)).await?, said)
        }
    };
    Ok(ctx.print.data(&answer, || said)?)
}

fn prices_table(answer: &Value) -> String {
    let columns = [
        Column::text("MODEL", 16, 0),
        Column::fixed("READ", 0).right(),
        Column::fixed("WRITTEN", 0).right(),
        Column::fixed("CACHED", 2).right(),
        Column::fixed("TO CACHE", 2).right(),
        Column::fixed("AS OF", 3),
        Column::text("SOURCE", 8, 4),
    ];
    let mut table = Table::new(&columns);
    for price in answer["prices"].as_array().into_iter().flatten() {
        let cost = |field: &str| {
            micros(&price["price"][field]).map_or(String::new(), |cost| cost.to_string())
        };
        table.row(
            PLAIN,
            vec![
                text::field(price, "model"),
                cost("input_micros"),
                cost("output_micros"),
                cost("cache_read_micros"),
                cost("cache_write_micros"),
                text::field(price, "as_of"),
                text::field(price, "source"),
            ],
        );
    }
    print::table(&table)
}

pub(crate) async fn ledger(args: &LedgerArgs, ctx: &Context) -> Outcome {
    let query: Vec<(&str, String)> =
        args.account.iter().map(|account| ("account", account.clone())).collect();
    let answer = ctx.client()?.get(&["api", "ledger"], &query).await?;
    Ok(ctx.print.data(&answer, || ledger_table(&answer))?)
}

fn ledger_table(answer: &Value) -> String {
    let columns = [
        Column::text("ACCOUNT", 14, 0),
        Column::fixed("TODAY", 1).right(),
        Column::fixed("MONTH", 1).right(),
        Column::fixed("EVER", 0).right(),
        Column::fixed("CALLS", 2).right(),
        Column::fixed("READ", 3).right(),
        Column::fixed("WRITTEN", 3).right(),
        Column::fixed("RESERVED", 4).right(),
    ];
    let mut table = Table::new(&columns);
    let accounts: Vec<&Value> = answer["accounts"].as_array().into_iter().flatten().collect();
    for account in &accounts {
        let spent = |period: &str| {
            micros(&account[period]["micros"]).map_or(String::new(), |spent| spent.to_string())
        };
        let ever = &account["ever"];
        let count = |field: &str| ever[field].as_u64().unwrap_or(0);
        let read = count("input_tokens") + count("cache_read_tokens") + count("cache_write_tokens");
        table.row(
            PLAIN,
            vec![
                text::field(account, "account"),
                spent("day"),
                spent("month"),
                spent("ever"),
                count("calls").to_string(),
                read.to_string(),
                count("output_tokens").to_string(),
                micros(&account["reserved"]).unwrap_or_default().to_string(),
            ],
        );
    }
    let mut out = stopped(answer);
    if accounts.is_empty() {
        out.push_str("nothing was booked\n");
    } else {
        out.push_str(&print::table(&table));
    }
    if answer["more"] == true {
        out.push_str(&format!("{FAINT}there are more; name what they begin with{FAINT:#}\n"));
    }
    out
}

pub(crate) async fn estop(args: &EstopArgs, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let (answer, said) = if args.off {
        (client.delete(&ESTOP, None).await?, "work goes on\n")
    } else {
        let said = "all spending has stopped, and nothing starts; `agentcom estop --off` lets work go on\n";
        (client.put(&ESTOP, &Value::Null).await?, said)
    };
    Ok(ctx.print.data(&answer, || said.to_owned())?)
}

fn stopped(answer: &Value) -> String {
    if answer["stopped"] == true {
        return format!(
            "{BAD}all spending is stopped{BAD:#}; `agentcom estop --off` lets work go on\n"
        );
    }
    String::new()
}

fn micros(value: &Value) -> Option<Micros> {
    value.as_u64().map(Micros)
}

/// What a task has cost, if a model had a part in it.
pub(crate) fn spent_line(spent: &Value) -> String {
    let Some(cost) = micros(&spent["micros"]) else { return String::new() };
    let count = |field: &str| spent[field].as_u64().unwrap_or(0);
    let read = count("input_tokens") + count("cache_read_tokens") + count("cache_write_tokens");
    let (calls, written) = (count("calls"), count("output_tokens"));
    let calls = text::counted(calls, "call");
    format!("{cost} for {calls}: {read} tokens read, {written} written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_knows_its_account_and_its_period() {
        let ledger = json!({"accounts": [
            {"account": "all", "day": {"micros": 1}, "month": {"micros": 20}, "reserved": 300},
            {"account": "repo:https://h/r", "month": {"micros": 4}, "reserved": 0},
            {"account": "goal:g", "ever": {"micros": 5}, "reserved": 0},
        ]});
        let taken = |cap: &str| taken(cap, &ledger);
        assert_eq!([taken("day"), taken("month")], [json!(301), json!(320)]);
        assert_eq!([taken("repo:https://h/r/month"), taken("goal:g")], [json!(4), json!(5)]);
        assert_eq!(taken("agent:a/day"), json!(0));
        assert_eq!([taken("task"), taken("agent:*/day")], [Value::Null, Value::Null]);
    }

    #[test]
    fn a_task_says_what_it_cost() {
        let spent = json!({
            "micros": 1_500_000, "calls": 3, "input_tokens": 10, "cache_read_tokens": 5,
            "output_tokens": 7,
        });
        assert_eq!(spent_line(&spent), "$1.50 for 3 calls: 15 tokens read, 7 written");
        assert_eq!(spent_line(&Value::Null), "");
    }
}
