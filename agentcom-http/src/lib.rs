//! Serves the HTTP API of a hub as an axum router that a program can mount.
//!
//! ```no_run
//! # async fn example(hub: agentcom_core::driver::Handle) -> std::io::Result<()> {
//! use agentcom_http::{Options, Serving, router, serve};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
//! let stop = async { /* for example a signal */ };
//! serve(listener, router(hub, Options::default()), stop, Serving::default()).await;
//! # Ok(())
//! # }
//! ```
//!
//! Each request passes, in this order: the check of `Host` and `Origin`; bounds on the head; the
//! token and the one function that decides who may do what; bounds on the body and its fields.
//! Whatever goes wrong is answered with a problem document (RFC 9457); the file `error` alone
//! knows status codes.
//!
//! The routes, and who may use them:
//!
#![doc = include_str!("routes.md")]
//!
//! There is no CORS, nothing is cached, and tokens never travel in addresses.

mod auth;
mod backups;
mod dto;
mod error;
mod front;
mod input;
mod route;
mod routes;
mod schema;
mod serve;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use backups::{Backups, NoBackup};
pub use serve::{Serving, serve};

use std::sync::Arc;
use std::time::Duration;

use agentcom_core::origin::AllowList;
use axum::Router;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;

/// The hub as the routes see it.
#[cfg(not(test))]
use agentcom_core::driver::Handle as Hub;
#[cfg(test)]
use testing::Hub;

/// How the routes behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// The hosts that are answered to, and the pages that may talk to the hub.
    pub allowed: AllowList,
    /// The longest body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request may take, except that an event feed goes on for as long as it is read.
    pub answer_within: Duration,
    /// The most event feeds that are open at once.
    pub feeds_max: usize,
    /// How often a quiet event feed gives a sign of life.
    pub feed_beat: Duration,
    /// What makes backups, if anything does.
    pub backups: Option<Arc<dyn Backups>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed: AllowList::default(),
            body_bytes_max: 1 << 20,
            answer_within: Duration::from_secs(60),
            feeds_max: 256,
            feed_beat: Duration::from_secs(15),
            backups: None,
        }
    }
}

/// The routes of the API, complete with their checks.
///
/// The router brings a fallback of its own; merge it with routers that have none.
pub fn router(hub: Hub, options: Options) -> Router {
    let app = auth::App::new(hub, options);
    let options = Arc::clone(&app.options);
    let routes = routes::all().into_iter();
    routes
        .fold(Router::new(), |router, route| route.mount(router))
        .fallback(front::no_route)
        .method_not_allowed_fallback(front::no_method)
        .with_state(app)
        .layer(CatchPanicLayer::custom(front::caught))
        .layer(from_fn_with_state(options, front::front))
}
