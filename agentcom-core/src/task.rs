//! This file describes a task: what was asked for, and where its life stands.

mod complexity;
mod dependency;
mod draft;
mod life;
mod retry;
mod spec;
mod traces;

pub use complexity::{Complexity, Inferred, Signals};
pub use dependency::{AfterDependency, FailedDependency, Shortfall};
pub use draft::{BadDraft, Dependency, Draft};
pub(crate) use life::never;
pub use life::{
    Answer, Attempt, Category, Death, Delay, Ended, Fence, Finish, Hold, Life, Outcome, Place,
    Refused, TaskEvent, TaskState, Wait,
};
pub use retry::backoff;
pub use spec::{
    BadPriority, Coding, Concurrency, FileHint, Group, LeaseLoss, Op, Priority, Rate, Retry, Share,
    Spec, Tier, Times, VerificationStep, usual_sandbox,
};
pub use traces::{Trace, Traces};

use crate::id::TaskId;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// What was asked for; it never changes.
    pub spec: alloc::boxed::Box<Spec>,
    /// Where its life stands.
    pub life: Life,
}
