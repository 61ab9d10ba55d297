//! This file lists what happens to a sidecar, and what it wants done.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::id::{Incarnation, Lease, TaskId};
use crate::json::Json;
use crate::ledger::{Granted, NotGranted, Spending};
use crate::port::executor::{JobOutcome, News};
use crate::port::store::Batch;
use crate::question::Ask;
use crate::time::Span;
use crate::wire::{Assignment, BadFrame, Figures, Held, ToAgent, ToHub};

/// One assignment, as no other life of a data set can give it. Those of a task follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// The number of the assignment.
    pub lease: Lease,
    /// Which life of the data set gave it.
    pub incarnation: Incarnation,
}

impl Claim {
    /// What `assignment` gives.
    #[must_use]
    pub const fn of(assignment: &Assignment) -> Self {
        Self {
            incarnation: assignment.incarnation,
            task: assignment.task_id,
            lease: assignment.generation,
        }
    }

    /// All that a word about a task is about, with the lease if it names one.
    pub(super) fn all_of(task: TaskId, lease: Option<Lease>) -> RangeInclusive<Self> {
        let lease = lease.filter(|lease| *lease != Lease(0));
        let first = Self { task, lease: lease.unwrap_or(Lease(0)), incarnation: Incarnation(0) };
        let lease = lease.unwrap_or(Lease(u64::MAX));
        first..=Self { task, lease, incarnation: Incarnation(u64::MAX) }
    }

    /// As the wire says it.
    #[must_use]
    pub const fn held(self) -> Held {
        Held { task_id: self.task, generation: self.lease }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (lease {})", self.task, self.lease)
    }
}

/// Names a question of a job, by the order in which its driver heard them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What happens to a sidecar.
#[derive(Clone, Debug)]
pub enum Input {
    /// There is a connection.
    Connected,
    /// The attempt to connect failed, and how.
    Unreachable(String),
    /// The attempt to connect failed since the hub has no room.
    Full {
        /// How long it asks to be left alone.
        retry_after: Span,
    },
    /// The hub says something.
    Frame(ToAgent),
    /// The hub says something that cannot be read.
    BadFrame(BadFrame),
    /// The connection ended.
    Disconnected,
    /// A job reports on its way.
    JobNews {
        /// Which.
        claim: Claim,
        /// What.
        news: News,
    },
    /// A job asks a person.
    JobAsks {
        /// Which.
        claim: Claim,
        /// What the answer will name.
        ask: AskId,
        /// The question.
        question: Ask,
        /// How long it may stay open.
        timeout: Span,
        /// The answer if nobody gives one.
        default: Json,
    },
    /// A job asks leave to make a call that costs money.
    JobSpends {
        /// Which.
        claim: Claim,
        /// What the answer will name.
        ask: AskId,
        /// What the call may come to at most.
        spending: Spending,
    },
    /// A job has made a call.
    JobSpent {
        /// Which.
        claim: Claim,
        /// What the call came to.
        spending: Spending,
    },
    /// A job ended.
    JobEnded {
        /// Which.
        claim: Claim,
        /// How.
        outcome: JobOutcome,
    },
    /// The machine was measured.
    Measured(Figures),
    /// So many processes of jobs are left that could not be ended; none, once that is proved.
    Survivors(u32),
    /// Whoever runs the sidecar wants it to leave in good order.
    Drain,
    /// A time came.
    Wake,
}

/// What a sidecar wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Try to connect once; answered by [`Input::Connected`] or [`Input::Unreachable`].
    Connect,
    /// Send a frame.
    Send(ToHub),
    /// Drop the connection, or the attempt to make one; no input answers it.
    Disconnect,
    /// Start a job; answered by [`Input::JobEnded`].
    Start(Box<Assignment>),
    /// Ask a job to stop, and drop it soon after; answered by [`Input::JobEnded`].
    Stop(Claim),
    /// Answer a question of a job.
    Answer {
        /// Of which.
        claim: Claim,
        /// Which question.
        ask: AskId,
        /// The answer.
        answer: Json,
    },
    /// Tell a job whether it may make a call.
    Grant {
        /// Which.
        claim: Claim,
        /// Which call.
        ask: AskId,
        /// Whether it may.
        answer: Result<Granted, NotGranted>,
    },
    /// Measure the machine; answered by [`Input::Measured`], or by nothing if that fails.
    Measure,
    /// Tell people.
    Log(Note),
    /// Leave; nothing follows.
    Exit(Exit),
}

/// How a sidecar leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to.
    Clean,
    /// The hub wants it to start again.
    Restart,
}

impl Exit {
    /// The exit code of its process: 75 asks a supervisor to start it again.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Restart => 75,
        }
    }
}

/// How much people care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// A change of state.
    Info,
    /// A human may look at it.
    Warn,
}

/// Something to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much they care.
    pub level: Level,
    /// The assignment that it is about.
    pub claim: Option<Claim>,
    /// What.
    pub text: String,
}

/// What follows from an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What has to be durable before anything is done.
    pub batch: Option<Batch>,
    /// What to do then, in this order.
    pub effects: Vec<Effect>,
}
