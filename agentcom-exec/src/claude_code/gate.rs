//! This file lets a program ask an API without the key to it: the program has a word, which holds at a
//! gate on loopback and nowhere else, and the gate asks with the key.
//!
//! ```text
//! program ──word──▶ gate ──key──▶ API
//! ```
//!
//! So the key is in no environment, no file and no memory that the program or its commands can read, and
//! a key that they bring along counts for nothing. The word and the gate are gone with the round.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use agentcom_core::config::Secret;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::web;

/// What a request may hold, in bytes: as much as the Messages API takes.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The header for keys that are no bearer tokens.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A gate that is open until it is dropped.
#[derive(Debug)]
pub(super) struct Gate {
    address: SocketAddr,
    word: Secret,
    serving: JoinHandle<()>,
}

/// What the gate knows.
#[derive(Debug)]
struct Keeper {
    http: reqwest::Client,
    api: Url,
    word: String,
    key: Secret,
}

impl Gate {
    /// Opens one to `api`, for a program that is to have the use of `key`.
    pub(super) async fn open(api: &str, key: Secret) -> io::Result<Self> {
        let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
        let api = Url::parse(api.trim()).map_err(|error| other(&error))?;
        let http = web::client().build().map_err(|error| other(&error))?;
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let word = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // It looks as keys do, for a program that looks at that.
        let word = format!("sk-ant-of-one-round-{word}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let keeper = Arc::new(Keeper { http, api, word: word.clone(), key });
        let router = Router::new().fallback(pass).with_state(keeper);
        let serving = tokio::spawn(async move {
            // It ends when it is let go of, and not before.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, word: Secret::new(&word), serving })
    }

    /// Where a program finds it.
    pub(super) fn url(&self) -> Secret {
        Secret::new(&format!("http://{}", self.address))
    }

    /// What a program says in place of the key.
    pub(super) fn word(&self) -> Secret {
        self.word.clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(keeper): State<Arc<Keeper>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(headers) = keeper.with_key(&parts.headers) else {
        return refused(StatusCode::UNAUTHORIZED, "this is not the word");
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let Some(url) = keeper.address_of(path) else {
        return refused(StatusCode::FORBIDDEN, "this is not of the API");
    };
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long");
    };
    let asked = keeper.http.request(parts.method, url).headers(headers).body(body);
    match asked.send().await {
        Ok(answer) => {
            let (status, headers) = (answer.status(), carried(answer.headers()));
            let body = Body::from_stream(answer.bytes_stream());
            (status, headers, body).into_response()
        }
        Err(error) => {
            let why = error.without_url().to_string();
            refused(StatusCode::BAD_GATEWAY, &format!("the API cannot be reached: {why}"))
        }
    }
}

impl Keeper {
    /// The headers of a request, with the key where it says the word; nothing if it says none.
    fn with_key(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        let bearer = |key: &str| format!("Bearer {key}");
        let said = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let (name, value) = if said(&API_KEY) == Some(&self.word) {
            (API_KEY, self.key.reveal().to_owned())
        } else if said(&AUTHORIZATION) == Some(&bearer(&self.word)) {
            (AUTHORIZATION, bearer(self.key.reveal()))
        } else {
            return None;
        };
        let mut headers = carried(headers);
        for other in [HOST, API_KEY, AUTHORIZATION] {
            headers.remove(other);
        }
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Some(headers)
    }

    /// Where the API has what a program asks for; nothing if that is not beneath it.
    fn address_of(&self, path: &str) -> Option<Url> {
        let base = self.api.path().trim_end_matches('/');
        let mut url = self.api.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        url.set_path(&format!("{base}{path}"));
        url.set_query(query);
        let beneath = url.path().strip_prefix(base)?;
        beneath.starts_with('/').then_some(url)
    }
}

/// Headers that are about what is said, and not about the connection on which it is.
fn carried(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let of_connection = ["keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
    let of_connection = of_connection.map(HeaderName::from_static);
    for name in of_connection.into_iter().chain([CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING]) {
        headers.remove(name);
    }
    headers
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("agentcom: {why}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-what-nobody-is-to-see";

    /// An API that says what it was asked, a piece at a time.
    async fn api() -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let router = Router::new().fallback(async |request: Request| {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let said = format!("{} {} {:?} ", parts.method, parts.uri, parts.headers);
            let told = futures_util::stream::iter([Ok::<_, io::Error>(said.into()), Ok(body)]);
            let status = StatusCode::IM_A_TEAPOT;
            (status, [("retry-after", "7")], Body::from_stream(told)).into_response()
        });
        (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }

    #[tokio::test]
    async fn who_has_the_word_has_the_use_of_the_key_and_never_the_key() {
        let (url, _serving) = api().await;
        let gate = Gate::open(&url, Secret::new(KEY)).await.unwrap();
        let http = web::client().build().unwrap();
        let at = format!("{}/v1/messages?beta=true", gate.url().reveal());
        let asked = http.post(&at).header("anthropic-version", "1").body("hello");
        let word = gate.word().reveal().to_owned();
        let by_key = asked.try_clone().unwrap().header("x-api-key", &word);
        // A key that it brings along is of no use to whose it is.
        let by_key = by_key.header("authorization", "Bearer sk-of-a-stranger");
        let by_bearer = asked.try_clone().unwrap().bearer_auth(&word);
        for (asked, header) in
            [(by_key, r#""x-api-key": Sensitive"#), (by_bearer, r#""authorization": Sensitive"#)]
        {
            let answer = asked.send().await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["retry-after"]),
                (418, &"7".parse().unwrap())
            );
            let said = answer.text().await.unwrap();
            assert!(said.starts_with("POST /base/v1/messages?beta=true "), "{said}");
            assert!(
                said.contains(r#""anthropic-version": "1""#) && said.ends_with(" hello"),
                "{said}"
            );
            // The API is shown the key, as what does not show itself.
            let name = header.split(':').next().unwrap();
            assert!(said.contains(name) && said.contains(KEY), "{said}");
            assert!(!said.contains("of-a-stranger") && !said.contains(&word), "{said}");
        }
        for wrong in ["", "sk-of-a-stranger", KEY] {
            let answer =
                asked.try_clone().unwrap().header("x-api-key", wrong).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
        let shown = format!("{gate:?}");
        assert!(!shown.contains(&word) && !shown.contains(KEY), "{shown}");
        drop(gate);
        assert!(asked.header("x-api-key", &word).send().await.is_err());
    }

    #[tokio::test]
    async fn only_what_is_beneath_the_api_is_asked() {
        let keeper = |api: &str| Keeper {
            http: web::client().build().unwrap(),
            api: api.parse().unwrap(),
            word: "word".into(),
            key: Secret::new(KEY),
        };
        let of = |api: &str, path: &str| keeper(api).address_of(path).map(|url| url.to_string());
        let own = "https://api.example/team";
        assert_eq!(of(own, "/v1/a?b").as_deref(), Some("https://api.example/team/v1/a?b"));
        assert_eq!(of("https://api.example/", "/v1").as_deref(), Some("https://api.example/v1"));
        for outside in ["/../other/v1", "/%2e%2e/other", "/../teams"] {
            assert_eq!(of(own, outside), None, "{outside}");
        }
        for odd in ["//evil.example/", "/@evil.example", "/\\evil.example"] {
            let url = of(own, odd).unwrap();
            assert!(url.starts_with("https://api.example/team/"), "{url}");
        }
    }
}
