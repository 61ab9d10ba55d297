//! This file decides who asks and what they may: no handler reaches the hub without its proof.
//!
//! **Invariant:** the hub in [`App`] is private to this file. A handler gets at it only through a
//! [`Permit`], which exists only after [`authorize`] agreed, or through a [`Pulse`], which can ask
//! for nothing but figures.

use std::marker::PhantomData;
use std::sync::Arc;

use agentcom_core::command::{Command, Reply};
use agentcom_core::driver::CallError;
use agentcom_core::driver::token::{BadToken, Token};
use agentcom_core::name::Principal;
use agentcom_core::view::Stats;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Problem;
use crate::front::RequestId;
use crate::{Hub, Options};

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    /// What needs no token: health and schemas.
    Look,
    /// Queue tasks.
    SubmitTasks,
    /// Read tasks.
    ReadTasks,
    /// Cancel and retry tasks.
    ChangeTasks,
    /// See who is there.
    ReadAgents,
    /// Follow what happens.
    ReadEvents,
    /// Drain, resume and restart agents.
    ChangeAgents,
    /// Make and end tokens.
    ManageTokens,
    /// Pause work and weigh it.
    SteerQueue,
    /// See what is spent and how much may be.
    ReadSpending,
    /// Say how much may be spent.
    SteerSpending,
    /// Read and answer questions.
    AnswerQuestions,
    /// Have backups made.
    ManageBackups,
}

/// Decides whether `who` may do `what`.
pub(crate) fn authorize(who: &Principal, what: Verb) -> Result<(), Problem> {
    let allowed = match who {
        Principal::Admin | Principal::System => true,
        Principal::Agent(_) => match what {
            Verb::Look
            | Verb::SubmitTasks
            | Verb::ReadTasks
            | Verb::ReadAgents
            | Verb::ReadEvents => true,
            Verb::ChangeTasks
            | Verb::ChangeAgents
            | Verb::ManageTokens
            | Verb::SteerQueue
            | Verb::ReadSpending
            | Verb::SteerSpending
            | Verb::AnswerQuestions
            | Verb::ManageBackups => false,
        },
    };
    if allowed { Ok(()) } else { Err(Problem::forbidden(who, what.words())) }
}

impl Verb {
    /// What is done, in words that follow "may not".
    const fn words(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::SubmitTasks => "submit tasks",
            Self::ReadTasks => "read tasks",
            Self::ChangeTasks => "cancel or retry tasks",
            Self::ReadAgents => "list agents",
            Self::ReadEvents => "read events",
            Self::ChangeAgents => "drain, resume or restart agents",
            Self::ManageTokens => "manage tokens",
            Self::SteerQueue => "pause or weigh work",
            Self::ReadSpending => "see what is spent",
            Self::SteerSpending => "say how much may be spent",
            Self::AnswerQuestions => "read or answer questions",
            Self::ManageBackups => "have backups made",
        }
    }
}

macro_rules! verbs {
    ($($name:ident),+) => {$(
        #[doc = concat!("Marks a permit for [`Verb::", stringify!($name), "`].")]
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Purpose for $name {
            const VERB: Verb = Verb::$name;
        }
    )+};
}

/// What a permit is for.
pub(crate) trait Purpose: Send + Sync + 'static {
    /// The verb that was authorised.
    const VERB: Verb;
}

verbs!(
    SubmitTasks,
    ReadTasks,
    ChangeTasks,
    ReadAgents,
    ReadEvents,
    ChangeAgents,
    ManageTokens,
    SteerQueue,
    ReadSpending,
    SteerSpending,
    AnswerQuestions,
    ManageBackups
);

/// What the routes share.
#[derive(Clone, Debug)]
pub(crate) struct App {
    hub: Hub,
    feeds: Arc<Semaphore>,
    pub(crate) options: Arc<Options>,
}

impl App {
    pub(crate) fn new(hub: Hub, options: Options) -> Self {
        let feeds = Arc::new(Semaphore::new(options.feeds_max));
        Self { hub, feeds, options: Arc::new(options) }
    }
}

/// What a handler has to be given first: its right to answer at all.
pub(crate) trait Pass: FromRequestParts<App> + Send + 'static {
    /// What it allows.
    const VERB: Verb;
}

/// The proof that somebody may do something, and the way to do it.
#[derive(Debug)]
pub(crate) struct Permit<P> {
    app: App,
    by: Principal,
    cause: Option<Box<str>>,
    purpose: PhantomData<P>,
}

impl<P: Purpose> Pass for Permit<P> {
    const VERB: Verb = P::VERB;
}

impl<P: Purpose> Permit<P> {
    /// The hub.
    pub(crate) const fn hub(&self) -> &Hub {
        &self.app.hub
    }

    /// Who asks.
    pub(crate) const fn by(&self) -> &Principal {
        &self.by
    }

    /// Has the hub do something; a refusal is a problem.
    pub(crate) async fn call(&self, command: Command) -> Result<Reply, Problem> {
        let reply = self.ask(command).await?;
        if let Reply::Rejected(rejected) = reply { Err(rejected.into()) } else { Ok(reply) }
    }

    /// Asks the hub to do something.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, CallError> {
        self.app.hub.call_for(self.by.clone(), self.cause.clone(), command).await
    }

    /// Takes one of the places for open feeds.
    pub(crate) fn take_feed(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.app.feeds).try_acquire_owned();
        place.map_err(|_| Problem::too_many_feeds(self.app.options.feeds_max))
    }
}

impl<P: Purpose> FromRequestParts<App> for Permit<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = presented(parts)?;
        let unknown = "the token is not known; it may have been replaced or revoked";
        let by = app.hub.authenticate(&token).await?.ok_or(Problem::unauthorized(unknown))?;
        authorize(&by, P::VERB)?;
        let cause = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        Ok(Self { app: app.clone(), by, cause, purpose: PhantomData })
    }
}

impl<P> Permit<P> {
    /// How the routes behave.
    pub(crate) fn options(&self) -> &Options {
        &self.app.options
    }
}

/// The right to ask how the hub is doing, which everybody has.
#[derive(Debug)]
pub(crate) struct Pulse(App);

impl Pass for Pulse {
    const VERB: Verb = Verb::Look;
}

impl Pulse {
    /// How backups went so far, if any are made.
    pub(crate) fn backups(&self) -> Option<serde_json::Value> {
        self.0.options.backups.as_ref().map(|backups| backups.health())
    }

    /// Figures about the hub.
    pub(crate) async fn stats(&self) -> Result<Stats, CallError> {
        self.0.hub.stats().await
    }
}

impl FromRequestParts<App> for Pulse {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(app.clone()))
    }
}

/// The token that came with a request.
fn presented(parts: &Parts) -> Result<String, Problem> {
    if names_token(parts.uri.query().unwrap_or_default()) {
        return Err(Problem::token_in_url());
    }
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Problem::unauthorized("send `authorization: Bearer <token>`, once"));
    };
    let shape = Problem::unauthorized("the header has to read `authorization: Bearer <token>`");
    let (scheme, token) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(shape.clone())?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(shape);
    }
    match Token::parse(token) {
        Ok(_) | Err(BadToken::Foreign) => Ok(token.to_owned()),
        Err(bad) => Err(Problem::bad_token(bad)),
    }
}

fn names_token(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("token")))
}

#[cfg(test)]
mod tests;
