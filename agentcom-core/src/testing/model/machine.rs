//! This file is the model as state machines of `proptest-state-machine`, one for each kind of load.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::{prop_oneof, sample};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use super::Model;
use crate::config::HubConfig;
use crate::hub::schedule::{AgentFacts, FairPolicy, Policy, TaskFacts};
use crate::name::Key;
use crate::task::{Concurrency, Draft, Priority};
use crate::testing::bench::Bench;
use crate::testing::strategy::{
    CAPABILITIES, Happening, Member, Play, TENANTS, drafts, fleets, free_drafts, life, scopes,
};
use crate::time::Span;

/// What happens to a hub, and by which rules it decides.
pub trait Load: fmt::Debug + 'static {
    /// The policy.
    type Policy: Policy + Default + 'static;

    /// The figures of the hub.
    #[must_use]
    fn config() -> HubConfig {
        // One crash puts an agent in quarantine, so that loads meet some.
        HubConfig { agent_crashes_max: 1, ..HubConfig::default() }
    }

    /// The agents.
    fn fleets() -> BoxedStrategy<Vec<Member>>;

    /// What happens next.
    fn happenings() -> BoxedStrategy<Happening>;
}

/// The lives of tasks: dependencies, delays, deadlines, retries, cancellations, lost agents.
#[derive(Debug)]
pub struct Queue;

/// Everything at once, with pauses, weights and drains.
#[derive(Debug)]
pub struct Scheduler;

/// Lanes and age: one busy agent, long waits, and now and then the oldest first.
#[derive(Debug)]
pub struct Ageing;

/// Caps and rates, and agents with room to spare.
#[derive(Debug)]
pub struct Caps;

/// As [`Scheduler`], with a policy that orders and matches without sense, and refuses.
#[derive(Debug)]
pub struct Whims;

impl Load for Queue {
    type Policy = FairPolicy;

    fn fleets() -> BoxedStrategy<Vec<Member>> {
        fleets(1..4).boxed()
    }

    fn happenings() -> BoxedStrategy<Happening> {
        life().boxed()
    }
}

impl Load for Scheduler {
    type Policy = FairPolicy;

    fn fleets() -> BoxedStrategy<Vec<Member>> {
        fleets(1..6).boxed()
    }

    fn happenings() -> BoxedStrategy<Happening> {
        let tenant = sample::select(&TENANTS).prop_map(|text| Key::new(text).expect("a name"));
        prop_oneof![
            20 => life(),
            8 => drafts().prop_map(|draft| Happening::Submit(draft.into())),
            1 => scopes().prop_map(Happening::Pause),
            2 => scopes().prop_map(Happening::Unpause),
            1 => any::<usize>().prop_map(Happening::Drain),
            2 => any::<usize>().prop_map(Happening::Resume),
            1 => (tenant, 1..400_u32).prop_map(|(key, weight)| Happening::Weigh(key, weight)),
        ]
        .boxed()
    }
}

impl Load for Ageing {
    type Policy = FairPolicy;

    fn fleets() -> BoxedStrategy<Vec<Member>> {
        let all = CAPABILITIES.to_vec();
        Just(vec![Member { slots: 1, capabilities: all }]).boxed()
    }

    fn happenings() -> BoxedStrategy<Happening> {
        prop_oneof![
            6 => free_drafts().prop_map(|draft| Happening::Submit(draft.into())),
            3 => Just(Happening::Accept(0)),
            4 => Just(Happening::Complete(0)),
            1 => Just(Happening::Release(0)),
            4 => (0..30_000_u64).prop_map(|ms| Happening::Pass(Span(ms))),
            1 => (0..4_u32).prop_map(Happening::OldestFirst),
        ]
        .boxed()
    }
}

impl Load for Caps {
    type Policy = FairPolicy;

    fn fleets() -> BoxedStrategy<Vec<Member>> {
        fleets(1..4).boxed()
    }

    fn happenings() -> BoxedStrategy<Happening> {
        // Tasks of one key need not agree on how many of them may run.
        let limit = (sample::select(&["one", "two"]), 1..4_u32)
            .prop_map(|(key, max)| Concurrency { key: Key::new(key).expect("a name"), max });
        let capped = (free_drafts(), limit, drafts()).prop_map(|(free, limit, other)| {
            let mut draft = Draft { needs: vec![], ..free };
            draft.share.concurrency = Some(limit);
            draft.share.rates = other.share.rates;
            Happening::Submit(draft.into())
        });
        prop_oneof![
            6 => capped,
            2 => any::<usize>().prop_map(Happening::Accept),
            5 => any::<usize>().prop_map(Happening::Complete),
            1 => any::<usize>().prop_map(Happening::Release),
            1 => any::<usize>().prop_map(Happening::Cancel),
            4 => (0..20_000_u64).prop_map(|ms| Happening::Pass(Span(ms))),
        ]
        .boxed()
    }
}

impl Load for Whims {
    type Policy = Whim;

    fn fleets() -> BoxedStrategy<Vec<Member>> {
        Scheduler::fleets()
    }

    /// Of tasks that nobody suited the hub lets the first lane try first, so there is one lane.
    fn happenings() -> BoxedStrategy<Happening> {
        let one_lane = |mut happening| {
            if let Happening::Submit(submission) = &mut happening {
                submission.draft.priority = Priority::Normal;
            }
            happening
        };
        Scheduler::happenings().prop_map(one_lane).boxed()
    }
}

/// Orders and matches without any sense, but the same each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whim;

impl Policy for Whim {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        task.id.0 % 5
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        let suits = task.id.0 % 5 != u64::from(agent.profile.slots);
        suits.then_some((task.id.0 % 7) as u32 + agent.load % 3)
    }
}

/// A hub under a load, and the model that it has to agree with after each transition.
#[derive(Debug)]
pub struct Machine<L>(PhantomData<L>);

impl<L: Load> ReferenceStateMachine for Machine<L> {
    type State = Model;
    type Transition = Happening;

    fn init_state() -> BoxedStrategy<Model> {
        L::fleets()
            .prop_map(|fleet| Model::new(L::config(), Rc::new(L::Policy::default()), &fleet))
            .boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Happening> {
        L::happenings()
    }

    fn apply(mut model: Model, happening: &Happening) -> Model {
        model.make(happening);
        model
    }
}

impl<L: Load> StateMachineTest for Machine<L> {
    type SystemUnderTest = Play;
    type Reference = Self;

    fn init_test(model: &Model) -> Play {
        let bench = Bench::over(L::config(), L::Policy::default());
        Play::under_a_picky_policy(bench, model.fleet())
    }

    fn apply(mut play: Play, model: &Model, happening: Happening) -> Play {
        if let Err(why) = play.make(happening).and_then(|()| model.agrees_with(&play.bench)) {
            panic!("{why}");
        }
        play
    }
}
