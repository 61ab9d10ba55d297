//! This file pays for calls: before a model is asked there is leave to spend what it may come to, and
//! after it is told what it came to.

use agentcom_core::ledger::{NotGranted, Payment, Spending};
use agentcom_core::money::{Micros, Usage};
use agentcom_core::name::ModelName;
use agentcom_core::port::executor::JobContext;
use agentcom_core::price::Price;

use crate::model::{Model, ModelError, Reply, Taken};

/// A call that may be made.
#[derive(Debug)]
pub(super) struct Bill {
    model: ModelName,
    /// Whether it needs no leave.
    is_free: bool,
    price: Option<Price>,
}

impl Bill {
    /// Asks leave for a call that is billed for so many tokens of what it sends at most, if it costs
    /// anything.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn open(
        model: &dyn Model,
        input_tokens: u64,
        ctx: &dyn JobContext,
    ) -> Result<Self, NotGranted> {
        let name = named(model.name());
        let mut price = None;
        let paid = model.paid_output_max();
        if let Some(output_tokens) = paid {
            let usage = Usage { input_tokens, output_tokens, ..Usage::default() };
            let at_most = Spending { model: name.clone(), usage, micros: None };
            price = ctx.pay(Payment::AtMost(at_most)).await?.price;
        }
        Ok(Self { model: name, is_free: paid.is_none(), price })
    }

    /// Tells what a call came to, and what that cost. Of an answer that broke off nobody knows; it
    /// counts at its worst, or where it costs nothing at what is known.
    pub(super) async fn settle(
        self,
        reply: &Result<Reply, ModelError>,
        ctx: &dyn JobContext,
    ) -> Option<Micros> {
        let usage = if self.is_free { told_of(reply) } else { usage_of(reply) }?;
        let came_to = Spending { model: self.model, usage, micros: None };
        // Nobody refuses to hear it.
        let _ = ctx.pay(Payment::CameTo(came_to)).await;
        self.price.map(|price| price.of(usage))
    }
}

/// What a call took, as far as all of that is known: of an answer that broke off it is not.
fn usage_of(reply: &Result<Reply, ModelError>) -> Option<Usage> {
    match reply {
        Err(ModelError::Counted { taken: Taken::AtLeast(_), .. }) => None,
        reply => told_of(reply),
    }
}

/// What a call took, as far as that was told.
pub(super) fn told_of(reply: &Result<Reply, ModelError>) -> Option<Usage> {
    match reply {
        Ok(reply) => Some(reply.usage),
        Err(ModelError::Counted { taken, .. }) => Some(taken.usage()),
        Err(error) => error.is_free().then(Usage::default),
    }
}

/// The name of a model in the books, which are stricter about names than servers.
pub(crate) fn named(model: &str) -> ModelName {
    let fits = |c: char| if c.is_control() || c.is_whitespace() { '_' } else { c };
    let name: String = model.chars().map(fits).collect();
    let short = &name[..name.floor_char_boundary(ModelName::BYTES_MAX)];
    ModelName::new(short).unwrap_or_else(|_| unknown())
}

#[expect(clippy::expect_used, reason = "the word is a constant")]
fn unknown() -> ModelName {
    ModelName::new("unknown").expect("a valid name")
}
