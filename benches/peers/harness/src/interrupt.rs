//! This file notices that a user or the system wants the harness to end, so that servers are stopped
//! first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::Outcome;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Takes the signals that would end this process. They are not blocked: servers would inherit that,
/// and could not be stopped.
pub(crate) fn watch() -> Outcome<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, ASKED.clone())?;
    }
    Ok(())
}

/// Fails from the first such signal on.
pub(crate) fn check() -> Outcome<()> {
    if ASKED.load(Ordering::Acquire) { Err("interrupted".into()) } else { Ok(()) }
}
