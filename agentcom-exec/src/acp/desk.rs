//! This file does what an agent asks of its client: files and permissions. All of it is done beside what
//! the agent says meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::path::{Component, Path};
use std::sync::Arc;

use agentcom_core::agentic::Stop;
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobContext;
use agentcom_core::question::Ask;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::message::{AsksPermission, PermissionOption, ReadsFile, RpcError, WritesFile, response};
use super::permission::{Inside, Ruling, Said, ToolKind};
use super::story::{PATHS_MAX, Story};
use super::{Acp, files};
use crate::hex;
use crate::output::report;
use crate::tool::Workspace;

/// How much an agent may ask at once.
const AT_ONCE_MAX: usize = 32;

/// How often it may ask for permission in one turn, and for the same thing in a row.
const PERMISSIONS_MAX: u32 = 2_000;
const REPEATS_MAX: u32 = 50;

/// How often that may be put to people; after that it is rejected unasked.
const QUESTIONS_MAX: u32 = 50;

/// How much of what it asks permission for people are shown, in bytes.
const SHOWN_BYTES_MAX: usize = 1_500;

/// What an agent has asked.
pub(super) struct Desk<'a> {
    acp: &'a Acp,
    workspace: &'a Arc<Workspace>,
    ctx: &'a dyn JobContext,
    /// The ids of requests that are not answered yet, and how each is if it is called off.
    open: BTreeMap<u64, (Value, Result<Value, RpcError>)>,
    at_work: FuturesUnordered<BoxFuture<'a, (u64, Result<Value, RpcError>)>>,
    next: u64,
    permissions: u32,
    /// What it last asked permission for, and how often in a row.
    last: (String, u32),
    questions: u32,
    called_off: bool,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        acp: &'a Acp,
        workspace: &'a Arc<Workspace>,
        ctx: &'a dyn JobContext,
    ) -> Self {
        Self {
            acp,
            workspace,
            ctx,
            open: BTreeMap::new(),
            at_work: FuturesUnordered::new(),
            next: 0,
            permissions: 0,
            last: (String::new(), 0),
            questions: 0,
            called_off: false,
        }
    }

    /// Whether somebody waits for anything here.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a request in; the answer, if it is clear at once.
    pub(super) fn take(
        &mut self,
        session: Option<&str>,
        (id, method, params): (Value, &str, Value),
        story: &Story<'_>,
    ) -> Result<Option<Value>, Stop> {
        let now = |error| Ok(Some(response(&id, &Err(error))));
        if self.open.len() >= AT_ONCE_MAX {
            let message = format!("at most {AT_ONCE_MAX} requests at once");
            return now(RpcError::new(RpcError::INTERNAL, message));
        }
        let workspace = Arc::clone(self.workspace);
        let cancelled = Err(RpcError::new(RpcError::CANCELLED, "the turn is called off"));
        let (work, cancelled): (BoxFuture<'a, _>, _) = match method {
            "fs/read_text_file" if self.acp.files => {
                match of_session(params, session, |it: &ReadsFile| &it.session_id) {
                    Ok(asked) => (Box::pin(files::read(workspace, asked)), cancelled),
                    Err(error) => return now(error),
                }
            }
            "fs/write_text_file" if self.acp.files => {
                match of_session(params, session, |it: &WritesFile| &it.session_id) {
                    Ok(asked) => (Box::pin(files::write(workspace, asked, self.ctx)), cancelled),
                    Err(error) => return now(error),
                }
            }
            "session/request_permission" => {
                match of_session(params, session, |it: &AsksPermission| &it.session_id) {
                    Ok(asked) => (self.permission(asked, story)?, Ok(outcome(None))),
                    Err(error) => return now(error),
                }
            }
            _ => return now(RpcError::new(RpcError::NO_METHOD, format!("there is no `{method}`"))),
        };
        if self.called_off {
            return Ok(Some(response(&id, &cancelled)));
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, (id, cancelled));
        self.at_work.push(Box::pin(async move { (number, work.await) }));
        Ok(None)
    }

    /// The next answer that is ready; waits for ever where there is none. Cancel safe.
    pub(super) async fn ready(&mut self) -> Value {
        while let Some((number, result)) = self.at_work.next().await {
            if let Some((id, _)) = self.open.remove(&number) {
                return response(&id, &result);
            }
        }
        pending().await
    }

    /// Ends all that is at work. What was asked, and what will be, is answered as called off.
    pub(super) fn call_off(&mut self) -> Vec<Value> {
        self.called_off = true;
        self.at_work.clear();
        let open = std::mem::take(&mut self.open).into_values();
        open.map(|(id, result)| response(&id, &result)).collect()
    }

    /// Ends what goes on for ever.
    fn count(&mut self, request: &Request) -> Result<(), Stop> {
        let key = format!("{} {} {}", request.kind, request.title, request.input);
        let repeated = if self.last.0 == key { self.last.1 + 1 } else { 1 };
        self.last = (key, repeated);
        self.permissions += 1;
        if repeated > REPEATS_MAX || self.permissions > PERMISSIONS_MAX {
            return Err(Stop::Repetition);
        }
        Ok(())
    }

    /// Rules on a request for permission.
    fn permission(
        &mut self,
        asked: AsksPermission,
        story: &Story<'_>,
    ) -> Result<BoxFuture<'a, Result<Value, RpcError>>, Stop> {
        let known = story.open_call(&asked.tool_call.tool_call_id);
        let kind = asked.tool_call.kind.or(known.map(|it| it.kind)).unwrap_or(ToolKind::Other);
        let title = asked.tool_call.title.as_deref().or(known.map(|it| it.title));
        let input = asked.tool_call.raw_input.or(known.and_then(|it| it.input.cloned()));
        let locations = asked.tool_call.locations.into_iter().flatten();
        let paths = known.map(|it| it.paths).unwrap_or_default();
        let all_kept = paths.len() < PATHS_MAX;
        let request = Request {
            kind,
            title: title.unwrap_or("something that it gives no name").to_owned(),
            input: input.unwrap_or_default(),
            paths: paths.iter().cloned().chain(locations.map(|location| location.path)).collect(),
            options: asked.options,
        };
        self.count(&request)?;
        let root = self.workspace.path();
        let inside = all_kept && request.paths.iter().all(|path| is_in(root, Path::new(path)));
        let inside = if inside { Inside::Yes } else { Inside::No };
        let mut ruling = self.acp.permissions.rule(kind, inside);
        if ruling == Ruling::Ask {
            self.questions += 1;
            if self.questions > QUESTIONS_MAX {
                ruling = Ruling::Reject;
            }
        }
        Ok(Box::pin(request.decide(self.acp, self.ctx, ruling)))
    }
}

