//! This file decides who asks and what they may: no handler reaches the hub without its proof.
//!
//! **Invariant:** the hub in [`App`] is private to this file. A handler gets at it only through a
//! [`Permit`], which exists only after [`authorize`] agreed, or through a [`Pulse`], which can ask
//! for nothing but figures.

use std::marker::PhantomData;
use std::sync::Arc;

use agentcom_core::agent::TokenHash;
use agentcom_core::command::{Command, Reply};
use agentcom_core::driver::CallError;
use agentcom_core::driver::token::{BadToken, Token, hash_of};
use agentcom_core::name::Principal;
use agentcom_core::operator::{Bearer, Holder, Right};
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
    /// Queue a task for one agent.
    PushTasks,
    /// See who is there.
    ReadAgents,
    /// Follow what happens.
    ReadEvents,
    /// Drain, resume and restart agents.
    ChangeAgents,
    /// See who holds tokens.
    ReadTokens,
    /// Make and end tokens.
    ManageTokens,
    /// See what is paused.
    ReadQueue,
    /// Pause work and weigh it.
    SteerQueue,
    /// See what is spent and how much may be.
    ReadSpending,
    /// Say how much may be spent.
    SteerSpending,
    /// Read questions.
    ReadQuestions,
    /// Answer questions.
    AnswerQuestions,
    /// Have backups made.
    ManageBackups,
}

/// What an operator's token has to permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing, not even that there is a token.
    Nothing,
    /// This right.
    Right(Right),
    /// No right suffices: it is for the admin alone.
    Admin,
}

/// Decides whether `who` may do `what`, by what the hub has stored about the token and by nothing
/// that the client says.
pub(crate) fn authorize(who: &Holder, what: Verb) -> Result<(), Problem> {
    let allowed = match who {
        Holder::Admin => true,
        Holder::Agent(_) => what.is_for_agents(),
        Holder::Operator(_, rights) => match what.need() {
            Need::Nothing => true,
            Need::Right(right) => rights.contains(&right),
            Need::Admin => false,
        },
    };
    if allowed {
        return Ok(());
    }
    let right = match (who, what.need()) {
        (Holder::Operator(..), Need::Right(right)) => Some(right),
        _ => None,
    };
    Err(Problem::forbidden(who.principal(), what.words(), right))
}

impl Verb {
    /// What an operator's token has to permit for it.
    pub(crate) const fn need(self) -> Need {
        match self {
            Self::Look => Need::Nothing,
            Self::ReadTasks | Self::ReadAgents | Self::ReadEvents | Self::ReadQuestions => {
                Need::Right(Right::TaskRead)
            }
            Self::SubmitTasks | Self::PushTasks | Self::ChangeTasks | Self::AnswerQuestions => {
                Need::Right(Right::TaskSubmit)
            }
            Self::ReadTokens | Self::ReadQueue | Self::ReadSpending => {
                Need::Right(Right::AdminRead)
            }
            Self::ChangeAgents | Self::SteerQueue | Self::SteerSpending | Self::ManageBackups => {
                Need::Right(Right::AdminWrite)
            }
            Self::ManageTokens => Need::Admin,
        }
    }

    /// Whether agents may do it.
    pub(crate) const fn is_for_agents(self) -> bool {
        match self {
            Self::Look
            | Self::SubmitTasks
            | Self::ReadTasks
            | Self::ReadAgents
            | Self::ReadEvents => true,
            Self::ChangeTasks
            | Self::PushTasks
            | Self::ChangeAgents
            | Self::ReadTokens
            | Self::ManageTokens
            | Self::ReadQueue
            | Self::SteerQueue
            | Self::ReadSpending
            | Self::SteerSpending
            | Self::ReadQuestions
            | Self::AnswerQuestions
            | Self::ManageBackups => false,
        }
    }

    /// What is done, in words that follow "may not".
    const fn words(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::SubmitTasks => "submit tasks",
            Self::ReadTasks => "read tasks",
            Self::ChangeTasks => "cancel or retry tasks",
            Self::PushTasks => "queue a task for one agent",
            Self::ReadAgents => "list agents",
            Self::ReadEvents => "read events",
            Self::ChangeAgents => "drain, resume or restart agents",
            Self::ReadTokens => "list tokens",
            Self::ManageTokens => "make or end tokens",
            Self::ReadQueue => "list pauses",
            Self::SteerQueue => "pause or weigh work",
            Self::ReadSpending => "see what is spent",
            Self::SteerSpending => "say how much may be spent",
            Self::ReadQuestions => "read questions",
            Self::AnswerQuestions => "answer questions",
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
    PushTasks,
    ReadAgents,
    ReadEvents,
    ChangeAgents,
    ReadTokens,
    ManageTokens,
    ReadQueue,
    SteerQueue,
    ReadSpending,
    SteerSpending,
    ReadQuestions,
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
    token: TokenHash,
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

    /// Whether the token still permits it. If that cannot be asked, nobody knows.
    pub(crate) async fn is_still_good(&self) -> bool {
        let known = self.app.hub.bearer(self.token).await;
        matches!(known, Ok(Bearer::Holder(who)) if authorize(&who, P::VERB).is_ok())
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
        let token = hash_of(&presented(parts)?);
        let who = match app.hub.bearer(token).await? {
            Bearer::Holder(who) => who,
            Bearer::Expired(name, at) => return Err(Problem::expired_token(&name, at)),
            Bearer::Nobody => {
                let unknown = "the token is not known; it may have been replaced or revoked";
                return Err(Problem::unauthorized(unknown));
            }
        };
        authorize(&who, P::VERB)?;
        let by = who.principal();
        let cause = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        Ok(Self { app: app.clone(), token, by, cause, purpose: PhantomData })
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
