//! This file is the state machine of the connection to the hub, and what is known through it.
//!
//! | state | waits for | ends with |
//! |---|---|---|
//! | waiting | the end of the backoff | that time |
//! | connecting | the transport | a connection, a failure or 30 s |
//! | greeting | the answer to `identify` | `identified`, a refusal or 10 s |
//! | online | nothing | the end of the connection, or a ping unanswered for 10 s |
//! | closed | nothing | never: the sidecar leaves |

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::sidecar::Claim;
use crate::time::{Mono, Span};

/// Where the connection to the hub stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Connects again later.
    Waiting { until: Mono },
    /// Tries to connect.
    Connecting { until: Mono },
    /// Said who it is.
    Greeting { asked_at: Mono, until: Mono },
    /// The hub knows who it is.
    Online(Online),
    /// Never connects again.
    Closed,
}

/// What happens to the connection; waits and deadlines are computed by whoever reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionEvent {
    /// The wait is over.
    Dial { until: Mono },
    /// The transport gave a connection, and `identify` goes out.
    Connected { until: Mono },
    /// The hub knows who it is.
    Identified { heartbeat: Span },
    /// There is no connection, or none any more.
    Lost { until: Mono },
    /// The hub does not believe who it is.
    Refused { until: Mono },
    /// The sidecar leaves.
    Close,
}

/// The event does not fit the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfTurn;

impl Session {
    /// The state after `event`.
    pub(super) fn on(&self, now: Mono, event: &SessionEvent) -> Result<Self, OutOfTurn> {
        use SessionEvent as E;
        Ok(match self {
            Self::Waiting { .. } => match *event {
                E::Dial { until } => Self::Connecting { until },
                E::Close => Self::Closed,
                E::Connected { .. } | E::Identified { .. } | E::Lost { .. } | E::Refused { .. } => {
                    return Err(OutOfTurn);
                }
            },
            Self::Connecting { .. } => match *event {
                E::Connected { until } => Self::Greeting { asked_at: now, until },
                E::Lost { until } => Self::Waiting { until },
                E::Close => Self::Closed,
                E::Dial { .. } | E::Identified { .. } | E::Refused { .. } => return Err(OutOfTurn),
            },
            Self::Greeting { asked_at, .. } => match *event {
                E::Identified { heartbeat } => Self::Online(Online::new(*asked_at, heartbeat)),
                E::Lost { until } | E::Refused { until } => Self::Waiting { until },
                E::Close => Self::Closed,
                E::Dial { .. } | E::Connected { .. } => return Err(OutOfTurn),
            },
            Self::Online(_) => match *event {
                E::Lost { until } | E::Refused { until } => Self::Waiting { until },
                E::Close => Self::Closed,
                E::Dial { .. } | E::Connected { .. } | E::Identified { .. } => {
                    return Err(OutOfTurn);
                }
            },
            Self::Closed => match *event {
                E::Dial { .. }
                | E::Connected { .. }
                | E::Identified { .. }
                | E::Lost { .. }
                | E::Refused { .. }
                | E::Close => return Err(OutOfTurn),
            },
        })
    }

    /// What is known of the hub while it is there.
    pub(super) const fn online(&self) -> Option<&Online> {
        match self {
            Self::Online(online) => Some(online),
            Self::Waiting { .. }
            | Self::Connecting { .. }
            | Self::Greeting { .. }
            | Self::Closed => None,
        }
    }

    /// As [`Session::online`], to change.
    pub(super) const fn online_mut(&mut self) -> Option<&mut Online> {
        match self {
            Self::Online(online) => Some(online),
            Self::Waiting { .. }
            | Self::Connecting { .. }
            | Self::Greeting { .. }
            | Self::Closed => None,
        }
    }
}

/// A ping that the hub has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Its number.
    pub(super) nonce: u64,
    /// Read before it went out: the hub counts a renewed lease from a later instant.
    pub(super) at: Mono,
    /// The leases that it listed.
    pub(super) listed: Vec<Claim>,
}

/// What is known of a hub that is there.
///
/// **Invariant:** an instant in `heard_at` lies before whatever the hub said since: it is when a
/// frame went out that the hub has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Online {
    /// How often the hub wants to be pinged.
    pub(super) heartbeat: Span,
    /// The hub was there after this instant.
    pub(super) heard_at: Mono,
    /// When the latest ping went out; `None` asks for one at once.
    pub(super) pinged_at: Option<Mono>,
    /// When to measure the machine next, if that is done at all.
    pub(super) measure_at: Option<Mono>,
    /// Unanswered pings, oldest first.
    pub(super) pings: VecDeque<Sent>,
}

impl Online {
    const HEARTBEAT_MIN: Span = Span(250);
    const HEARTBEAT_MAX: Span = Span::from_secs(60);

    fn new(asked_at: Mono, heartbeat: Span) -> Self {
        Self {
            heartbeat: heartbeat.clamp(Self::HEARTBEAT_MIN, Self::HEARTBEAT_MAX),
            heard_at: asked_at,
            pinged_at: None,
            measure_at: None,
            pings: VecDeque::new(),
        }
    }

    /// Takes in an answer; what it answers, if that is known.
    ///
    /// Frames arrive in order, so older pings without an answer will get none.
    pub(super) fn answered(&mut self, nonce: Option<u64>) -> Option<Sent> {
        let at = match nonce {
            Some(nonce) => self.pings.iter().position(|sent| sent.nonce == nonce)?,
            None => 0,
        };
        let sent = self.pings.drain(..=at.min(self.pings.len().checked_sub(1)?)).next_back()?;
        self.heard_at = self.heard_at.max(sent.at);
        Some(sent)
    }
}

#[cfg(test)]
mod tests;
