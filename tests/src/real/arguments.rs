//! This file reads the arguments of a proof, runs it, and writes its figures down.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use serde_json::{Map, Value};

/// The figures of a proof, by name.
pub type Figures = Map<String, Value>;

/// The arguments of a proof: words, and numbers by name.
#[derive(Debug)]
pub struct Arguments {
    words: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Arguments {
    /// The number with a name.
    ///
    /// # Panics
    ///
    /// If it was not declared.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.named[name].parse().expect("numbers were read as such")
    }

    /// Whether a part is asked for; all are if none is.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word == part)
    }
}

/// Runs a proof with the arguments of this process: `parts` are the words that it takes, `numbers`
/// its options with their defaults. The exit code is 0 if all that it judges holds, 1 if something
/// does not, and 64 if it was called wrongly.
pub fn prove(
    help: &str,
    parts: &[&str],
    numbers: &[(&str, u64)],
    proof: impl FnOnce(&Arguments) -> Figures,
) -> ExitCode {
    let line: Vec<String> = std::env::args().skip(1).collect();
    if line.iter().any(|word| word == "--help" || word == "-h") {
        say(help);
        return ExitCode::SUCCESS;
    }
    let arguments = match read(line, parts, numbers) {
        Ok(arguments) => arguments,
        Err(why) => {
            say(&format!("{why}\n\n{help}"));
            return ExitCode::from(64);
        }
    };
    // What a judgement has to say was said by its panic.
    let Ok(figures) = catch_unwind(AssertUnwindSafe(|| proof(&arguments))) else {
        say("FAILED: something that has to hold does not");
        return ExitCode::from(1);
    };
    say("\neverything that was judged holds:");
    for (name, figure) in &figures {
        say(&format!("  {name:<44} {figure}"));
    }
    let Some(file) = arguments.named.get("figures") else { return ExitCode::SUCCESS };
    match std::fs::write(file, format!("{:#}\n", Value::Object(figures))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("cannot write {file}: {error}"));
            ExitCode::from(1)
        }
    }
}

fn read(line: Vec<String>, parts: &[&str], numbers: &[(&str, u64)]) -> Result<Arguments, String> {
    let named = numbers.iter().map(|(name, usual)| ((*name).to_owned(), usual.to_string()));
    let mut arguments = Arguments { words: Vec::new(), named: named.collect() };
    let mut rest = line.into_iter();
    while let Some(word) = rest.next() {
        let Some(name) = word.strip_prefix("--") else {
            if !parts.contains(&word.as_str()) {
                return Err(format!("there is no part `{word}`"));
            }
            arguments.words.push(word);
            continue;
        };
        let value = rest.next().ok_or_else(|| format!("--{name} needs a value"))?;
        let number = numbers.iter().any(|(known, _)| *known == name);
        if number && value.parse::<u64>().is_err() {
            return Err(format!("--{name} needs a number, not `{value}`"));
        }
        if !number && name != "figures" {
            return Err(format!("there is no option --{name}"));
        }
        arguments.named.insert(name.to_owned(), value);
    }
    Ok(arguments)
}

/// Prints a line.
pub fn say(line: &str) {
    // A reader that has gone wants no more lines.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
