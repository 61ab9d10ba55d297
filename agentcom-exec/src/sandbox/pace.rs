//! This file says how often something is looked at that no kernel bounds.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// How often there is a look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long it is between two looks at least.
    pub(crate) every: Duration,
    /// Looks take at most one part in so many of a processor.
    pub(crate) part: u32,
}

impl Pace {
    /// Looks, on this thread, and says after which time to look again. What counts is the processor's
    /// time: whoever waits for a processor, which others keep busy, must not look more seldom for that.
    pub(crate) fn look<T>(self, look: impl FnOnce() -> T) -> (T, Duration) {
        let before = spent();
        let seen = look();
        let took = spent().saturating_sub(before);
        (seen, self.every.max(took * self.part))
    }
}

/// How much of a processor this thread has had; where only that is told, this process.
fn spent() -> Duration {
    #[cfg(target_os = "linux")]
    const WHO: UsageWho = UsageWho::RUSAGE_THREAD;
    #[cfg(not(target_os = "linux"))]
    const WHO: UsageWho = UsageWho::RUSAGE_SELF;
    let usage = getrusage(WHO).map(|usage| usage.user_time() + usage.system_time());
    let micros = usage.map(|time| time.num_microseconds()).unwrap_or_default();
    Duration::from_micros(micros.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PACE: Pace = Pace { every: Duration::from_millis(1), part: 1000 };

    /// Keeps a processor busy for so long.
    fn works(span: Duration) {
        let before = spent();
        while spent() - before < span {}
    }

    #[test]
    fn a_look_counts_by_what_it_does_and_not_by_what_it_waits_for() {
        let span = Duration::from_millis(20);
        let ((), wait) = PACE.look(|| works(span));
        assert!(wait >= span * PACE.part, "{wait:?}");
        let began = Instant::now();
        let ((), wait) = PACE.look(|| std::thread::spawn(move || works(span)).join().unwrap());
        assert!(began.elapsed() >= span && wait < span * PACE.part, "{wait:?}");
    }
}
