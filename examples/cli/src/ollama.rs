//! This file says what Ollama servers have, what keeps their models from coding tasks, and what to do
//! about it.

use std::convert::Infallible;

use agentcom_core::endpoint::{Calls, Served, Tuning};
use agentcom_exec::model::ollama::{Installed, installed, listed};

use crate::print::Printer;
use crate::table::one_line;

/// A server, and what tasks are to be done with there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) url: String,
    /// Models; none if any will do.
    pub(crate) wanted: Vec<String>,
    /// How they are asked.
    pub(crate) tuning: Tuning,
}

/// What a look at a server shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) seen: String,
    /// What to do, if it is not as it could be.
    pub(crate) hints: Vec<String>,
}

impl Server {
    /// Looks at it, for a few seconds at most. Cancel safe.
    pub(crate) async fn look(&self) -> Look {
        match installed(&self.url).await {
            Ok(models) => self.judge(&models),
            Err(error) => Look {
                seen: one_line(&error.to_string()).to_string(),
                hints: vec!["`ollama serve` starts one; its tasks wait until it answers".into()],
            },
        }
    }

    /// Tells people if there is something to do about it, and then waits for ever. Cancel safe.
    pub(crate) async fn warn(&self, print: Printer) -> Infallible {
        let Look { seen, hints } = self.look().await;
        if !hints.is_empty() {
            print.note(&format!("ollama: {seen}"));
            hints.iter().for_each(|hint| print.note(&format!("        {hint}")));
        }
        std::future::pending().await
    }

    fn judge(&self, models: &[Installed]) -> Look {
        let able = models.iter().filter(|model| model.tools != Some(false));
        let names: Vec<String> = able
            .map(|model| format!("{} ({})", one_line(&model.name), one_line(&model.parameters)))
            .collect();
        let url = one_line(&self.url);
        if names.is_empty() && self.wanted.is_empty() {
            let seen = format!("answers at {url}, with no model that can call tools");
            return Look { seen, hints: vec!["`ollama pull qwen3:8b`".into()] };
        }
        let seen = match names.is_empty() {
            true => format!("answers at {url}, with no model that can call tools"),
            false => format!("answers at {url}; models for tools: {}", listed(&names)),
        };
        let by_format = |name: &str| self.tuning.of(name).calls == Some(Calls::Format);
        let hints = self.wanted.iter().filter_map(|name| lack(name, by_format(name), models));
        let hints = hints.collect();
        Look { seen, hints }
    }
}

/// What keeps the model `name` from tasks, where these `models` are and it is held to a format or not.
fn lack(name: &str, by_format: bool, models: &[Installed]) -> Option<String> {
    let is_called = |model: &&Installed| {
        let served = Served {
            model: model.name.as_str().into(),
            warm: false,
            context: None,
            tools: model.tools,
        };
        served.is_called(name)
    };
    let name = one_line(name);
    match models.iter().find(is_called) {
        Some(model) if model.tools == Some(false) && !by_format => Some(format!(
            "`{name}` was not made to call tools, as coding tasks have to; name another, or try \
             --calls {name}=format"
        )),
        Some(_) => None,
        None => Some(format!(
            "`{name}` is not there, and its tasks wait; `ollama pull {name}` fetches it, --model \
             names another"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, tools: Option<bool>) -> Installed {
        Installed { name: name.into(), parameters: "1B".into(), tools }
    }

    #[test]
    fn a_server_is_judged_by_what_tasks_want_of_it() {
        let models = [model("a:latest", Some(true)), model("b:1", Some(false)), model("c", None)];
        let tuning: Tuning =
            serde_json::from_str(r#"{"models":{"e":{"calls":"format"}}}"#).unwrap();
        let look = |wanted: &[&str], models: &[Installed]| {
            let wanted = wanted.iter().map(|&name| name.to_owned()).collect();
            let server = Server { url: "http://x".into(), wanted, tuning: tuning.clone() };
            let Look { seen, hints } = server.judge(models);
            (seen, hints.join("; "))
        };
        let seen = "answers at http://x; models for tools: a:latest (1B), c (1B)".to_owned();
        assert_eq!(look(&[], &models), (seen.clone(), String::new()));
        assert_eq!(look(&["a", "c"], &models), (seen, String::new()));
        let hints = look(&["b:1", "d"], &models).1;
        assert!(hints.starts_with("`b:1` was not made to call tools"), "{hints}");
        assert!(hints.contains("try --calls b:1=format"), "{hints}");
        assert!(hints.contains("`ollama pull d`"), "{hints}");
        assert_eq!(look(&["e"], &[model("e", Some(false))]).1, "", "it is held to a format");
        let none = "answers at http://x, with no model that can call tools".to_owned();
        assert_eq!(look(&[], &models[1..2]), (none.clone(), "`ollama pull qwen3:8b`".into()));
        assert_eq!(look(&["d"], &[]).0, none);
    }

    #[test]
    fn of_many_models_some_are_named() {
        let names: Vec<String> = (0..23).map(|number| format!("m{number}")).collect();
        assert!(listed(&names).ends_with("m18, m19 and 3 more"));
        assert_eq!(listed(&names[..2]), "m0, m1");
    }
}
