//! This file lets anybody test a [`Transport`] of their own against the contract of the port.
//!
//! Say how the two ends are opened, and let
//! [`transport_conformance!`](crate::transport_conformance) write the tests, one for each case:
//!
//! ```
//! use agentcom_core::port::transport::Transport;
//! use agentcom_core::testing::loopback::{Capacity, LocalConnector, LocalListener, local};
//! use agentcom_core::testing::transport_suite::TransportFixture;
//! use agentcom_core::wire::Dialect;
//!
//! struct Fixture(LocalListener, LocalConnector);
//!
//! #[async_trait::async_trait]
//! impl TransportFixture for Fixture {
//!     fn hub(&self) -> &dyn Transport {
//!         &self.0
//!     }
//!
//!     fn agent(&self, dialect: Dialect) -> Box<dyn Transport> {
//!         Box::new(self.1.clone().speaking(dialect))
//!     }
//!
//!     async fn stop_hub(&self) {
//!         self.0.shutdown();
//!     }
//! }
//!
//! fn fixture() -> Fixture {
//!     let (listener, connector) = local(Capacity::default());
//!     Fixture(listener, connector)
//! }
//!
//! // In a tests/conformance.rs, or in a `#[cfg(test)] mod conformance`:
//! agentcom_core::transport_conformance!(fixture());
//! # fn main() {}
//! ```
//!
//! A transport that needs a runtime names the attribute of its tests:
//!
//! ```text
//! agentcom_core::transport_conformance!(#[tokio::test] fixture());
//! ```
//!
//! The expression is evaluated once for each test. A case that takes longer than [`PATIENCE`]
//! fails.
//!
//! | line of the contract | cases in |
//! |---|---|
//! | ordered, whole | [`ordered`] |
//! | honest, bounded | [`bounded`] |
//! | ending | [`ending`] |
//! | cancel safe | [`cancelled`] |
//! | what `open` gives | [`opening`] |
//!
//! What no portable test can do is left to the adapter's own tests: to cut a cable, to send what
//! is no frame, to read too slowly for minutes, to see the reason of a close on the wire.

use alloc::boxed::Box;
use core::time::Duration;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use async_trait::async_trait;
use futures_channel::oneshot;
use futures_util::future::{Either, select};

use crate::port::transport::Transport;
use crate::wire::Dialect;

pub mod bounded;
pub mod cancelled;
pub mod ending;
pub mod opening;
pub mod ordered;
mod words;

#[doc(hidden)]
pub use futures_executor::block_on;

/// How long a case may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The two ends of the transport under test.
#[async_trait]
pub trait TransportFixture: Send + Sync {
    /// The hub's end.
    fn hub(&self) -> &dyn Transport;

    /// An agent's end that reaches this hub. The suite drops it after its connections.
    fn agent(&self, dialect: Dialect) -> Box<dyn Transport>;

    /// Shuts the hub's end down for good.
    async fn stop_hub(&self);

    /// What may be on its way in one direction at most, in bytes: queues, buffers and, on a
    /// network, what the operating systems hold.
    fn in_flight_max(&self) -> usize {
        64 << 20
    }
}

/// Runs a case, with a watch that needs no runtime.
#[doc(hidden)]
pub async fn within_patience(case: impl Future<Output = ()>) {
    let (over, timeout) = oneshot::channel();
    let (done, watched) = channel::<()>();
    thread::spawn(move || {
        if watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = over.send(());
        }
    });
    match select(core::pin::pin!(case), timeout).await {
        Either::Left(((), _)) => drop(done),
        Either::Right(_) => panic!("the case has not ended within {PATIENCE:?}"),
    }
}

/// Writes one test for each case of the [suite](crate::testing::transport_suite).
///
/// Takes an expression that makes a fresh [`TransportFixture`], behind the attribute of
/// asynchronous tests if they need one.
#[macro_export]
macro_rules! transport_conformance {
    (#[$test:meta] $fixture:expr) => {
        $crate::transport_conformance! { @each (#[$test] async) ($fixture) }
    };
    (@each $how:tt $fixture:tt) => {
        $crate::transport_conformance! { @cases $how $fixture
            ordered::frames_arrive_in_the_order_they_were_sent
            ordered::both_directions_flow_at_once
            ordered::frames_arrive_as_they_were_sent
            ordered::frames_of_one_mebibyte_arrive_whole
            bounded::a_side_that_does_not_read_makes_send_fail
            bounded::what_was_taken_arrives_and_what_was_refused_does_not
            bounded::reading_makes_room_again
            ending::closing_delivers_what_was_sent_before
            ending::dropping_the_sending_half_delivers_what_was_sent_before
            ending::dropping_the_receiving_half_ends_the_connection
            ending::dropping_a_connection_delivers_what_was_sent_before
            ending::after_a_close_the_own_side_is_closed_too
            ending::an_end_stays_an_end
            ending::what_the_other_side_sent_before_it_learnt_of_the_end_does_no_harm
            cancelled::a_dropped_recv_loses_no_frame
            cancelled::a_dropped_open_of_the_hub_loses_no_connection
            cancelled::a_dropped_open_of_an_agent_leaves_the_hub_able_to_serve
            opening::the_hub_learns_the_agents_dialect
            opening::many_connections_are_kept_apart
            opening::an_agent_may_come_again
            opening::after_its_shutdown_the_hub_gives_no_connection
            opening::a_shutdown_wakes_who_waits_for_a_connection
        }
    };
    (@cases $how:tt $fixture:tt $($line:ident :: $case:ident)+) => {
        $($crate::transport_conformance! { @case $how $fixture $line $case })+
    };
    (@case (#[$test:meta] async) ($fixture:expr) $line:ident $case:ident) => {
        #[$test]
        async fn $case() {
            use $crate::testing::transport_suite::{$line, within_patience};
            let fixture = $fixture;
            within_patience($line::$case(&fixture)).await;
        }
    };
    (@case () ($fixture:expr) $line:ident $case:ident) => {
        #[test]
        fn $case() {
            use $crate::testing::transport_suite::{$line, block_on, within_patience};
            let fixture = $fixture;
            block_on(within_patience($line::$case(&fixture)));
        }
    };
    ($fixture:expr) => {
        $crate::transport_conformance! { @each () ($fixture) }
    };
}

#[cfg(test)]
mod tests;
