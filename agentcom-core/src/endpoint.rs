//! This file describes servers of models: what operators say of them, and how they are doing.

mod breaker;
mod server;
mod tuning;

pub use breaker::{Breaker, Sign};
pub use server::{Server, is_loopback};
pub use tuning::{
    BadCalls, BadContextTokens, BadThink, Calls, ContextTokens, ModelOptions, Think, Tuning,
};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::name::{AgentId, Capability, Credential, EndpointId, Kind};
use crate::route::Class;
use crate::task::Tier;
use crate::time::{Span, Wall};

/// How a server of models is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// As Ollama is.
    Ollama,
    /// By the Messages API of Anthropic.
    Messages,
    /// Not at all: agents have the Claude Code CLI, which speaks with its service.
    #[serde(rename = "claude-code")]
    ClaudeCode,
    /// Not at all: agents have a program that speaks the Agent Client Protocol.
    Acp,
}

impl Api {
    /// The kind of operation that a program of the agents does; none for servers.
    #[must_use]
    pub const fn program(self) -> Option<&'static str> {
        match self {
            Self::Ollama | Self::Messages => None,
            Self::ClaudeCode => Some("claude-code"),
            Self::Acp => Some("acp"),
        }
    }

    /// The program that does operations of a kind, if one does.
    #[must_use]
    pub fn of(kind: &Kind) -> Option<Self> {
        [Self::ClaudeCode, Self::Acp].into_iter().find(|api| api.program() == Some(kind.as_str()))
    }
}

/// A server of models, or a program of agents that has its own, as an operator describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// How it is spoken to.
    pub api: Api,
    /// Where it is, as the agents that use it see it; programs are nowhere.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub url: Box<str>,
    /// Whether it costs money.
    pub class: Class,
    /// The key that it wants. Endpoints of one key are parked together. A program has its key by
    /// itself, whatever that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The models that are asked for, the most wanted first; without any all that it serves, and of a
    /// program [its own](Endpoint::OWN).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Meant>,
    /// Whether tasks may name others of its models than those.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub others: bool,
    /// How models of a server are asked, whoever asks; what is not said agents say of Ollama servers. How
    /// much to think, and how tools are called, can be said of those only.
    #[serde(default, skip_serializing_if = "Tuning::is_default")]
    pub tuning: Tuning,
    /// How many tasks each of its models works on at once, 1 to [`Endpoint::SLOTS_MAX`].
    #[serde(default = "one")]
    pub slots: u32,
    /// How many of its models work at once; 0 is any number.
    #[serde(default = "one")]
    pub models_at_once: u32,
    /// What an agent has to be able to do to use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    /// The agent on whose machine it runs, which knows how busy that is; without a word who announced
    /// a loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<AgentId>,
    /// The agents that say that they were started with it, and that alone use it; none if an operator
    /// set it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub announced_by: BTreeSet<AgentId>,
}

/// A model, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meant {
    /// Its name.
    pub model: Box<str>,
    /// The tiers of tasks that it is for; none are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// The models that an agent was started with, as endpoints, by what they are called.
pub type Announced = BTreeMap<EndpointId, Endpoint>;

/// What is wrong with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct BadEndpoint {
    /// The field.
    pub field: &'static str,
    /// The rule that it breaks.
    pub why: String,
}

impl Endpoint {
    /// Stands for the model that a program chooses itself.
    pub const OWN: &str = "own";
    /// The most tasks that a model may work on at once.
    pub const SLOTS_MAX: u32 = 1_024;
    /// The most models that are named or served.
    pub const MODELS_MAX: usize = 64;
    /// The longest address or name of a model, in bytes.
    pub const TEXT_BYTES_MAX: usize = 256;
    /// The most endpoints that there are.
    pub const COUNT_MAX: usize = 256;
    /// The most endpoints that an agent announces.
    pub const ANNOUNCED_MAX: usize = 8;

