//! This file serves the feed of events: as a stream that can be resumed, or page by page.

use std::convert::Infallible;

use agentcom_core::driver::FeedItem;
use agentcom_core::name::Principal;
use agentcom_core::view::Event as Happened;
use axum::Json;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};

use crate::auth::{Permit, ReadEvents};
use crate::dto::query::EventsQuery;
use crate::error::{FieldError, Problem};
use crate::input::{Headers, Query};
use crate::route::{Method, Route};

const LAST_EVENT_ID: &str = "last-event-id";
/// The longest page.
const LIMIT_MAX: usize = 1_000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new(Method::Get, "/api/events", events)]
}

async fn events(
    permit: Permit<ReadEvents>,
    (Headers(headers), Query(query)): (Headers, Query<EventsQuery>),
) -> Result<Response, Problem> {
    let after = after(&headers, &query)?;
    match query.format.as_deref() {
        None | Some("sse") => stream(permit, after).await,
        Some("json") => {
            let page = page(&permit, after.unwrap_or(0), query.limit).await?;
            Ok(Json(page).into_response())
        }
        Some(_) => Err(Problem::fields(vec![FieldError::invalid("format", "must be sse or json")])),
    }
}

/// From where on: a client that reconnects by itself says so in a header.
fn after(headers: &HeaderMap, query: &EventsQuery) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(query.after) };
    let seq = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || Problem::fields(vec![FieldError::invalid("Last-Event-ID", "must be a number")]);
    seq.map(Some).ok_or_else(wrong)
}

async fn page(
    permit: &Permit<ReadEvents>,
    after: u64,
    limit: Option<usize>,
) -> Result<Value, Problem> {
    let limit = limit.unwrap_or(100);
    if limit == 0 || limit > LIMIT_MAX {
        let why = format!("must be 1 to {LIMIT_MAX}");
        return Err(Problem::fields(vec![FieldError::invalid("limit", why)]));
    }
    let events = permit.hub().events(after, limit).await?;
    let next = events.last().map_or(after, |event| event.seq);
    Ok(json!({ "count": events.len(), "events": events, "next_after": next }))
}

async fn stream(permit: Permit<ReadEvents>, after: Option<u64>) -> Result<Response, Problem> {
    let place = permit.take_feed()?;
    let feed = permit.hub().follow(after).await?;
    // What ended the token before the feed began, the feed does not tell.
    if !permit.is_still_good().await {
        return Err(Problem::unauthorized("the token is not known any more"));
    }
    let beat = KeepAlive::new().interval(permit.options().feed_beat).text("still here");
    let frames = frames(feed, permit).inspect(move |_| {
        // The place is free again when the stream is dropped.
        let _held = &place;
    });
    Ok(Sse::new(frames).keep_alive(beat).into_response())
}

/// The frames of a feed. It ends when the token of its reader does.
fn frames(
    feed: impl Stream<Item = FeedItem> + Send + Unpin,
    permit: Permit<ReadEvents>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    unfold((Some(feed), permit), async |(feed, permit)| {
        let mut feed = feed?;
        let item = feed.next().await?;
        let goes_on = match &item {
            FeedItem::Event(event) if concerns(event, permit.by()) => permit.is_still_good().await,
            FeedItem::Event(_) | FeedItem::Progress(_) => true,
            FeedItem::Lagged { .. } => false,
        };
        Some((Ok(frame(&item)), (goes_on.then_some(feed), permit)))
    })
}

/// Whether an event may have ended a token of the reader.
fn concerns(event: &Happened, reader: &Principal) -> bool {
    match reader {
        Principal::Agent(agent) => {
            event.agent_id.as_ref() == Some(agent)
                && matches!(&*event.kind, "agent.removed" | "agent.token")
        }
        Principal::Operator(operator) => event.operator.as_ref() == Some(operator),
        Principal::Admin | Principal::System => false,
    }
}

/// What one item reads on the stream. Only durable events have an id, so that a reader resumes
/// behind the last of them.
fn frame(item: &FeedItem) -> Event {
    let frame = Event::default();
    match item {
        FeedItem::Event(event) => {
            frame.id(event.seq.to_string()).event(&event.kind).data(json!(event).to_string())
        }
        FeedItem::Progress(news) => frame.event("progress").data(json!(news).to_string()),
        FeedItem::Lagged { after } => {
            frame.event("lagged").data(json!({ "after": after }).to_string())
        }
    }
}
