//! This file reads the arguments of a proof, runs it, and writes down what it did and found.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use serde_json::{Map, Value};

/// The figures of a proof, by name.
pub type Figures = Map<String, Value>;

/// What a proof did, and what it found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What it did.
    pub figures: Figures,
    /// What has to hold and does not, in words.
    pub found: Vec<String>,
}

impl Outcome {
    /// What was done, as a JSON object, and what was found.
    ///
    /// # Panics
    ///
    /// If it is no object.
    #[must_use]
    pub fn new(figures: Value, found: Vec<String>) -> Self {
        let Value::Object(figures) = figures else { panic!("{figures} has no names") };
        Self { figures, found }
    }

    /// Adds what another part did and found.
    pub fn add(&mut self, more: Self) {
        self.figures.extend(more.figures);
        self.found.extend(more.found);
    }

    /// The figures, for a test.
    ///
    /// # Panics
    ///
    /// If something was found.
    #[must_use]
    #[track_caller]
    pub fn sound(self) -> Figures {
        assert!(self.found.is_empty(), "{:#?} with {:#?}", self.found, self.figures);
        self.figures
    }
}

/// What there is to say on the command line of a proof, beside `--help` and `--figures FILE`.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a> {
    /// What is said when somebody asks, or errs.
    pub help: &'a str,
    /// Words: the parts of the proof.
    pub parts: &'a [&'a str],
    /// Options with a number, and what it is if nobody says.
    pub numbers: &'a [(&'a str, u64)],
    /// Options with a text, which may be left out.
    pub texts: &'a [&'a str],
    /// Options without a value.
    pub flags: &'a [&'a str],
}

impl<'a> Usage<'a> {
    /// A proof that takes numbers alone.
    #[must_use]
    pub const fn new(help: &'a str, numbers: &'a [(&'a str, u64)]) -> Self {
        Self { help, parts: &[], numbers, texts: &[], flags: &[] }
    }

    fn read(&self, line: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
        let usual = self.numbers.iter().map(|(name, usual)| ((*name).into(), usual.to_string()));
        let mut read = Arguments { words: Vec::new(), named: usual.collect() };
        let mut rest = line.into_iter();
        while let Some(word) = rest.next() {
            let Some(name) = word.strip_prefix("--") else {
                if !self.parts.contains(&word.as_str()) {
                    return Err(format!("there is no part `{word}`"));
                }
                read.words.push(word);
                continue;
            };
            if self.flags.contains(&name) {
                read.words.push(word);
                continue;
            }
            let number = self.numbers.iter().any(|(known, _)| *known == name);
            if !number && !self.texts.contains(&name) && name != FIGURES {
                return Err(format!("there is no option --{name}"));
            }
            let value = rest.next().ok_or_else(|| format!("--{name} needs a value"))?;
            if number && value.parse::<u64>().is_err() {
                return Err(format!("--{name} needs a number, not `{value}`"));
            }
            read.named.insert(name.to_owned(), value);
        }
        Ok(read)
    }
}

/// So much of what was found is printed.
const SHOWN_MAX: usize = 20;
/// The option that every proof has.
const FIGURES: &str = "figures";

/// The arguments of a proof.
#[derive(Debug)]
pub struct Arguments {
    /// Parts and flags.
    words: Vec<String>,
    named: BTreeMap<String, String>,
}

impl Arguments {
    /// The number with a name.
    ///
    /// # Panics
    ///
    /// If the usage does not name it.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        self.named[name].parse().expect("numbers were read as such")
    }

    /// What was said to an option that may be left out.
    ///
    /// # Errors
    ///
    /// If that is not what it is to be.
    pub fn text<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.named.get(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("--{name} cannot be `{value}`"))
    }

    /// Whether a flag was said.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.words.iter().any(|word| word.strip_prefix("--") == Some(name))
    }

    /// Whether a part is asked for; all are if none is.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        let mut parts = self.words.iter().filter(|word| !word.starts_with("--")).peekable();
        parts.peek().is_none() || parts.any(|word| word == part)
    }
}

/// Runs a proof with the arguments of this process, tells what came of it, and writes its figures
/// down whatever that was. The exit code is 0 if nothing was found, 1 if something was or the proof
/// panicked, and 64 if it was called wrongly, which the proof itself may say as well.
pub fn prove(
    usage: &Usage<'_>,
    proof: impl FnOnce(&Arguments) -> Result<Outcome, String>,
) -> ExitCode {
    let line: Vec<String> = std::env::args().skip(1).collect();
    if line.iter().any(|word| word == "--help" || word == "-h") {
        say(usage.help);
        return ExitCode::SUCCESS;
    }
    let began = Instant::now();
    let ended = usage.read(line).and_then(|arguments| {
        // Whatever was half done is not looked at again.
        let ended = catch_unwind(AssertUnwindSafe(|| proof(&arguments)));
        let outcome = ended.unwrap_or_else(|panic| Ok(panicked(&*panic)))?;
        Ok((arguments, outcome))
    });
    match ended {
        Ok((arguments, mut outcome)) => {
            let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
            outcome.figures.insert("seconds".into(), seconds.into());
            outcome.figures.insert("failures".into(), outcome.found.len().into());
            tell(outcome, arguments.named.get(FIGURES))
        }
        Err(why) => {
            say(&format!("{why}\n\n{}", usage.help));
            ExitCode::from(64)
        }
    }
}

/// A panic as something that was found.
#[must_use]
pub fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    Outcome {
        found: vec![said.unwrap_or("a panic that says nothing").to_owned()],
        ..Outcome::default()
    }
}

fn tell(outcome: Outcome, file: Option<&String>) -> ExitCode {
    let Outcome { figures, mut found } = outcome;
    say("");
    for (name, figure) in &figures {
        say(&format!("  {name:<44} {figure}"));
    }
    if let Some(file) = file
        && let Err(error) = std::fs::write(file, format!("{:#}\n", Value::Object(figures)))
    {
        found.push(format!("the figures cannot be written to {file}: {error}"));
    }
    if found.is_empty() {
        say("everything that was judged holds");
        return ExitCode::SUCCESS;
    }
    found.iter().take(SHOWN_MAX).for_each(|found| say(&format!("FOUND: {found}")));
    if found.len() > SHOWN_MAX {
        say(&format!("FOUND: {} more", found.len() - SHOWN_MAX));
    }
    ExitCode::FAILURE
}

/// Prints a line.
pub fn say(line: &str) {
    // A reader that has gone wants no more lines.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage<'_> = Usage {
        help: "",
        parts: &["disk", "herd"],
        numbers: &[("kills", 500)],
        texts: &["without"],
        flags: &["some-marks"],
    };

    fn read(line: &str) -> Result<Arguments, String> {
        USAGE.read(line.split_whitespace().map(String::from))
    }

    #[test]
    fn what_nobody_says_is_as_usual() {
        let read = read("").unwrap();
        assert_eq!(read.number("kills"), 500);
        assert_eq!(read.text::<String>("without"), Ok(None));
        assert!(read.wants("disk") && !read.flag("some-marks"));
    }

    #[test]
    fn what_is_said_is_taken() {
        let read = read("herd --kills 7 --some-marks --without 3").unwrap();
        assert_eq!((read.number("kills"), read.text("without")), (7, Ok(Some(3))));
        assert!(read.wants("herd") && !read.wants("disk") && read.flag("some-marks"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in ["wine", "--wine 3", "--kills", "--kills many", "--without"] {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(read("--without x").unwrap().text::<u8>("without").is_err());
    }
}
