//! This file shows what a sidecar's journal holds.

use crate::args::Context;
use crate::exit::Outcome;
pub(crate) use placeholder::Args;
mod placeholder {
    #[derive(Debug, clap::Args)]
    pub(crate) struct Args {}
}
pub(crate) fn run(_: &Args, _: &Context) -> Outcome {
    Ok(())
}
