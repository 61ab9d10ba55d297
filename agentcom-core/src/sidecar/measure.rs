//! This file decides when a sidecar says how busy its machine is: soon after it is online, and then
//! at steady intervals, which are those of the original.
//!
//! Nothing waits for a measurement. One that fails, or comes when the hub is gone, is left out.

use super::{Effect, Sidecar};
use crate::time::{Mono, Span};
use crate::wire::Figures;

/// From when the hub knows who it is to the first measurement.
const FIRST_AFTER: Span = Span::from_secs(5);
/// From one measurement to the next.
const EVERY: Span = Span::from_secs(30);

impl Sidecar {
    /// The same sidecar, driven by somebody who can measure: it asks for it by [`Effect::Measure`].
    #[must_use]
    pub const fn measuring(mut self) -> Self {
        self.measures = true;
        self
    }

    /// The hub knows who it is.
    pub(super) fn measure_soon(&mut self) {
        let first = self.floor.mono + FIRST_AFTER;
        let wanted = self.measures.then_some(first);
        self.session.online_mut().iter_mut().for_each(|online| online.measure_at = wanted);
    }

    pub(super) fn measure_due(&self) -> Option<Mono> {
        self.session.online()?.measure_at
    }

    /// Asks for the measurement that is due.
    pub(super) fn measure(&mut self) {
        let now = self.floor.mono;
        let Some(online) = self.session.online_mut() else { return };
        if online.measure_at.is_some_and(|at| at <= now) {
            online.measure_at = Some(now + EVERY);
            self.out.effect(Effect::Measure);
        }
    }

    pub(super) fn measured(&mut self, figures: Figures) {
        if self.session.online().is_some() {
            self.out.effect(Effect::Send(figures.frame(self.floor.wall)));
        }
    }
}
