//! Carries AgentCom's frames over WebSocket: the hub's end on axum, the sidecar's on
//! tokio-tungstenite.
//!
//! Both ends implement the core's [`Transport`](agentcom_core::port::transport::Transport) and
//! keep its contract; what a frame means is nothing to this crate. [`listen`] gives a router with
//! the path `/ws` to mount on the hub's own, and the transport to hand to the hub's driver;
//! [`WsClient`] is the sidecar's. [`serve()`] serves the router, with bounds that `axum::serve` lacks.
//!
//! Everything is bounded ([`Limits`], [`ServerLimits`]): frames, queues, the time that a write or
//! a farewell may take, connections in all and per address. Each connection is one task, owned by
//! its transport: it ends with the connection, and at the latest when the transport is shut down
//! or dropped.
//!
//! There is no compression in either direction. A hub has no TLS of its own; beyond a trusted network
//! it goes behind a proxy that ends TLS, and agents reach it by `wss://`, by the certificates that
//! their machine trusts.

mod client;
mod fragments;
mod guard;
mod limits;
mod link;
mod serve;
mod server;

pub use client::{BadUrl, ClientOptions, WsClient};
pub use limits::{Limits, ServerLimits};
pub use serve::{ServeLimits, serve};
pub use server::{WsTransport, listen};
