//! This file asks a server about itself: Ollama by `/api/tags`, `/api/ps` and `/api/version`, others by
//! `/v1/models`. Protocol: Ollama's `docs/api.md`; Anthropic's API reference, "List Models".

use std::net::IpAddr;
use std::time::Duration;

use agentcom_core::endpoint::{Api, Endpoint, Seen, Served};
use agentcom_core::wire::Route;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::host::Host;
use crate::keys::Keys;
use crate::model::messages::VERSION;

/// How long a server may take for each question that it can answer without thinking.
const WITHIN: Duration = Duration::from_secs(8);

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is seen of an endpoint. That it cannot be asked is seen as well.
pub(super) async fn look(route: &Route, keys: &Keys) -> Seen {
    let asked = async {
        let client = crate::web::client().timeout(WITHIN).build();
        let client = client.map_err(|error| error.to_string())?;
        match route.api {
            Api::Ollama => ollama(&client, &route.url).await,
            Api::Messages => messages(&client, route, keys).await,
            // It is there when its agent is, and lists nothing.
            Api::ClaudeCode | Api::Acp => Ok(Seen::default()),
        }
    };
    let mut seen = asked
        .await
        .unwrap_or_else(|error: String| Seen { error: Some(error.into()), ..Seen::default() });
    // Those that are loaded are kept, if not all can be.
    seen.models.sort_by_key(|served| !served.warm);
    seen.models.truncate(Endpoint::MODELS_MAX);
    if is_here(&route.url) {
        seen.machine = Host::here().machine();
    }
    seen
}

/// Whether an address is one of this machine.
fn is_here(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let bare = host.trim_matches(['[', ']']);
        bare == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    capabilities: Option<Vec<String>>,
    /// As it is loaded.
    context_length: Option<u64>,
}

async fn ollama(client: &Client, url: &str) -> Result<Seen, String> {
    #[derive(Default, Deserialize)]
    struct Version {
        version: Option<String>,
    }
    let url = url.trim_end_matches('/');
    let get = |path: &str| client.get(format!("{url}{path}"));
    let tags: Tags = answer(get("/api/tags")).await?;
    // Older servers lack these two, and can be asked all the same.
    let loaded = answer::<Tags>(get("/api/ps")).await.map(|tags| tags.models).unwrap_or_default();
    let version = answer::<Version>(get("/api/version")).await.unwrap_or_default();
    let models = tags.models.into_iter().map(|tag| {
        let loaded = loaded.iter().find(|loaded| loaded.name == tag.name);
        Served {
            warm: loaded.is_some(),
            context: loaded.and_then(|loaded| loaded.context_length),
            tools: tag.capabilities.map(|all| all.iter().any(|one| one == "tools")),
            model: tag.name.into(),
        }
    });
    Ok(Seen {
        version: version.version.map(String::into),
        models: models.collect(),
        ..Seen::default()
    })
}

async fn messages(client: &Client, route: &Route, keys: &Keys) -> Result<Seen, String> {
    #[derive(Deserialize)]
    struct Listed {
        data: Vec<Id>,
    }
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    let url = format!("{}/v1/models?limit=100", route.url.trim_end_matches('/'));
    let mut request = client.get(url).header("anthropic-version", VERSION);
    if let Some(credential) = &route.credential {
        let key = keys.of(credential).ok_or_else(|| Keys::missing(credential))?;
        request = request.header("x-api-key", key.reveal());
    }
    let listed = match text(request).await? {
        // A server that has no such list is there all the same.
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => Vec::new(),
        (status, text) => read::<Listed>(status, &text)?.data,
    };
    let served = |model: Id| Served {
        model: model.id.into(),
        // It is for the server to see to that.
        warm: true,
        context: None,
        tools: None,
    };
    Ok(Seen { models: listed.into_iter().map(served).collect(), ..Seen::default() })
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, String> {
    let (status, text) = text(request).await?;
    read(status, &text)
}

fn read<T: DeserializeOwned>(status: StatusCode, text: &str) -> Result<T, String> {
    if !status.is_success() {
        let begins: String = text.chars().take(200).collect();
        return Err(format!("it answers {status}: {begins}"));
    }
    serde_json::from_str(text).map_err(|error| format!("its answer cannot be read: {error}"))
}

async fn text(request: RequestBuilder) -> Result<(StatusCode, String), String> {
    let sent = request.send().await;
    let mut response = sent.map_err(|error| crate::model::cause_of(&error))?;
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    Ok((response.status(), String::from_utf8_lossy(&bytes).into_owned()))
}
