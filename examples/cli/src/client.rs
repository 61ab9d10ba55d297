//! This file speaks to a hub over HTTP, and says helpfully why it could not.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agentcom_hub::local;
use eventsource_stream::Eventsource as _;
use futures_util::{Stream, StreamExt as _};
use reqwest::{Method, Response, Url};
use serde_json::Value;

use crate::command::token;
use crate::exit::{Exit, Failure};

/// Where the hub is, and who asks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// Address of the hub [default: the hub that runs on this machine]
    #[arg(
        long,
        global = true,
        env = "AGENTCOM_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    url: Option<String>,
    /// File with the token [default: the environment variable AGENTCOM_TOKEN, or the admin token of
    /// the hub that runs on this machine]
    #[arg(
        long,
        global = true,
        env = "AGENTCOM_TOKEN_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    token_file: Option<PathBuf>,
}

/// A hub that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// One thing that the hub's feed says.
#[derive(Clone, Debug)]
pub(crate) struct FeedEvent {
    /// The word for it, such as `event` or `progress`.
    pub(crate) kind: String,
    /// Where to follow from to get what comes after it, if that is known.
    pub(crate) cursor: Option<u64>,
    pub(crate) data: Value,
}

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The hub says something every 15 s, if only that it is there.
const FEED_SILENT_MAX: Duration = Duration::from_secs(45);
const URL_DEFAULT: &str = "http://127.0.0.1:4000";

impl Client {
    /// Finds the hub and the token. Nothing is sent yet.
    pub(crate) fn find(target: &Target) -> Result<Self, Failure> {
        let user_dir = local::user_dir(local::env_path);
        let running = local::find(local::DATA_DIR.as_ref(), user_dir.as_deref());
        let url = target.url.clone().or_else(|| running.as_ref().map(|hub| hub.url.clone()));
        let base = parse_url(url.as_deref().unwrap_or(URL_DEFAULT))?;
        // The token of a local hub is for that hub alone.
        let same = running.filter(|hub| parse_url(&hub.url).is_ok_and(|known| known == base));
        let token = match (&target.token_file, std::env::var("AGENTCOM_TOKEN")) {
            (Some(file), _) => Some(read_token(file)?),
            (None, Ok(token)) if !token.trim().is_empty() => Some(token.trim().to_owned()),
            (None, _) => same.map(|hub| read_token(&hub.token_file())).transpose()?,
        };
        Self::new(base, token)
    }

    /// The hub at `url`, asked with `token`.
    pub(crate) fn at(url: &str, token: String) -> Result<Self, Failure> {
        Self::new(parse_url(url)?, Some(token))
    }