impl fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("open", &self.open).finish_non_exhaustive()
    }
}

/// What permission is asked for.
struct Request {
    kind: ToolKind,
    title: String,
    input: Value,
    /// The files that it is about, as far as is said.
    paths: BTreeSet<String>,
    options: Vec<PermissionOption>,
}

impl Request {
    async fn decide(
        self,
        acp: &Acp,
        ctx: &dyn JobContext,
        ruling: Ruling,
    ) -> Result<Value, RpcError> {
        let (said, by) = match ruling {
            Ruling::Allow => (Said::Allow, "by rule"),
            Ruling::Reject => (Said::Reject, "by rule"),
            Ruling::Ask => {
                let default = Json::of(&"reject").unwrap_or_default();
                let answer = ctx.ask(self.question(), acp.patience.answer.into(), default).await;
                (Said::read(&answer, &self.options), "as was answered")
            }
        };
        let chosen = said.clone().choose(&self.options);
        let word = match (&chosen, &said) {
            (None, _) => "called off, since no option fits,",
            (Some(_), Said::Allow) => "allowed",
            (Some(_), Said::Reject) => "rejected",
            (Some(option), Said::Option(_)) => option,
        };
        report(ctx, "status", &format!("{word} {by}: {} {}", self.kind, self.title));
        Ok(outcome(chosen))
    }

