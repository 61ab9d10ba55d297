//! This file lists the situations that simulated fleets have to get into, or they prove little.

macro_rules! marks {
    ($($name:ident $words:literal,)*) => {
        /// A situation that some seed has to reach.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $(#[doc = $words] $name,)*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What happened, in words.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

marks! {
    // What agents say and hear.
    StaleResult "a result came for an assignment after the task had been given anew",
    Superseded "a frame was answered as superseded",
    HoldEnded "a hold was ended by the hub",
    Forgotten "a plain client was told to forget what it recovers",
    ReportedOn "a plain client came back and was told to go on",
    ReportedOff "a plain client came back and was told to abort",
    LostInPong "a heartbeat was answered with a lost lease",
    LateResult "a late result counted since nobody was given the task",
    Retried "a failure was acknowledged and tried again",
    DeadLetter "a failure was acknowledged and the task is dead",
    Released "a task was given back unspent",
    ForeignRefused "an agent spoke of a task of another and was refused",
    NotHeld "an agent spoke of a task that nobody holds",
    SaidAgain "an assignment was said again to an agent that came back",
    AckedAgain "a repeated result was acknowledged again",
    SurvivedRestart "a task was given by one hub and completed under another",
    ResultAfterReboot "a restarted sidecar sent the result of the life before",
    BadFrame "a frame that nobody can read was answered with an error",
    // How attempts and tasks end.
    LeaseRanOut "a lease ran out",
    NotAccepted "an assignment was not accepted in time",
    TimedOut "an attempt took too long",
    Stuck "a plain client was silent about its task for too long",
    MissedTwice "a task was missing from two heartbeats in a row",
    NotReported "a plain client came back and did not report its task",
    RestartedAtWork "an agent restarted while it worked, and said so",
    QuotaWait "a task waits for a quota or an answer",
    Asked "an agent asked a question",
    Answered "a question was answered",
    Defaulted "a question was answered by its default",
    DeadByDependency "a task died with one that it depends on",
    DeadByPart "a task died since one that it depends on was done only in part",
    DeadByDeadline "a task died of its deadline",
    DeadByExpiry "a task expired in the queue",
    DeadByAttempts "a task died when its attempts were spent",
    DeadByFailure "a task died of a failure that nothing mends",
    DeadByCrashes "a task died after it took down too many agents",
    Partial "a task was done in part",
    Unblocked "a task became ready when the last task before it ended",
    Withdrawn "an agent said that nobody needs its task",
    AtCap "as many tasks with one key ran as may",
    AtRate "as many tasks of one rate started as may",
    CapHeld "a call was refused since it would have passed a cap",
    CallSuperseded "a call was refused since its task had been given anew",
    TrustLost "the trust in an agent changed",
    // What clients do.
    FoundFirst "a repeated submission found the first",
    KeyConflict "a key was refused for another body",
    AskedAgain "a submitter had to ask again",
    Indeterminate "a caller was told that the outcome is unknown",
    Vanished "a submitter vanished before the reply, and its task is there",
    BatchTaken "a batch with dependencies was taken",
    DeadDependency "a submission was refused since a task that it depends on is dead",
    QueueFull "a submission was refused since the queue is full",
    CancelledAtWork "a held task was cancelled",
    CancelTooLate "a cancellation came after the end",
    Revived "a dead task was given another life",
    Paused "work was paused",
    Removed "an agent was removed while others worked, and registered again",
    Drained "an agent left in good order",
    // What happens to hubs and their stores.
    KilledIdle "a hub was killed with nothing in flight",
    KilledInFlight "a hub was killed with a commit in flight",
    KilledBeforeWord "a hub was killed between a commit and its word",
    KilledInRecovery "a hub was killed while it read its store",
    FailedBefore "the store failed before the deed, and the hub ended",
    FailedAfter "the store failed after the deed, and the hub ended",
    FailedUnknown "the store failed with an unknown outcome before the deed",
    ReadFailed "the store could not be read, and the hub ended",
    Takeover "a hub was taken over with nothing in flight",
    TakeoverInFlight "a hub was taken over with a commit in flight",
    Fenced "a hub that was taken over ended as fenced",
    OldHubReached "an agent reached a hub that had been taken over",
    HubPaused "a hub stood still for a while",
    HubSilent "a hub vanished without closing its connections",
    Replayed "a restarted hub knew exactly what the one before had confirmed",
    RestartStorm "a hub was restarted five times in a row",
    // What happens to agents and links.
    AgentKilled "an agent was killed",
    AgentPaused "an agent stood still for a while",
    Poisoned "a task took its agent down",
    CutOff "an agent was cut off",
    OneWayUp "only the hub did not hear an agent",
    OneWayDown "only an agent did not hear the hub",
    HalfOpen "a connection died without a word",
    Burst "frames that were held up came all at once",
    SlowReader "an agent read so slowly that it was closed",
    FrameLost "a frame was lost with its connection",
    FrameTwice "a frame came twice",
    OutOfOrder "frames came in another order",
    WallAhead "the wall clock jumped ahead",
    WallBack "the wall clock jumped back",
    DriftFast "an agent's clock ran fast",
    DriftSlow "an agent's clock ran slow",
    StaysAway "an agent stayed away for ever",
    StaysCut "an agent stayed cut off for ever",
    StaysLossy "frames went on being lost in peace",
    StaysRogue "an agent went on breaking the rules in peace",
}
