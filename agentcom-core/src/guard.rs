//! This file names every guard: a check that stands between a fault and a broken promise.
//!
//! A guard that nobody has seen fail proves nothing, so each can be taken away, at run time and for
//! one hub, sidecar or disk alone; `testing::ablation` does so with each in turn and expects to be
//! told. That takes the feature `testing`: without it [`Guards::on`] is the constant `true`.

/// Makes the enum, the list of all, and the sentence of each from one list.
macro_rules! guards {
    ($(#[doc = $about:literal] $name:ident,)*) => {
        /// A check that stands between a fault and a broken promise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Guard { $(#[doc = $about] $name,)* }

        impl Guard {
            /// All guards.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it prevents, in a sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }.trim_ascii()
            }

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

guards! {
    /// The report of an earlier attempt is not taken for that of the current one.
    Lease,
    /// Nobody speaks for a task that somebody else holds.
    Owner,
    /// The result of another life of the data set is not taken for that of a task of this one.
    Incarnation,
    /// The number of a lease never rewinds.
    LeaseGrows,
    /// A task whose agent has stopped renewing does not wait for it for ever.
    LeaseExpiry,
    /// A task that its agent no longer knows of does not wait for it.
    MissingTwice,
    /// An assignment that nobody takes on does not keep its task.
    AcceptDeadline,
    /// An attempt does not take longer than it may.
    Timeout,
    /// A plain client does not keep a task without a word about it.
    Stuck,
    /// What a plain client does not report after it came back does not wait for it.
    ReportDeadline,
    /// The result of a lost lease counts only where the work may go on without one.
    LateResult,
    /// A report that moves nothing is answered, so that its sender stops repeating it.
    Settled,
    /// A task that fails again and again is given up.
    AttemptLimit,
    /// A task that takes its agents down is given up.
    CrashLimit,
    /// What was given back unspent costs no attempt.
    Unspent,
    /// What was done or called off is not brought back to life.
    Final,
    /// A task does not start before those that it depends on have ended.
    DependencyGate,
    /// A task does not start after one that it needed has failed.
    DependencyDeath,
    /// A task does not start before its time.
    NotBefore,
    /// A task does not live past its deadline.
    Deadline,
    /// A task that nobody took in time is not started after all.
    Expiry,
    /// Nobody waits for an answer or a quota for ever.
    WaitDeadline,
    /// No more tasks of a key run at once than may.
    Concurrency,
    /// No more tasks of a key start over time than may.
    Rate,
    /// Nothing is spent beyond a cap.
    Cap,
    /// A call is booked once, however often it is told.
    BookOnce,
    /// A call of which nobody told the end is booked at its worst.
    BookInFull,
    /// Nothing is spent while everything is stopped.
    Estop,
    /// Nothing starts in a scope that is paused.
    Pause,
    /// Nobody is given what it cannot do.
    Capabilities,
    /// Nobody is given what is meant for one other agent.
    Pin,
    /// No agent is given more than it has room for.
    Slots,
    /// An agent that was drained gets no more work.
    Drained,
    /// A sidecar on its way out gets no more work.
    Leaving,
    /// An agent that crashed again and again gets no work for a while.
    Quarantine,
    /// An agent that is silent gets no more work.
    Silence,
    /// An agent that had no room is left alone for a while.
    Rest,
    /// A plain client gets nothing while it may still run what was taken from it.
    Barred,
    /// A plain client is not given again what it may still run.
    Shunned,
    /// One agent has one connection: the latest.
    Takeover,
    /// Nobody is an agent without its token.
    Token,
    /// Nobody does anything with a token that has expired.
    TokenExpiry,
    /// Nobody tries tokens without end.
    TokenTries,
    /// Nobody stays connected without saying who it is.
    IdentifyDeadline,
    /// Nobody sends what cannot be read without end.
    Violations,
    /// Agents do not administer the hub.
    Permission,
    /// Nobody does what its token gives it no right to.
    Rights,
    /// What is submitted again under its key is not queued again.
    IdempotencyKey,
    /// A key does not stand for two things.
    KeyBody,
    /// The queue does not outgrow its bound on tasks.
    TasksMax,
    /// The queue does not outgrow its bound on bytes.
    BytesMax,
    /// A batch does not hold up the others.
    BatchMax,
    /// The list of agents does not outgrow its bound.
    AgentsMax,
    /// The list of operators does not outgrow its bound.
    OperatorsMax,
    /// Nothing is said before it is durable.
    CommitFirst,
    /// What the store does not know yet is not forgotten.
    Tombstones,
    /// What brought the hub down twice does not do so again.
    PanicBar,
    /// A batch that is not behind the last one changes nothing.
    BatchOrder,
    /// A hub that was replaced changes nothing.
    OneWriter,
    /// An assignment is written down before it is taken on.
    WriteBeforeAccept,
    /// A report is written down before it is sent.
    WriteBeforeSend,
    /// A report is sent until the hub has taken it in.
    OutboxAck,
    /// What was done in another life of the data set is not reported to this one.
    OtherLife,
    /// A sidecar that was restarted does not run again what it ran.
    NeverRerun,
    /// Work stops before its lease can run out.
    StopInTime,
    /// No work starts on a lease that may be gone.
    GoodLease,
    /// A lease counts from before it was asked for.
    RenewFromSent,
    /// A sidecar runs no more at once than it has slots.
    JobSlots,
    /// A sidecar runs one lease of a task at a time.
    OneLeaseAtWork,
    /// An older assignment of a task does not displace a newer one, and none is done twice.
    NewestLease,
    /// No command begins beside what is left of an earlier one and could not be ended.
    Leftover,
    /// A sidecar takes nothing on while its reports pile up.
    OutboxMax,
    /// A sidecar that leaves gives back what it has not done.
    GiveBack,
    /// A sidecar does not stay with a hub that has stopped answering.
    PongDeadline,
}

/// Which guards stand: all of them, except in tests that take some away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    #[cfg(any(feature = "testing", test))]
    off: u128,
}

impl Guards {
    /// Whether a guard stands.
    #[inline]
    #[must_use]
    pub const fn on(self, guard: Guard) -> bool {
        #[cfg(any(feature = "testing", test))]
        let on = self.off & (1 << guard as u32) == 0;
        #[cfg(not(any(feature = "testing", test)))]
        let on = {
            let _ = guard;
            true
        };
        on
    }

    /// All guards.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            #[cfg(any(feature = "testing", test))]
            off: 0,
        }
    }

    /// As these, without one.
    #[cfg(any(feature = "testing", test))]
    #[must_use]
    pub const fn without(self, guard: Guard) -> Self {
        Self { off: self.off | (1 << guard as u32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guard_is_taken_away_and_the_others_stand() {
        for &gone in Guard::ALL {
            let guards = Guards::all().without(gone);
            assert!(Guard::ALL.iter().all(|&guard| guards.on(guard) == (guard != gone)));
            assert!(gone.about().ends_with('.'), "{gone:?} says in a sentence what it prevents");
        }
    }
}
