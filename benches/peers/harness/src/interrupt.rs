//! This file notices that a user or the system wants the harness to end, so that servers are stopped
//! first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::Outcome;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Takes the signals that would end this process; called before it has other threads.
pub(crate) fn watch() -> Outcome<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?;
    thread::spawn(move || {
        while signals.wait().is_ok() {
            ASKED.store(true, Ordering::Release);
        }
    });
    Ok(())
}

/// Fails from the first such signal on.
pub(crate) fn check() -> Outcome<()> {
    if ASKED.load(Ordering::Acquire) { Err("interrupted".into()) } else { Ok(()) }
}
