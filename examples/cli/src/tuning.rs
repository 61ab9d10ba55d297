//! This file reads from the command line how models of Ollama servers are asked.

use std::fmt::Display;
use std::str::FromStr;

use agentcom_core::endpoint::{Calls, ContextTokens, ModelOptions, Think, Tuning};

/// How models of Ollama servers are asked.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Tune {
    /// How many tokens models of Ollama servers read and write at once, all or one (repeatable)
    /// [default: 16384]
    #[arg(long, value_name = "[MODEL=]TOKENS")]
    context: Vec<OfModel<ContextTokens>>,
    /// How much they think: off, on, low, medium or high, all or one (repeatable) [default: as the
    /// server likes]
    #[arg(long, value_name = "[MODEL=]LEVEL")]
    think: Vec<OfModel<Think>>,
    /// How they call tools, all or one (repeatable): native, or format, by which models can that were
    /// not trained to [default: native]
    #[arg(long, value_name = "[MODEL=]WAY")]
    calls: Vec<OfModel<Calls>>,
}

/// Something that is said of one model, or of all.
#[derive(Clone, Debug)]
struct OfModel<T> {
    model: Option<Box<str>>,
    value: T,
}

impl<T: FromStr<Err: Display>> FromStr for OfModel<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // Names of models have anything in them but this.
        let (model, value) = match text.rsplit_once('=') {
            Some(("", _)) => return Err("the name of the model is missing".to_owned()),
            Some((model, value)) => (Some(model.into()), value),
            None => (None, text),
        };
        let value = value.parse().map_err(|bad: T::Err| bad.to_string())?;
        Ok(Self { model, value })
    }
}

impl Tune {
    /// All that is said.
    pub(crate) fn tuning(&self) -> Tuning {
        let mut tuning = Tuning::default();
        for OfModel { model, value } in &self.context {
            options(&mut tuning, model).context_tokens = Some(*value);
        }
        for OfModel { model, value } in &self.think {
            options(&mut tuning, model).think = Some(*value);
        }
        for OfModel { model, value } in &self.calls {
            options(&mut tuning, model).calls = Some(*value);
        }
        tuning
    }
}

/// What is said of a model, or of all.
fn options<'a>(tuning: &'a mut Tuning, model: &Option<Box<str>>) -> &'a mut ModelOptions {
    match model {
        Some(model) => tuning.models.entry(model.clone()).or_default(),
        None => &mut tuning.all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_exec::model::Ollama;
    use clap::{CommandFactory as _, Parser as _};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        tune: Tune,
    }

    #[test]
    fn what_is_said_of_all_models_and_of_one_is_told_apart() {
        let read = |line: &[&str]| {
            let line = Line::try_parse_from([&["x"], line].concat());
            line.map(|line| serde_json::to_string(&line.tune.tuning()).unwrap())
        };
        assert_eq!(read(&[]).unwrap(), "{}");
        let line = ["--context", "8192", "--think", "off", "--context", "hf.co/a/b:Q4=4096"];
        let more = ["--think", "hf.co/a/b:Q4=high", "--calls", "gemma3=format"];
        assert_eq!(
            read(&[&line[..], &more].concat()).unwrap(),
            r#"{"context_tokens":8192,"think":"off","models":{"gemma3":{"calls":"format"},"hf.co/a/b:Q4":{"context_tokens":4096,"think":"high"}}}"#
        );
        for bad in [
            ["--context", "m=12"],
            ["--context", "m"],
            ["--context", "=4096"],
            ["--think", "m=much"],
            ["--calls", "json"],
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_help_says_the_usual_context() {
        let help = Line::command().render_help().to_string();
        assert!(help.contains(&format!("[default: {}]", Ollama::CONTEXT_TOKENS)), "{help}");
    }
}
