//! This file asks an Ollama server which models it has.

use std::time::Duration;

use serde::Deserialize;

use crate::model::ModelError;

/// A model that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// How many parameters it has, as the server says it, such as `8.2B`.
    pub parameters: String,
    /// Whether it can call tools; older servers do not say.
    pub tools: Option<bool>,
}

/// How long a server may take that only has to list its models.
const WITHIN: Duration = Duration::from_secs(5);

/// The models of the server at `url`.
///
/// # Errors
///
/// If nobody answers there, or it is no Ollama server.
pub async fn installed(url: &str) -> Result<Vec<Installed>, ModelError> {
    #[derive(Deserialize)]
    struct Listed {
        models: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        name: String,
        #[serde(default)]
        details: Details,
        capabilities: Option<Vec<String>>,
    }
    #[derive(Default, Deserialize)]
    struct Details {
        #[serde(default)]
        parameter_size: String,
    }
    let broken = |error: reqwest::Error| ModelError::Broken(error.to_string());
    let client = crate::web::client().timeout(WITHIN).build().map_err(broken)?;
    let asked = client.get(format!("{}/api/tags", url.trim_end_matches('/'))).send().await;
    let response = asked.map_err(|error| crate::model::unreachable(url, &error))?;
    let status = response.status();
    if !status.is_success() {
        let seen = "it lists no models, as an Ollama server does".to_owned();
        return Err(ModelError::Refused { status: status.as_u16(), seen });
    }
    let listed: Listed = response.json().await.map_err(broken)?;
    let models = listed.models.into_iter().map(|model| Installed {
        name: model.name,
        parameters: model.details.parameter_size,
        tools: model.capabilities.map(|all| all.iter().any(|one| one == "tools")),
    });
    Ok(models.collect())
}

/// Names of models beside each other, of many the first 20.
#[must_use]
pub fn listed(names: &[String]) -> String {
    const NAMED_MAX: usize = 20;
    let shown = &names[..names.len().min(NAMED_MAX)];
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}