    /// What people are asked. Two calls are never asked about in the same words, however long they are:
    /// an answer is for one of them.
    fn question(&self) -> Ask {
        let Self { kind, title, input, paths, options } = self;
        let input = if input.is_null() { String::new() } else { format!("\n{input}") };
        let files = paths.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let files = if files.is_empty() { files } else { format!("\nFiles: {files}") };
        let parts = [title, &input, &files];
        let [title, input, files] =
            parts.map(|text| &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)]);
        let shown = title.len() + input.len() + files.len();
        let hidden = parts.map(String::len).iter().sum::<usize>() - shown;
        let hidden = if hidden == 0 {
            String::new()
        } else {
            let digest = hex::sha256(parts.map(String::as_str).join("\0"));
            format!("\n{hidden} bytes of it are not shown here; the SHA-256 of all is {digest}")
        };
        let names: Vec<&str> = options.iter().map(PermissionOption::called).collect();
        let text = format!(
            "May it {kind}: {title}?{input}{files}{hidden}\nAnswer allow or reject, or one of: {}",
            names.join(", ")
        );
        Ask::one_of(text, names)
    }
}

/// The outcome of a request for permission.
fn outcome(chosen: Option<String>) -> Value {
    match chosen {
        Some(option) => json!({ "outcome": { "outcome": "selected", "optionId": option } }),
        None => json!({ "outcome": { "outcome": "cancelled" } }),
    }
}

/// Reads what is asked, which has to be about this session.
fn of_session<T: DeserializeOwned>(
    params: Value,
    session: Option<&str>,
    named: impl Fn(&T) -> &String,
) -> Result<T, RpcError> {
    let bad = |message: String| RpcError::new(RpcError::BAD_PARAMS, message);
    let asked: T = serde_json::from_value(params).map_err(|error| bad(error.to_string()))?;
    let other = session.is_none_or(|session| named(&asked) != session);
    if other { Err(bad(format!("there is no session `{}`", named(&asked)))) } else { Ok(asked) }
}

/// Whether a path is beneath a folder, as far as its text says. What it leads to the sandbox sees to.
fn is_in(root: &Path, path: &Path) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    !climbs && (path.is_relative() || path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(title: &str, input: Value, path: &str) -> String {
        let (paths, options) = ([path.to_owned()].into(), Vec::new());
        let request =
            Request { kind: ToolKind::Fetch, title: title.to_owned(), input, paths, options };
        request.question().text
    }

    #[test]
    fn what_is_not_shown_of_a_call_is_said_and_told_from_that_of_another() {
        let short = asks("Fetch it", json!({ "url": "https://example.org" }), "a.txt");
        assert!(short.starts_with("May it fetch: Fetch it?\n{\"url\":") && !short.contains("SHA"));
        let long = "x".repeat(SHOWN_BYTES_MAX);
        let mut seen = BTreeSet::new();
        for end in ["a", "b"] {
            for text in [
                asks(&(long.clone() + end), Value::Null, "a.txt"),
                asks("Fetch it", json!(long.clone() + end), "a.txt"),
                asks("Fetch it", Value::Null, &(long.clone() + end)),
            ] {
                assert!(text.contains(" bytes of it are not shown here"), "{text}");
                assert!(text.len() < 4_000, "{text}");
                assert!(seen.insert(text), "two calls are asked about in the same words");
            }
        }
    }

    #[test]
    fn paths_are_in_the_worktree_or_not() {
        let inside = |path: &str| is_in(Path::new("/w/t"), Path::new(path));
        assert!(inside("/w/t/a") && inside("a/b") && inside("/w/t"));
        assert!(
            !inside("/w/tt") && !inside("/etc/passwd") && !inside("../a") && !inside("/w/t/../x")
        );
    }
}
