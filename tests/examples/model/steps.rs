//! This file lets the real step functions of hubs and sidecars be explored: each action on the
//! stage, in any order, up to a number of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentcom_core::guard::{Guard, Guards};
use agentcom_core::testing::stage::{self, Stage, Staging};
use agentcom_core::time::Span;
use stateright::{Model, Property};

/// How large the stage is.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) staging: Staging,
    /// How often something goes wrong.
    pub(crate) troubles: u8,
    /// How often time goes on.
    pub(crate) ticks: u8,
    /// Of how many states one is asked whether everything can end from there.
    pub(crate) peace_every: u64,
}

/// A stage, and what has happened on it. Two are the same if their digests are.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// Behind a lock since a policy need not be fit for several threads at once.
    stage: Arc<Mutex<Stage>>,
    digest: u64,
    troubles: u8,
    ticks: u8,
    broken: Option<Arc<str>>,
}

impl Scene {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Scene {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.troubles, self.ticks) == (other.digest, other.troubles, other.ticks)
    }
}

impl Eq for Scene {}

impl std::hash::Hash for Scene {
    fn hash<H: std::hash::Hasher>(&self, to: &mut H) {
        (self.digest, self.troubles, self.ticks).hash(to);
    }
}

/// One tick: long enough for a ping to be due, or for a lease to run out.
const TICKS: [Span; 2] = [Span::from_secs(6), Span::from_secs(31)];

impl Steps {
    /// Two hubs, sidecars with one slot each, and tasks without limits.
    pub(crate) fn new(agents: usize, tasks: usize, guards: Guards) -> Self {
        let base = Staging::default();
        let staging = Staging { hubs: 2, agents, slots: 1, tasks, limits: false, guards, ..base };
        Self { staging, troubles: 2, ticks: 2, peace_every: 64 }
    }

    pub(crate) fn without(agents: usize, guard: Guard) -> Self {
        Self::new(agents, 1, Guards::all().without(guard))
    }
}

const fn is_trouble(action: stage::Action) -> bool {
    use stage::Action as A;
    match action {
        A::Start(_) | A::Kill(_) | A::Cut(_) | A::Mute(_) | A::Fell(_) | A::Fail(_) => true,
        A::Submit
        | A::Resubmit
        | A::Commit(_)
        | A::Up(_)
        | A::Down(_)
        | A::Rise(_)
        | A::Finish(_)
        | A::Pass(_) => false,
    }
}

impl Model for Steps {
    type State = Scene;
    type Action = stage::Action;

    fn init_states(&self) -> Vec<Scene> {
        let stage = Stage::new(self.staging.clone());
        let digest = stage.digest();
        Vec::from([Scene {
            stage: Arc::new(Mutex::new(stage)),
            digest,
            troubles: 0,
            ticks: 0,
            broken: None,
        }])
    }

    fn actions(&self, scene: &Scene, actions: &mut Vec<stage::Action>) {
        if scene.broken.is_some() {
            return;
        }
        let may = |action: &stage::Action| !is_trouble(*action) || scene.troubles < self.troubles;
        actions.extend(scene.stage().actions().into_iter().filter(may));
        if scene.ticks < self.ticks {
            actions.extend(TICKS.map(stage::Action::Pass));
        }
    }

    fn next_state(&self, last: &Scene, action: stage::Action) -> Option<Scene> {
        let mut stage = last.stage().clone();
        let broken = stage.act(action).err().map(Arc::from);
        let digest = stage.digest();
        if digest == last.digest && broken.is_none() {
            return None;
        }
        let troubles = last.troubles + u8::from(is_trouble(action));
        let ticks = last.ticks + u8::from(matches!(action, stage::Action::Pass(_)));
        Some(Scene { stage: Arc::new(Mutex::new(stage)), digest, troubles, ticks, broken })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Vec::from([
            Property::always("no promise is broken", |_, scene: &Scene| scene.broken.is_none()),
            Property::always("everything can end", |model: &Self, scene: &Scene| {
                let asked = scene.digest.is_multiple_of(model.peace_every);
                !asked || scene.stage().clone().peace(Span::from_mins(60)).is_ok()
            }),
        ])
    }
}
