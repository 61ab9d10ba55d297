//! This file is a hub inside somebody else's program: two agents in memory, a policy of its own.
//!
//! It plays a small kitchen. A dish waits for a cook who can make it; the policy lets quick dishes
//! go first, and of two free cooks asks the one with fewer skills to spare.
#![expect(clippy::print_stdout, reason = "it shows what it does")]

mod quickest;

use std::sync::Arc;

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::driver::app::{App, Job, Outcome, executor};
use agentcom_core::driver::local::{LocalConnector, local};
use agentcom_core::driver::memory::MemoryDisk;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver as Cook};
use agentcom_core::driver::{clock::SystemClock, queue::Capacity};
use agentcom_core::name::{AgentId, Capability, Kind};
use anyhow::Result;
use futures_util::future::try_join;
use quickest::QuickestFirst;

/// A cook is an agent: a sidecar whose executor is a function.
async fn cook(name: &str, can: &[&str], door: &LocalConnector, app: &App) -> Result<Cook> {
    let token = app.token_for(name).await?;
    let mut config = SidecarConfig::new(AgentId::new(name)?, Secret::new(token.reveal()));
    let skills = can.iter().map(|skill| Capability::new(skill));
    config.capabilities = skills.collect::<Result<_, _>>()?;
    let who = name.to_owned();
    let work = move |job: Job, (dish, minutes): (String, u64)| {
        println!("{who:>6} makes {dish:<10} {minutes:>3} min   (lease {})", job.lease());
        async move { Outcome::Done(minutes) }
    };
    let executors = vec![Arc::new(executor(Kind::new("cook")?, work)) as _];
    let (journal, clock) = (Box::new(MemoryDisk::new().open()), Arc::new(SystemClock::new()));
    let entropy = Entropy::of_the_system()?;
    Ok(Cook::new(config, Arc::new(door.clone()), journal, executors, clock, entropy)?)
}

fn main() -> Result<()> {
    futures_executor::block_on(async {
        let (listener, door) = local(Capacity::default());
        let store = MemoryDisk::new().open();
        let app = App::over(store).policy(QuickestFirst).transport(listener).open().await?;
        for dish in [("roast", 90), ("espresso", 1), ("salad", 5), ("soup", 20)] {
            app.submit("cook", &dish).await?;
        }
        for dish in [("soufflé", 40), ("tart", 25)] {
            let needs = vec![Capability::new("pastry")?];
            app.task("cook", &dish).with(|draft| draft.needs = needs).submit().await?;
        }
        let bob = cook("bob", &[], &door, &app).await?;
        let ada = cook("ada", &["pastry"], &door, &app).await?;
        let left = [bob.handle(), ada.handle()];
        let kitchen = async { Ok(try_join(bob.run(), ada.run()).await?) };
        let closing = async {
            app.run_until_idle().await?;
            left.iter().for_each(|cook| cook.drain());
            anyhow::Ok(())
        };
        try_join(kitchen, closing).await?;
        println!("everything is served");
        Ok(())
    })
}
