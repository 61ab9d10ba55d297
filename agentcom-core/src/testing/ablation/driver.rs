//! This file misses the guards around the step: the hub's driver and the disk.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::{Verdict, draft, ensure};
use crate::agent::TokenHash;
use crate::change::Genesis;
use crate::command::{Command, Reply};
use crate::config::HubConfig;
use crate::driver::hub::HubBuilder;
use crate::driver::memory::MemoryDisk;
use crate::driver::{CallError, Handle};
use crate::guard::Guards;
use crate::hub::schedule::{AgentFacts, FairPolicy, Policy, TaskFacts};
use crate::id::{Incarnation, TaskId};
use crate::name::{Key, Principal};
use crate::port::clock::Clock;
use crate::port::store::{Batch, Store, StoreError};
use crate::task::Draft;
use crate::testing::faulty::{Faults, FaultyStore};
use crate::time::{Mono, Now, Wall};

/// A clock that stands still.
#[derive(Debug)]
struct StillClock;

#[async_trait]
impl Clock for StillClock {
    fn now(&self) -> Now {
        Now { mono: Mono(1_000_000), wall: Wall(1_000_000) }
    }

    async fn sleep_until(&self, at: Mono) {
        poll_fn(|_| if at <= self.now().mono { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// A hub that runs when it is told to, over a disk that fails when it is told to.
struct Rig {
    hub: Pin<Box<dyn Future<Output = Result<(), StoreError>>>>,
    handle: Handle,
    faults: Faults,
}

type Call = Pin<Box<dyn Future<Output = Result<Reply, CallError>>>>;

impl Rig {
    fn new(guards: Guards, policy: impl Policy + 'static) -> Self {
        let faults = Faults::new();
        let store = FaultyStore::new(MemoryDisk::new().open(), &faults);
        let config = HubConfig { guards, ..HubConfig::default() };
        let builder = HubBuilder::new(Arc::new(store), Arc::new(StillClock));
        let genesis = Genesis { incarnation: Incarnation(7), seed: 42, admin: TokenHash([9; 32]) };
        let opened = builder.config(config).policy(policy).open(genesis).now_or_never();
        let (handle, driver) = opened.and_then(Result::ok).expect("nothing fails yet");
        Self { hub: Box::pin(driver.run()), handle, faults }
    }

    fn submit(&self, draft: Draft) -> Call {
        let handle = self.handle.clone();
        Box::pin(async move { handle.call(Principal::Admin, Command::Submit(draft.into())).await })
    }

    /// Lets both do what they can without waiting, and says whether there is an answer.
    fn answer(&mut self, call: &mut Call) -> Option<Result<Reply, CallError>> {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..8 {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
                return Some(answer);
            }
            // A hub that has ended answers nothing.
            let _ = pin!(&mut self.hub).poll(&mut context);
        }
        None
    }

    fn id(&mut self, call: &mut Call) -> Option<TaskId> {
        let reply = self.answer(call)?.ok()?;
        if let Reply::Submitted(submitted) = reply { Some(submitted.id) } else { None }
    }
}

fn keyed(name: &str) -> Draft {
    Draft { idempotency_key: Key::new(name).ok(), ..draft() }
}

/// A reply while the commit is under way.
pub(super) fn commit_first(guards: Guards) -> Verdict {
    let mut rig = Rig::new(guards, FairPolicy);
    rig.faults.hold();
    let mut call = rig.submit(draft());
    let early = rig.answer(&mut call).is_some();
    ensure(!early, "a submission was answered before it was durable")
}

/// The same key twice, while the commit that would tell of it waits behind another.
pub(super) fn tombstones(guards: Guards) -> Verdict {
    let mut rig = Rig::new(guards, FairPolicy);
    rig.faults.hold();
    let (mut first, mut second) = (rig.submit(keyed("one")), rig.submit(keyed("two")));
    rig.answer(&mut first);
    rig.answer(&mut second);
    rig.faults.release_one();
    rig.answer(&mut first);
    let mut again = rig.submit(keyed("two"));
    rig.answer(&mut again);
    rig.faults.release();
    let ids = [rig.id(&mut second), rig.id(&mut again)];
    ensure(ids[0].is_some() && ids[0] == ids[1], "a key was forgotten before the store knew it")
}

/// Panics when it places a task, and counts how often.
#[derive(Debug)]
struct Fragile(Arc<AtomicU64>);

impl Policy for Fragile {
    fn key(&self, _: &TaskFacts<'_>) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("asked to")
    }

    fn fit(&self, _: &TaskFacts<'_>, _: &AgentFacts<'_>) -> Option<u32> {
        None
    }
}

pub(super) fn panic_bar(guards: Guards) -> Verdict {
    let asked = Arc::new(AtomicU64::new(0));
    let mut rig = Rig::new(guards, Fragile(asked.clone()));
    for _ in 0..4 {
        let mut call = rig.submit(draft());
        rig.answer(&mut call);
    }
    // Nobody is suspected of the first panic of all.
    ensure(asked.load(Ordering::Relaxed) == 3, "what brought the hub down twice did so again")
}

pub(super) fn batch_order(guards: Guards) -> Verdict {
    let store = MemoryDisk::new().guarded_by(guards).open();
    let commit = || store.commit(Batch { seq: 1, ..Batch::default() }).now_or_never();
    assert!(matches!(commit(), Some(Ok(()))), "the first batch is taken");
    ensure(!matches!(commit(), Some(Ok(()))), "a batch was stored that is behind the last one")
}

pub(super) fn one_writer(guards: Guards) -> Verdict {
    let disk = MemoryDisk::new().guarded_by(guards);
    let (before, _after) = (disk.open(), disk.open());
    let commit = before.commit(Batch { seq: 1, ..Batch::default() }).now_or_never();
    ensure(!matches!(commit, Some(Ok(()))), "a hub that was replaced still writes")
}
