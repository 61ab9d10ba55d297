//! This file is the state machine that keeps tasks away from an endpoint that does not serve them.
//!
//! | state | tasks | ends with |
//! |---|---|---|
//! | closed | as many as there are slots | two failures in a row |
//! | open | none | its time |
//! | half open | one at a time | an answer, or another failure |

use crate::time::{Mono, Span};

/// Whether an endpoint is given tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It is, and so often in a row it failed.
    Closed {
        /// Failures in a row.
        failures: u32,
        /// For how long it was open last, if no task succeeded since.
        backoff: Span,
    },
    /// It is not.
    Open {
        /// Until when.
        until: Mono,
        /// For how long it was opened.
        backoff: Span,
    },
    /// It is tried.
    HalfOpen {
        /// For how long it was open.
        backoff: Span,
    },
}

/// What is heard of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered a question about itself.
    Answered,
    /// It served a task.
    Worked,
    /// It did not serve, and asks to be left alone for this long at least.
    Failed(Option<Span>),
    /// Time has passed.
    Due,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0, backoff: Span(0) }
    }
}

impl Breaker {
    /// So many failures in a row open it.
    pub const FAILURES_MAX: u32 = 2;
    /// The first and the longest time for which it is open.
    pub const BACKOFF_BASE: Span = Span::from_secs(15);
    /// The longest time for which it is open.
    pub const BACKOFF_CAP: Span = Span::from_mins(10);

    /// The breaker after something was heard.
    ///
    /// An answer does not undo the growth of the time for which it is open: a server that answers
    /// questions and serves nobody is left alone for longer and longer.
    #[must_use]
    pub fn on(self, now: Mono, sign: Sign) -> Self {
        match self {
            Self::Closed { failures, backoff } => match sign {
                Sign::Answered => Self::Closed { failures: 0, backoff },
                Sign::Worked => Self::default(),
                Sign::Failed(least) if failures + 1 >= Self::FAILURES_MAX => {
                    Self::opened(now, backoff, least)
                }
                Sign::Failed(_) => Self::Closed { failures: failures + 1, backoff },
                Sign::Due => self,
            },
            Self::Open { until, backoff } => match sign {
                Sign::Answered => Self::Closed { failures: 0, backoff },
                Sign::Worked => Self::default(),
                // It is what it was opened for.
                Sign::Failed(_) => self,
                Sign::Due if until <= now => Self::HalfOpen { backoff },
                Sign::Due => self,
            },
            Self::HalfOpen { backoff } => match sign {
                Sign::Answered => Self::Closed { failures: 0, backoff },
                Sign::Worked => Self::default(),
                Sign::Failed(least) => Self::opened(now, backoff, least),
                Sign::Due => self,
            },
        }
    }

    /// How many tasks it lets through at once, if there is a bound.
    #[must_use]
    pub const fn lets_through(self) -> Option<usize> {
        match self {
            Self::Closed { .. } => None,
            Self::HalfOpen { .. } => Some(1),
            Self::Open { .. } => Some(0),
        }
    }

    /// The word for the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }

    fn opened(now: Mono, before: Span, least: Option<Span>) -> Self {
        let grown = before.times(2).clamp(Self::BACKOFF_BASE, Self::BACKOFF_CAP);
        let backoff = grown.max(least.unwrap_or_default().min(Self::BACKOFF_CAP));
        Self::Open { until: now + backoff, backoff }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_moves() {
        let states = [
            Breaker::default(),
            Breaker::Closed { failures: 1, backoff: Span::from_secs(15) },
            Breaker::Open { until: Mono(100), backoff: Span::from_secs(15) },
            Breaker::Open { until: Mono(101), backoff: Span::from_secs(15) },
            Breaker::HalfOpen { backoff: Span::from_secs(15) },
        ];
        let signs = [Sign::Answered, Sign::Worked, Sign::Failed(None), Sign::Due];
        let told = |breaker: Breaker| match breaker {
            Breaker::Closed { failures, backoff } => format!("closed {failures} {backoff}"),
            Breaker::Open { until, backoff } => format!("open {} {backoff}", until.0),
            Breaker::HalfOpen { backoff } => format!("half open {backoff}"),
        };
        let row = |state: Breaker| {
            let cells = signs.iter().map(|sign| told(state.on(Mono(100), *sign)));
            format!("{} | {}", told(state), cells.collect::<Vec<_>>().join(" | "))
        };
        let table: Vec<String> = states.into_iter().map(row).collect();
        assert_eq!(
            table.join("\n"),
            "closed 0 0 ms | closed 0 0 ms | closed 0 0 ms | closed 1 0 ms | closed 0 0 ms\n\
             closed 1 15 s | closed 0 15 s | closed 0 0 ms | open 30100 30 s | closed 1 15 s\n\
             open 100 15 s | closed 0 15 s | closed 0 0 ms | open 100 15 s | half open 15 s\n\
             open 101 15 s | closed 0 15 s | closed 0 0 ms | open 101 15 s | open 101 15 s\n\
             half open 15 s | closed 0 15 s | closed 0 0 ms | open 30100 30 s | half open 15 s"
        );
    }

    fn signs() -> impl Strategy<Value = Vec<(u64, Sign)>> {
        let sign = prop_oneof![
            Just(Sign::Answered),
            Just(Sign::Worked),
            Just(Sign::Failed(None)),
            (0..2_000_000_u64).prop_map(|ms| Sign::Failed(Some(Span(ms)))),
            Just(Sign::Due),
        ];
        prop::collection::vec((0..1_000_000_u64, sign), 0..60)
    }

    proptest! {
        #[test]
        fn it_is_open_only_after_failures_in_a_row_and_never_for_longer_than_may_be(
            signs in signs()
        ) {
            let (mut breaker, mut now, mut in_a_row) = (Breaker::default(), Mono(0), 0);
            for (later, sign) in signs {
                now = now + Span(later);
                let before = breaker;
                breaker = breaker.on(now, sign);
                match sign {
                    Sign::Failed(_) => in_a_row += 1,
                    Sign::Answered | Sign::Worked => in_a_row = 0,
                    Sign::Due => {}
                }
                if let Breaker::Open { until, backoff } = breaker {
                    prop_assert!(in_a_row >= Breaker::FAILURES_MAX);
                    prop_assert!(backoff >= Breaker::BACKOFF_BASE);
                    if breaker != before {
                        prop_assert_eq!(until, now + backoff);
                        prop_assert!(backoff <= Breaker::BACKOFF_CAP);
                    }
                } else {
                    // Nothing but its time or an answer lets tasks through again.
                    let was_open = matches!(before, Breaker::Open { .. });
                    prop_assert!(!was_open || !matches!(sign, Sign::Failed(_)));
                }
            }
        }

        #[test]
        fn whatever_was_heard_an_answer_closes_it(signs in signs()) {
            let heard = signs.iter().fold(Breaker::default(), |it, (at, sign)| it.on(Mono(*at), *sign));
            prop_assert_eq!(heard.on(Mono(0), Sign::Answered).lets_through(), None);
        }
    }
}