    /// One model at a time, for one task at a time, as a machine of one's own can bear; servers
    /// elsewhere bear more.
    #[must_use]
    pub fn new(api: Api, url: &str) -> Self {
        let (class, slots, models_at_once) = match api {
            Api::Ollama => (Class::Local, 1, 1),
            Api::Messages | Api::ClaudeCode | Api::Acp => (Class::Cloud, 4, 0),
        };
        Self {
            api,
            url: url.into(),
            class,
            credential: None,
            models: Vec::new(),
            others: false,
            tuning: Tuning::default(),
            slots,
            models_at_once,
            needs: Vec::new(),
            host: None,
            announced_by: BTreeSet::new(),
        }
    }

    /// Whether its models are those that its server says it has.
    #[must_use]
    pub fn is_discovered(&self) -> bool {
        self.models.is_empty() && self.api.program().is_none()
    }

    /// Whether its models want a price where money is bounded: it is paid, and does not say itself what
    /// it costs, as programs do.
    #[must_use]
    pub fn wants_prices(&self) -> bool {
        self.class == Class::Cloud && self.api.program().is_none()
    }

    /// Whether it can be one.
    ///
    /// # Errors
    ///
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(), BadEndpoint> {
        let bad = |field, why: &str| Err(BadEndpoint { field, why: why.into() });
        let is_fine = |text: &str| {
            !text.is_empty()
                && text.len() <= Self::TEXT_BYTES_MAX
                && !text.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        if self.api.program().is_some() {
            if !self.url.is_empty() {
                return bad("url", "must not be said of a program");
            }
            return self.check_bounds(is_fine);
        }
        let scheme = self.url.strip_prefix("http://").or(self.url.strip_prefix("https://"));
        if !is_fine(&self.url) || scheme.is_none_or(str::is_empty) {
            return bad("url", "must begin with http:// or https:// and have at most 256 bytes");
        }
        // What is in an address is told to whoever may look at endpoints.
        if scheme.is_some_and(|rest| rest.contains('@')) {
            return bad("url", "must hold no user and no password");
        }
        self.check_bounds(is_fine)
    }

    fn check_bounds(&self, is_fine: impl Fn(&str) -> bool) -> Result<(), BadEndpoint> {
        let bad = |field, why: &str| Err(BadEndpoint { field, why: why.into() });
        if self.slots == 0 || self.slots > Self::SLOTS_MAX {
            return bad("slots", "must be 1 to 1024");
        }
        if self.models.len() > Self::MODELS_MAX {
            return bad("models", "must be at most 64");
        }
        if !self.models.iter().all(|meant| is_fine(&meant.model)) {
            return bad("models", "must have names of 1 to 256 bytes without spaces");
        }
        if self.api.program().is_some() && !self.tuning.is_default() {
            return bad("tuning", "can be said of servers only");
        }
        let mut options = core::iter::once(&self.tuning.all).chain(self.tuning.models.values());
        if self.api != Api::Ollama && options.any(|it| it.think.is_some() || it.calls.is_some()) {
            return bad(
                "tuning",
                "says how much to think and how to call tools of Ollama servers only",
            );
        }
        let mut tuned = self.tuning.models.keys();
        if tuned.len() > Self::MODELS_MAX || !tuned.all(|model| is_fine(model)) {
            return bad("tuning", "must be of at most 64 models, with names as in models");
        }
        if self.models.iter().any(|meant| meant.tiers.len() > Tier::ALL.len()) {
            return bad("models", "must be for each tier once");
        }
        if self.needs.len() > Self::MODELS_MAX {
            return bad("needs", "must be at most 64");
        }
        Ok(())
    }

    /// What is parked when the quota of the endpoint called `id` is used up.
    #[must_use]
    pub fn account(&self, id: &EndpointId) -> Credential {
        self.credential.clone().unwrap_or_else(|| id.into())
    }

    /// What an agent has to be able to do to use it: what was said, and to have the key, or the program.
    /// Who announced it has its key by itself.
    pub fn needs(&self) -> impl Iterator<Item = Capability> {
        let program = self.api.program();
        let has_key = program.is_some() || !self.announced_by.is_empty();
        let key = self.credential.as_ref().filter(|_| !has_key).map(Capability::key);
        self.needs.iter().cloned().chain(key).chain(program.and_then(Capability::of_kind))
    }
}

/// A model that a server has, as it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Its name.
    pub model: Box<str>,
    /// Whether it is loaded, so that it answers at once.
    #[serde(default)]
    pub warm: bool,
    /// How many tokens it reads and writes at once, as it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Whether it can call tools, if the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
}

