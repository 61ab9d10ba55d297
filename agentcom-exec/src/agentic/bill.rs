//! This file pays for calls: before a model is asked there is leave to spend what it may come to, and
//! after it is told what it came to.
//!
//! Work stops by being dropped, in the middle of a call as well: what is known of that by then is told.

use agentcom_core::ledger::{NotGranted, Payment, Spending};
use agentcom_core::money::{Micros, Usage};
use agentcom_core::name::ModelName;
use agentcom_core::port::executor::JobContext;
use agentcom_core::price::Price;
use futures_util::FutureExt as _;

use super::heard::SoFar;
use crate::model::{Heard, Model, ModelError, Reply, Taken};

/// A call that may be made.
pub(super) struct Bill<'a> {
    ctx: &'a dyn JobContext,
    model: ModelName,
    /// What it may come to; nothing if it needs no leave.
    paid: Option<Paid>,
    /// How many tokens a model has read that says something.
    at_least: u64,
    so_far: SoFar,
    is_open: bool,
}

/// What a call may come to for which there is leave.
struct Paid {
    micros: Micros,
    output_tokens: u64,
    price: Option<Price>,
}

impl<'a> Bill<'a> {
    /// Asks leave for a call that sends `at_least` so many tokens, and is billed for so many
    /// `input_tokens` at most, if it costs anything.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn open(
        model: &dyn Model,
        (at_least, input_tokens): (u64, u64),
        ctx: &'a dyn JobContext,
    ) -> Result<Self, NotGranted> {
        let name = named(model.name());
        let mut paid = None;
        if let Some(output_tokens) = model.paid_output_max() {
            let usage = Usage { input_tokens, output_tokens, ..Usage::default() };
            let at_most = Spending { model: name.clone(), usage, micros: None };
            let granted = ctx.pay(Payment::AtMost(at_most)).await?;
            paid = Some(Paid { micros: granted.micros, output_tokens, price: granted.price });
        }
        let so_far = SoFar::default();
        Ok(Self { ctx, model: name, paid, at_least, so_far, is_open: true })
    }

    /// Something of the answer is there.
    pub(super) fn hears(&mut self, heard: Heard<'_>) {
        self.so_far.take(heard);
    }

    /// The error that the answer came to, with what is known of what it took.
    pub(super) fn counted(&self, error: ModelError) -> ModelError {
        self.so_far.counted(self.at_least, error)
    }

    /// Tells what a call came to, and what that cost, if all of that is known.
    pub(super) async fn settle(mut self, reply: &Result<Reply, ModelError>) -> Option<Micros> {
        self.is_open = false;
        let came_to = self.came_to(reply)?;
        let (usage, is_known) = (came_to.usage, came_to.micros.is_none());
        // Nobody refuses to hear it.
        let _ = self.ctx.pay(Payment::CameTo(came_to)).await;
        let price = self.paid.as_ref().and_then(|paid| paid.price).filter(|_| is_known);
        price.map(|price| price.of(usage))
    }

    /// What a call came to, as far as that is known. How long the answer would have been that broke off
    /// nobody knows: it costs the longest.
    fn came_to(&self, reply: &Result<Reply, ModelError>) -> Option<Spending> {
        let usage = told_of(reply)?;
        let broke_off = matches!(reply, Err(ModelError::Counted { taken: Taken::AtLeast(_), .. }));
        let paid = self.paid.as_ref().filter(|_| broke_off);
        let micros = paid.map(|paid| paid.at_most(usage, self.so_far.is_told()));
        Some(Spending { model: self.model.clone(), usage, micros })
    }
}

impl Drop for Bill<'_> {
    /// The call is cut.
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let cut = Err(self.counted(ModelError::Broken(String::new())));
        if let Some(came_to) = self.came_to(&cut) {
            // It is taken in at once, or by nobody.
            let _ = self.ctx.pay(Payment::CameTo(came_to)).now_or_never();
        }
    }
}

impl Paid {
    /// What an answer cost at most that broke off: what was read is known, if the server told it.
    fn at_most(&self, usage: Usage, is_told: bool) -> Micros {
        let output_tokens = usage.output_tokens.max(self.output_tokens);
        let longest = Usage { output_tokens, ..usage };
        let price = self.price.filter(|_| is_told);
        price.map_or(self.micros, |price| price.of(longest).min(self.micros))
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
