//! This file says of the models of an agent what the hub has to know to choose among them.

use agentcom_core::config::Secret;
use agentcom_core::endpoint::{Announced, Api, Endpoint, Meant};
use agentcom_core::name::{Credential, EndpointId};

use super::models::Chain;
use crate::hex;
use crate::host::HostName;
use crate::model::Ollama;

impl Chain {
    /// Its models as endpoints, called after the machine `host`: agents of one machine have the same
    /// server in common, and what one of them is told of it is true for all.
    ///
    /// Tasks that name no model are given that of the agent; they may name others.
    #[must_use]
    pub fn endpoints(&self, host: &HostName) -> Announced {
        let Self { local, cloud, programs } = self;
        let of = |api, url: &str, model: Option<&str>, credential| {
            let meant = |model: &str| Meant { model: model.into(), tiers: Vec::new() };
            let models: Vec<Meant> = model.map(meant).into_iter().collect();
            let others = !models.is_empty();
            Endpoint { models, others, credential, ..Endpoint::new(api, url) }
        };
        // What else is said of how models are asked, each agent says for itself.
        let local = local.as_ref().map(|it| Endpoint {
            tuning: it.tuning.of_calls(),
            ..of(Api::Ollama, &it.url, Some(it.model.as_str()), None)
        });
        let cloud = cloud
            .as_ref()
            .map(|it| of(Api::Messages, &it.url, Some(it.model.as_str()), name_of_key(&it.key)));
        let claude_code = programs.claude_code.as_ref().map(|it| {
            of(Api::ClaudeCode, "", it.model.as_deref(), it.key().as_ref().and_then(name_of_key))
        });
        let acp = programs.acp.as_ref().map(|_| of(Api::Acp, "", None, None));
        let all =
            [("ollama", local), ("claude", cloud), ("claude-code", claude_code), ("acp", acp)];
        let named = |(word, endpoint): (&str, Option<Endpoint>)| {
            let endpoint = endpoint?;
            Some((EndpointId::new(&called(host, word, &mark(&endpoint))).ok()?, endpoint))
        };
        all.into_iter().filter_map(named).collect()
    }
}

/// What an endpoint of a machine is called.
fn called(HostName { name, mark: machine }: &HostName, word: &str, mark: &str) -> String {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = name.chars().map(|c| if is_fine(c) { c } else { '-' });
    let machine = machine.as_ref().map_or_else(String::new, |mark| format!("-{mark}"));
    let rest = format!("{machine}-{word}{mark}");
    let name: String = name.take(EndpointId::BYTES_MAX.saturating_sub(rest.len())).collect();
    format!("{}{rest}", if name.is_empty() { "here" } else { &name })
}

/// What tells a server and its key from others of the machine; nothing where they are the usual ones.
fn mark(Endpoint { api, url, credential, .. }: &Endpoint) -> String {
    let is_usual = url.is_empty() || *api == Api::Ollama && **url == *Ollama::URL;
    match (is_usual, credential) {
        (true, None) => String::new(),
        (_, credential) => {
            let key = credential.as_ref().map_or("", Credential::as_str);
            format!("-{}", short(format!("{url} {key}").as_bytes(), 2))
        }
    }
}

/// The first bytes of a hash.
fn short(bytes: &[u8], count: usize) -> String {
    hex::sha256(bytes)[..2 * count].to_owned()
}

/// A name for a key that tells nothing of it, and is the same wherever the key is, so that all who have
/// it are parked together.
pub(super) fn name_of_key(key: &Secret) -> Option<Credential> {
    Credential::new(&format!("anthropic-{}", short(key.reveal().as_bytes(), 4))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acp::Acp;
    use crate::coding::{MessagesModels, OllamaModels, Programs};
    use crate::model::Patience;
    use agentcom_core::endpoint::Tuning;

    #[test]
    fn the_models_of_an_agent_are_endpoints_of_its_machine() {
        let patience = Patience::default();
        let (url, model) = ("http://gpu:11434".to_owned(), "qwen3:8b".to_owned());
        let local = OllamaModels { url, model, tuning: Tuning::default(), patience };
        let (url, model) = ("https://api.example".to_owned(), "opus".to_owned());
        let key = Secret::new("secret-word");
        let cloud = MessagesModels { url, key, model, context_tokens: 4_096, patience };
        let programs = Programs { acp: Some(Acp::new(["gemini"])), claude_code: None };
        let chain = Chain { local: Some(local), cloud: Some(cloud), programs };
        let host = HostName { name: "my host".into(), mark: None };
        let all = chain.endpoints(&host);
        let names: Vec<&str> = all.keys().map(EndpointId::as_str).collect();
        // Another server or another key of the same machine is called otherwise.
        assert_eq!(names, ["my-host-acp", "my-host-claude-3c17", "my-host-ollama-05df"]);
        assert!(all.values().all(|endpoint| endpoint.check() == Ok(())));
        let ollama = &all[names[2]];
        assert_eq!((&*ollama.url, &*ollama.models[0].model), ("http://gpu:11434", "qwen3:8b"));
        assert!(ollama.others && ollama.credential.is_none());
        let claude = &all[names[1]];
        let name = claude.credential.as_ref().unwrap().as_str();
        assert!(name.starts_with("anthropic-") && !name.contains("secret"), "{name}");
        assert!(all["my-host-acp"].models.is_empty());
        assert!(Chain::default().endpoints(&host).is_empty());
    }

    #[test]
    fn a_machine_may_be_called_anything() {
        let host = |name: &str| HostName { name: name.into(), mark: Some("12ab34".into()) };
        assert_eq!(called(&HostName::default(), "ollama", ""), "here-ollama");
        assert_eq!(called(&host(""), "ollama", ""), "here-12ab34-ollama");
        let long = called(&host(&"x".repeat(300)), "claude-code", "-1234");
        assert!(EndpointId::new(&long).is_ok(), "{long}");
        assert!(long.ends_with("x-12ab34-claude-code-1234"), "{long}");
    }

    #[test]
    fn two_machines_of_one_name_announce_two_endpoints() {
        let of = |mark: Option<&str>| {
            let host = HostName { name: "gpu".into(), mark: mark.map(str::to_owned) };
            let local = OllamaModels {
                url: Ollama::URL.to_owned(),
                model: "m".into(),
                tuning: Tuning::default(),
                patience: Patience::default(),
            };
            let chain = Chain { local: Some(local), ..Chain::default() };
            chain.endpoints(&host).into_keys().map(|id| id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(Some("12ab34")), ["gpu-12ab34-ollama"]);
        assert_eq!(of(Some("56cd78")), ["gpu-56cd78-ollama"]);
        assert_eq!(of(None), ["gpu-ollama"]);
    }
}
