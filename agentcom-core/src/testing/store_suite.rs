//! This file lets anybody test a [`Store`] of their own against the contract of the port.
//!
//! Say how your store is opened on the same data again, as a restarted process would, and let
//! [`store_conformance!`](crate::store_conformance) write the tests, one for each case:
//!
//! ```
//! use agentcom_core::port::store::{Store, StoreError};
//! use agentcom_core::testing::memory::MemoryDisk;
//! use agentcom_core::testing::store_suite::StoreFixture;
//!
//! /// Where one test keeps its data; a temporary directory, say, that goes when this is dropped.
//! #[derive(Default)]
//! struct Fixture {
//!     disk: MemoryDisk,
//! }
//!
//! #[async_trait::async_trait]
//! impl StoreFixture for Fixture {
//!     async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
//!         Ok(Box::new(self.disk.open()))
//!     }
//! }
//!
//! // In a tests/conformance.rs, or in a `#[cfg(test)] mod conformance`:
//! agentcom_core::store_conformance!(Fixture::default());
//! # fn main() {}
//! ```
//!
//! A store that needs a runtime names the attribute of its tests:
//!
//! ```text
//! agentcom_core::store_conformance!(#[tokio::test] Fixture::default());
//! ```
//!
//! The expression is evaluated once for each test, and more often by the random one; each value
//! must hold a data set of its own, empty at first.
//!
//! | line of the contract | cases in |
//! |---|---|
//! | atomic, durable | [`durable`] |
//! | ordered | [`ordered`] |
//! | exclusive | [`exclusive`] |
//! | exact | [`exact`] |
//! | sorted | [`sorted`] |
//! | cancel safe | [`cancelled`] |
//! | what each method answers | [`reading`] |
//! | all of them together | [`random`] |
//!
//! What no portable test can do is left to the adapter's own tests: to cut the power, to damage a
//! row (which has to be [`StoreErrorKind::Corrupt`](crate::port::store::StoreErrorKind::Corrupt)
//! and name it), to fill the disk.

use alloc::boxed::Box;

use async_trait::async_trait;

use crate::port::store::{Store, StoreError};
use crate::testing::memory::MemoryDisk;

pub mod cancelled;
pub mod durable;
pub mod exact;
pub mod exclusive;
pub mod ordered;
pub mod random;
pub mod reading;
pub mod sorted;
mod words;

#[doc(hidden)]
pub use futures_executor::block_on;

/// Opens the store under test, again and again on the same data.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// Opens the store as a process that has just started would. The suite drops a store before
    /// it opens another, except where it tests that two cannot be open.
    async fn open(&self) -> Result<Box<dyn Store>, StoreError>;
}

#[async_trait]
impl StoreFixture for MemoryDisk {
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Self::open(self)))
    }
}

/// Writes one test for each case of the [suite](crate::testing::store_suite).
///
/// Takes an expression that makes a fresh [`StoreFixture`], behind the attribute of asynchronous
/// tests if they need one.
#[macro_export]
macro_rules! store_conformance {
    (#[$test:meta] $fixture:expr) => {
        $crate::store_conformance! { @each (#[$test] async) ($fixture) }
    };
    (@each $how:tt $fixture:tt) => {
        $crate::store_conformance! { @cases $how $fixture
            durable::what_was_confirmed_is_there_after_reopening
            durable::what_was_deleted_is_gone_after_reopening
            durable::many_batches_are_there_after_reopening
            durable::a_batch_is_there_whole
            durable::a_refused_batch_leaves_nothing
            ordered::a_fresh_store_has_no_rows_and_no_seq
            ordered::load_returns_the_seq_of_the_last_batch
            ordered::a_seq_that_repeats_is_refused_as_fenced
            ordered::a_seq_that_goes_back_is_refused_as_fenced
            ordered::a_seq_from_before_reopening_is_refused_as_fenced
            ordered::a_seq_may_leap
            ordered::an_empty_batch_counts
            exclusive::two_writers_are_never_alive
            exclusive::a_dropped_store_makes_room_for_the_next
            exact::empty_values_are_values
            exact::all_bytes_are_kept
            exact::the_shortest_and_longest_keys_are_kept
            exact::values_of_one_mebibyte_are_kept
            exact::the_longest_value_is_kept
            exact::the_last_put_wins
            exact::a_row_may_come_and_go
            exact::removing_a_row_that_is_not_there_is_no_error
            exact::the_same_key_in_other_tables_is_another_row
            sorted::history_is_in_the_order_of_raw_bytes
            sorted::history_reads_every_range_as_defined
            sorted::history_pages_through_a_table
            sorted::history_of_nothing_is_empty
            reading::get_answers_in_the_order_of_the_question
            reading::load_visits_live_tables_only_in_their_order
            reading::load_visits_rows_in_the_order_of_raw_bytes
            reading::load_ends_with_the_visitors_error
            reading::load_sees_every_row_of_a_large_table
            reading::reads_go_on_beside_a_commit
            cancelled::dropped_reads_change_nothing
            cancelled::a_dropped_commit_is_there_whole_or_not_at_all
        }
        $crate::store_conformance! { @random $how $fixture random::any_history_equals_the_model }
    };
    (@cases $how:tt $fixture:tt $($line:ident :: $case:ident)+) => {
        $($crate::store_conformance! { @case $how $fixture $line $case })+
    };
    (@case (#[$test:meta] async) ($fixture:expr) $line:ident $case:ident) => {
        #[$test]
        async fn $case() {
            $crate::testing::store_suite::$line::$case(&$fixture).await;
        }
    };
    (@case () ($fixture:expr) $line:ident $case:ident) => {
        #[test]
        fn $case() {
            $crate::testing::store_suite::block_on(
                $crate::testing::store_suite::$line::$case(&$fixture),
            );
        }
    };
    (@random (#[$test:meta] async) ($fixture:expr) $line:ident :: $case:ident) => {
        #[$test]
        async fn $case() {
            $crate::testing::store_suite::$line::$case(|| $fixture).await;
        }
    };
    (@random () ($fixture:expr) $line:ident :: $case:ident) => {
        #[test]
        fn $case() {
            $crate::testing::store_suite::block_on(
                $crate::testing::store_suite::$line::$case(|| $fixture),
            );
        }
    };
    ($fixture:expr) => {
        $crate::store_conformance! { @each () ($fixture) }
    };
}

#[cfg(test)]
mod tests {
    use super::MemoryDisk;

    crate::store_conformance!(MemoryDisk::new());
}