    fn new(base: Url, token: Option<String>) -> Result<Self, Failure> {
        let http = agentcom_exec::web::client()
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(FEED_SILENT_MAX)
            .build()
            .map_err(|error| Failure::new(Exit::Failure, error))?;
        Ok(Self { http, base, token })
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Value, Failure> {
        let response = self.send(Method::GET, self.url(path, query)?, None, Some(ANSWER_WITHIN));
        self.answer(response.await?).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.tell(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.tell(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(
        &self,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.tell(Method::DELETE, path, body).await
    }

    async fn tell(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let response = self.send(method, self.url(path, &[])?, body, Some(ANSWER_WITHIN));
        self.answer(response.await?).await
    }

    /// What happens after `after`, and then live; with `None` only what happens from now on. The
    /// stream ends, perhaps with a failure, when the connection does.
    pub(crate) async fn feed(
        &self,
        after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<FeedEvent, Failure>> + use<>, Failure> {
        let query: Vec<_> = after.iter().map(|after| ("after", after.to_string())).collect();
        let url = self.url(&["api", "events"], &query)?;
        let response = self.send(Method::GET, url, None, None).await?;
        let response = self.checked(response).await?;
        let address = self.address().to_owned();
        Ok(response.bytes_stream().eventsource().map(move |event| match event {
            Ok(event) => Ok(FeedEvent {
                kind: event.event,
                cursor: event.id.parse().ok(),
                data: serde_json::from_str(&event.data).unwrap_or(Value::String(event.data)),
            }),
            Err(_) => {
                Err(Failure::new(Exit::Unavailable, format_args!("lost the hub on {address}")))
            }
        }))
    }

    /// What proves who asks.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The address of the hub.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::new(Exit::Usage, "the address of the hub takes no path"))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        within: Option<Duration>,
    ) -> Result<Response, Failure> {
        let changes_nothing = method == Method::GET;
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(within) = within {
            request = request.timeout(within);
        }
        let again = request.try_clone().filter(|_| changes_nothing);
        let sent = match (request.send().await, again) {
            (Err(error), Some(again)) if is_cut_off(&error) => again.send().await,
            (sent, _) => sent,
        };
        sent.map_err(|error| self.unreached(&error))
    }

    async fn answer(&self, response: Response) -> Result<Value, Failure> {
        let response = self.checked(response).await?;
        let text = response.text().await.map_err(|error| self.unreached(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| {
            Failure::new(
                Exit::Failure,
                format_args!("{} does not answer as a hub does", self.address()),
            )
        })
    }

    async fn checked(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let exit = Exit::of_status(status.as_u16(), self.token.is_some());
        let text = response.text().await.unwrap_or_default();
        Err(refusal(exit, status.as_u16(), &text))
    }

    fn unreached(&self, error: &reqwest::Error) -> Failure {
        let address = self.address();
        if error.is_connect() && !is_refused(error) && !error.is_timeout() {
            return Failure::new(
                Exit::Unavailable,
                format_args!("cannot connect to the hub on {address}: {}", cause(error)),
            );
        }
        if error.is_connect() {
            return Failure::new(Exit::Unavailable, format_args!("hub not running on {address}"))
                .hint("start it with `agentcom up`, or name another with --url or AGENTCOM_URL");
        }
        if error.is_timeout() {
            return Failure::new(
                Exit::TryAgain,
                format_args!("the hub on {address} did not answer in time"),
            );
        }
        Failure::new(Exit::Unavailable, format_args!("lost the hub on {address}: {}", cause(error)))
    }
}

/// What a problem document (RFC 9457) says.
fn refusal(exit: Exit, status: u16, text: &str) -> Failure {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| problem[name].as_str().filter(|text| !text.is_empty());
    let details: Vec<String> =
        problem["errors"].as_array().into_iter().flatten().map(field_error).collect();
    // What the fields say is not said twice.
    let repeats = |text: &&str| {
        !details.is_empty() && details.iter().all(|detail| text.contains(detail.as_str()))
    };
    let detail = word("detail").filter(|text| !repeats(text));
    let message = detail.or(word("title")).or(word("error"));
    let mut failure = match message {
        Some(message) => Failure::new(exit, message),
        None => Failure::new(exit, format_args!("the hub answered with HTTP status {status}")),
    };
    failure.details = details;
    let usual = token::hint(&problem).or_else(|| usual_hint(exit, &problem));
    let told = word("hint").map(String::from);
    // What the hub says of tokens is for those who write requests.
    let is_for_those = status == 401 || exit == Exit::Conflict;
    failure.hint = if is_for_those { usual.or(told) } else { told.or(usual) };
    failure
}

fn field_error(error: &Value) -> String {
    let part = |names: &[&str]| names.iter().find_map(|name| error[name].as_str());
    match (part(&["field", "path"]), part(&["detail", "message"])) {
        (Some(field), Some(message)) => format!("{field}: {message}"),
        (None, Some(message)) => message.into(),
        (Some(_) | None, None) => crate::text::plain(error),
    }
}

fn usual_hint(exit: Exit, problem: &Value) -> Option<String> {
    match exit {
        Exit::NotAllowed => {
            Some("set AGENTCOM_TOKEN, or AGENTCOM_TOKEN_FILE to the hub's admin.token".into())
        }
        Exit::TokenRefused => Some(
            "compare the token with the hub's admin.token; `agentcom agent add` makes others"
                .into(),
        ),
        Exit::TryAgain => {
            let wait = problem["retry_after_ms"].as_u64()?;
            Some(format!("try again in {}", agentcom_core::time::Span(wait)))
        }
        Exit::Conflict if problem["error"] == "agent_exists" => {
            Some("`agentcom agent token NAME` gives it another token".into())
        }
        Exit::Ok
        | Exit::Failure
        | Exit::Unsuccessful
        | Exit::NotFound
        | Exit::Conflict
        | Exit::Usage
        | Exit::Unavailable
        | Exit::Store
        | Exit::Interrupted => None,
    }
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::new(Exit::Usage, format_args!("`{text}` is no address of a hub: {why}"))
            .hint("an address looks like http://127.0.0.1:4000")
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(bad("it must start with http:// or https://")),
    }
}

fn read_token(file: &std::path::Path) -> Result<String, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Failure::new(
            Exit::NotAllowed,
            format_args!("cannot read the token in {}: {error}", file.display()),
        )),
    }
}

/// Whether nobody listens there.
fn is_refused(error: &reqwest::Error) -> bool {
    let found = deepest(error).downcast_ref::<io::Error>();
    found.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Whether the connection was closed before an answer began, as one is that has waited for as long as the
/// hub lets it in the very moment in which it is used again.
fn is_cut_off(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

fn cause(error: &reqwest::Error) -> String {
    deepest(error).to_string()
}

fn deepest<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use expect_test::expect;

    #[test]
    fn a_problem_document_becomes_a_message_with_details_and_a_hint() {
        let text = r#"{"title":"validation failed","status":422,"detail":"priority: unknown priority `x`",
            "errors":[{"field":"priority","error":"invalid_value","detail":"unknown priority `x`"}],"retry_after_ms":1500}"#;
        expect![[r#"
            Failure {
                exit: Usage,
                message: "validation failed",
                details: [
                    "priority: unknown priority `x`",
                ],
                hint: None,
            }
        "#]]
        .assert_debug_eq(&refusal(Exit::Usage, 422, text));
        expect![[r#"
            Some(
                "try again in 1.5 s",
            )
        "#]]
        .assert_debug_eq(&refusal(Exit::TryAgain, 503, text).hint);
        let header = r#"{"detail":"this needs a valid token","hint":"send a header"}"#;
        expect![[r#"
            Some(
                "set AGENTCOM_TOKEN, or AGENTCOM_TOKEN_FILE to the hub's admin.token",
            )
        "#]]
        .assert_debug_eq(&refusal(Exit::NotAllowed, 401, header).hint);
        let route = r#"{"error":"agent_exists","hint":"post to a route"}"#;
        expect![[r#"
            Some(
                "`agentcom agent token NAME` gives it another token",
            )
        "#]]
        .assert_debug_eq(&refusal(Exit::Conflict, 409, route).hint);
        let other = r#"{"error":"too_many_agents","hint":"remove one"}"#;
        expect![[r#"
            Some(
                "remove one",
            )
        "#]]
        .assert_debug_eq(&refusal(Exit::Conflict, 409, other).hint);
        expect![[r#"
            "the hub answered with HTTP status 500"
        "#]]
        .assert_debug_eq(&refusal(Exit::Failure, 500, "<html>").message);
    }

    #[test]
    fn an_address_must_be_one_that_can_be_reached() {
        let why = |text: &str| {
            parse_url(text).map(|url| url.to_string()).map_err(|failure| failure.message)
        };
        expect![[r#"
            [
                Ok(
                    "http://localhost:4000/",
                ),
                Ok(
                    "https://a/",
                ),
                Err(
                    "`localhost:4000` is no address of a hub: it must start with http:// or https://",
                ),
                Err(
                    "`` is no address of a hub: relative URL without a base",
                ),
            ]
        "#]].assert_debug_eq(&["http://localhost:4000", "https://a", "localhost:4000", ""].map(why));
    }

    #[tokio::test]
    async fn a_hub_that_does_not_run_is_named_with_the_command_that_starts_it() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::at(&format!("http://{free}"), "t".into()).unwrap();
        let failure = client.get(&["api", "tasks"], &[]).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
        assert_eq!(failure.message, format!("hub not running on http://{free}"));
        assert!(failure.hint.unwrap().contains("agentcom up"));
    }

    /// Says nothing to the first `silent` requests and closes their connections, and answers all after
    /// them, one for each connection. How many there were is told.
    fn cutting_off(silent: usize) -> (Client, Arc<AtomicUsize>) {
        const ANSWER: &[u8] =
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut head) = (stream.unwrap(), Vec::new());
                let mut part = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    let read = stream.read(&mut part).unwrap();
                    head.extend_from_slice(&part[..read]);
                }
                if count.fetch_add(1, Ordering::SeqCst) >= silent {
                    stream.write_all(ANSWER).unwrap();
                }
            }
        });
        (Client::at(&url, "t".into()).unwrap(), asked)
    }

    #[tokio::test]
    async fn what_changes_nothing_is_asked_once_more_if_the_connection_was_closed_without_an_answer()
     {
        let lost = |failure: Failure| {
            assert!(failure.exit == Exit::Unavailable && failure.message.contains("lost the hub"));
        };
        let path = ["api", "tasks"];
        let (client, asked) = cutting_off(1);
        assert_eq!(client.get(&path, &[]).await, Ok(serde_json::json!({})));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let (client, asked) = cutting_off(2);
        lost(client.get(&path, &[]).await.unwrap_err());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        // Of anything else nobody knows whether it was done.
        let (client, asked) = cutting_off(1);
        lost(client.delete(&path, None).await.unwrap_err());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn ids_cannot_lead_to_other_paths() {
        let client = Client::at("http://127.0.0.1:1/hub/", "t".into()).unwrap();
        let url = client.url(&["api", "tasks", "../x?y", "why"], &[("a", "b&c".into())]).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:1/hub/api/tasks/..%2Fx%3Fy/why?a=b%26c");
    }
}
