//! This file reads what operators say about endpoints.

use std::collections::BTreeMap;

use agentcom_core::command::Parking;
use agentcom_core::endpoint::{
    Api, Calls, ContextTokens, Endpoint, Meant, ModelOptions, Think, Tuning,
};
use agentcom_core::name::{AgentId, Capability, Credential, Kind};
use agentcom_core::route::Class;
use agentcom_core::task::Tier;
use agentcom_core::time::Span;
use serde::Deserialize;

use crate::error::FieldError;

/// An endpoint; what is not said is as usual for its kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointBody {
    api: Api,
    url: Option<String>,
    class: Option<Class>,
    credential: Option<String>,
    models: Option<Vec<MeantBody>>,
    others: Option<bool>,
    tuning: Option<TuningBody>,
    slots: Option<u32>,
    models_at_once: Option<u32>,
    needs: Option<Vec<String>>,
    host: Option<String>,
}

/// A model, and the tiers of tasks that it is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeantBody {
    model: String,
    tiers: Option<Vec<Tier>>,
}

/// How models are asked: all of them, and some in another way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TuningBody {
    context_tokens: Option<ContextTokens>,
    think: Option<Think>,
    calls: Option<Calls>,
    models: Option<BTreeMap<Box<str>, OptionsBody>>,
}

/// How a model is asked.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionsBody {
    context_tokens: Option<ContextTokens>,
    think: Option<Think>,
    calls: Option<Calls>,
}

/// Parks the key of an endpoint.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkBody {
    pub(crate) for_ms: Span,
}

/// Says which classes of models a tier tries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainBody {
    pub(crate) tier: Tier,
    pub(crate) classes: Vec<Class>,
}

/// Says which kind of operation does tasks of a tier that do not say; the usual one without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecutorBody {
    pub(crate) tier: Tier,
    pub(crate) kind: Option<Kind>,
}

/// Says what a used-up quota concerns.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkingBody {
    pub(crate) parking: Parking,
}

impl EndpointBody {
    /// The endpoint that is described.
    pub(crate) fn endpoint(self) -> Result<Endpoint, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut wrong = |field: String, why: &dyn ToString| {
            errors.push(FieldError::invalid(field, why.to_string()));
        };
        let usual = Endpoint::new(self.api, self.url.as_deref().unwrap_or_default());
        let credential = self.credential.and_then(|name| {
            Credential::new(&name).map_err(|bad| wrong("credential".into(), &bad)).ok()
        });
        let host = self
            .host
            .and_then(|name| AgentId::new(&name).map_err(|bad| wrong("host".into(), &bad)).ok());
        let needs = self.needs.unwrap_or_default().into_iter().enumerate();
        let needs = needs.filter_map(|(n, need)| {
            Capability::new(&need).map_err(|bad| wrong(format!("needs[{n}]"), &bad)).ok()
        });
        let endpoint = Endpoint {
            class: self.class.unwrap_or(usual.class),
            credential,
            models: self.models.unwrap_or_default().into_iter().map(Meant::from).collect(),
            others: self.others.unwrap_or(usual.others),
            tuning: self.tuning.unwrap_or_default().into(),
            slots: self.slots.unwrap_or(usual.slots),
            models_at_once: self.models_at_once.unwrap_or(usual.models_at_once),
            needs: needs.collect(),
            host,
            ..usual
        };
        if errors.is_empty() { Ok(endpoint) } else { Err(errors) }
    }
}

impl From<MeantBody> for Meant {
    fn from(MeantBody { model, tiers }: MeantBody) -> Self {
        Self { model: model.into(), tiers: tiers.unwrap_or_default() }
    }
}

impl From<TuningBody> for Tuning {
    fn from(TuningBody { context_tokens, think, calls, models }: TuningBody) -> Self {
        let models = models.unwrap_or_default().into_iter();
        let models = models.map(|(model, OptionsBody { context_tokens, think, calls })| {
            (model, ModelOptions { context_tokens, think, calls })
        });
        Self { all: ModelOptions { context_tokens, think, calls }, models: models.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_as_usual_but_for_what_is_said() {
        let read = |text: &str| serde_json::from_str::<EndpointBody>(text).unwrap().endpoint();
        let usual = read(r#"{"api":"ollama","url":"http://gpu:11434"}"#).unwrap();
        assert_eq!(usual, Endpoint::new(Api::Ollama, "http://gpu:11434"));
        let program = read(r#"{"api":"claude-code","credential":"team"}"#).unwrap();
        assert_eq!((program.api, program.check()), (Api::ClaudeCode, Ok(())));
        let text = r#"{"api":"messages","url":"https://h","credential":"me","slots":7,"host":"a-1",
            "models":[{"model":"m","tiers":["complex"]}],"others":true,"needs":["eu"],"class":"local"}"#;
        let said = read(text).unwrap();
        assert_eq!((said.slots, said.models_at_once, said.class), (7, 0, Class::Local));
        assert_eq!((&said.models[0].tiers[..], said.others), (&[Tier::Complex][..], true));
        let tuned = r#"{"api":"ollama","url":"http://h","tuning":{"context_tokens":8192,"models":
            {"m":{"think":"low","calls":"format"}}}}"#;
        let tuning = read(tuned).unwrap().tuning;
        assert_eq!(tuning.of("m").context_tokens, Some(8192.try_into().unwrap()));
        assert_eq!((tuning.of("m").think, tuning.of("n").think), (Some(Think::Low), None));
        assert_eq!((tuning.of("m").calls, tuning.of("n").calls), (Some(Calls::Format), None));
        for bad in [r#"{"think":"much"}"#, r#"{"context_tokens":1}"#, r#"{"num_ctx":8192}"#] {
            let text = format!(r#"{{"api":"ollama","url":"http://h","tuning":{bad}}}"#);
            assert!(serde_json::from_str::<EndpointBody>(&text).is_err(), "{bad}");
        }
        let bad =
            r#"{"api":"ollama","url":"http://h","credential":"a b","needs":["a b"],"host":""}"#;
        assert_eq!(read(bad).unwrap_err().len(), 3);
    }
}