impl Served {
    /// Whether `name` means it.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        &*self.model == name || self.model.strip_suffix(":latest") == Some(name)
    }

    /// Whether `name` is an alias of it: it is called so with a date behind it (`claude-sonnet-4-5` of
    /// `claude-sonnet-4-5-20250929`), also if the alias says `-latest`. Servers of the Messages API take
    /// aliases and list none. Source: Anthropic's documentation, "Models overview".
    #[must_use]
    pub fn has_alias(&self, name: &str) -> bool {
        let bare = name.strip_suffix("-latest").unwrap_or(name);
        let date = self.model.strip_prefix(bare).and_then(|rest| rest.strip_prefix('-'));
        let is_date = |date: &str| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
        !bare.is_empty() && date.is_some_and(is_date)
    }
}

/// What a task that looked at an endpoint saw. It is the result of an operation of the kind `probe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Why it could not be asked, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    /// The version of its software, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    /// Its models.
    #[serde(default)]
    pub models: Vec<Served>,
    /// The machine that it runs on, if whoever looked is there as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

/// How busy a machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// How busy its processors are, in per mille.
    pub cpu_per_mille: u32,
    /// How much memory it has, in MiB.
    pub ram_mib: u32,
}

/// Why an endpoint did not serve a task that was routed to it. The task is not to blame, unless it is
/// the same over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It does not answer.
    Unreachable,
    /// Its answer broke off, or was none. What the task asks may be the reason.
    Broken,
    /// It has no time, or is loading.
    Busy,
    /// It does not have the model that it said it had.
    NoModel,
    /// Its quota is used up.
    Quota,
    /// Nobody pays for its model. It says nothing of the endpoint.
    NotPaid,
}

/// What operators say about routing, and which keys are parked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The servers of models.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<EndpointId, Endpoint>,
    /// Which classes of models a tier tries, in order, where it is not the usual.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chains: BTreeMap<Tier, Vec<Class>>,
    /// Which kinds of operations do tasks of a tier that do not say, where it is not the usual one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub executors: BTreeMap<Tier, Kind>,
    /// Keys whose quota is used up, and until when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parked: BTreeMap<Credential, Wall>,
    /// Whether a used-up quota concerns only the task that met it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub parking_off: bool,
}

impl Routing {
    /// The longest time for which a quota parks a key.
    pub const PARKED_MAX: Span = Span::from_mins(8 * 24 * 60);

    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The classes of models for a task of `tier`, the one to ask first, first.
    #[must_use]
    pub fn chain(&self, tier: Tier) -> Vec<Class> {
        self.chains.get(&tier).cloned().unwrap_or_else(|| crate::route::order(tier).into())
    }
}

const fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_an_address_without_secrets_and_a_slot() {
        let check = |change: fn(&mut Endpoint)| {
            let mut endpoint = Endpoint::new(Api::Ollama, "http://gpu:11434");
            change(&mut endpoint);
            endpoint.check().map_err(|bad| bad.field)
        };
        assert_eq!(check(|_| {}), Ok(()));
        for url in ["gpu:11434", "http://", "http://a b", "ftp://gpu", ""] {
            let endpoint = Endpoint::new(Api::Ollama, url);
            assert_eq!(endpoint.check().map_err(|bad| bad.field), Err("url"), "{url}");
        }
        assert_eq!(Endpoint::new(Api::Acp, "").check(), Ok(()));
        assert!(Endpoint::new(Api::ClaudeCode, "http://gpu").check().is_err());
        assert_eq!(check(|endpoint| endpoint.url = "http://me:secret@gpu".into()), Err("url"));
        assert_eq!(check(|endpoint| endpoint.slots = 0), Err("slots"));
        assert_eq!(
            check(|endpoint| endpoint.models.push(Meant { model: "".into(), tiers: Vec::new() })),
            Err("models")
        );
        let tuned = |api, model: &str| {
            let mut endpoint = Endpoint::new(api, "http://gpu");
            let options = ModelOptions { think: Some(Think::Low), ..ModelOptions::default() };
            endpoint.tuning.models.insert(model.into(), options);
            endpoint.check().map_err(|bad| bad.field)
        };
        assert_eq!(tuned(Api::Ollama, "qwen3:8b"), Ok(()));
        let with_context = |api, url: &str| {
            let mut endpoint = Endpoint::new(api, url);
            endpoint.tuning.all.context_tokens = ContextTokens::try_from(32_768).ok();
            endpoint.check().map_err(|bad| bad.field)
        };
        assert_eq!(with_context(Api::Messages, "http://gpu"), Ok(()));
        assert_eq!(with_context(Api::Acp, ""), Err("tuning"));
        for bad in [tuned(Api::Messages, "m"), tuned(Api::Ollama, "two words")] {
            assert_eq!(bad, Err("tuning"));
        }
    }

    #[test]
    fn who_uses_an_endpoint_with_a_key_has_to_have_the_key() {
        let mut endpoint = Endpoint::new(Api::Messages, "https://api.example");
        let id = EndpointId::new("claude").unwrap();
        assert_eq!(endpoint.account(&id).as_str(), "claude");
        assert_eq!(endpoint.needs().count(), 0);
        endpoint.credential = Some(Credential::new("work").unwrap());
        assert_eq!(endpoint.account(&id).as_str(), "work");
        let needs: Vec<_> = endpoint.needs().collect();
        assert_eq!(needs, [Capability::new("key-work").unwrap()]);
        // A program has its key by itself.
        (endpoint.api, endpoint.url) = (Api::ClaudeCode, "".into());
        let needs: Vec<_> = endpoint.needs().collect();
        assert_eq!(needs, [Capability::new("exec:claude-code").unwrap()]);
        assert_eq!(endpoint.account(&id).as_str(), "work");
    }

    #[test]
    fn an_alias_is_a_name_without_its_date() {
        let has = |model: &str, alias: &str| {
            let (model, warm, context, tools) = (model.into(), true, None, None);
            Served { model, warm, context, tools }.has_alias(alias)
        };
        let dated = "claude-sonnet-4-5-20250929";
        for alias in ["claude-sonnet-4-5", "claude-sonnet-4-5-latest"] {
            assert!(has(dated, alias), "{alias}");
        }
        for other in ["claude-sonnet-4", "claude-sonnet", "claude-sonnet-4-", dated, "-latest", ""]
        {
            assert!(!has(dated, other), "{other}");
        }
        assert!(!has("claude-sonnet-4-5-2025092", "claude-sonnet-4-5"), "no date");
        assert!(!has("claude-sonnet-4-5-fast", "claude-sonnet-4-5"), "another model");
    }

    #[test]
    fn what_is_stored_of_routing_stays_readable() {
        let text = r#"{"endpoints":{"gpu":{"api":"ollama","url":"http://gpu:11434","class":"local","models":[{"model":"qwen3:8b"},{"model":"big","tiers":["complex"]}],"tuning":{"context_tokens":8192,"models":{"big":{"context_tokens":32768,"think":"high"}}},"slots":1,"models_at_once":1},"work":{"api":"messages","url":"https://api.example","class":"cloud","credential":"me","slots":4,"models_at_once":0,"needs":["eu"],"host":"a-1"}},"chains":{"complex":["cloud"]},"executors":{"complex":"acp"},"parked":{"me":1700},"parking_off":true}"#;
        let routing: Routing = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&routing).unwrap(), text);
        assert_eq!(routing.chain(Tier::Complex), [Class::Cloud]);
        assert_eq!(routing.chain(Tier::Standard), [Class::Local, Class::Cloud]);
    }
}
