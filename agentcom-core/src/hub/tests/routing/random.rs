//! This file lets anything happen to endpoints, in any order; the bench checks the state after each
//! step, and with it that no task waits for an endpoint that would take it.

use super::*;
use crate::command::Scope;
use crate::name::Credential;
use crate::rng::Rng;
use crate::task::Category;

const NAMES: [&str; 3] = ["gpu", "work", "spare"];

#[test]
fn whatever_happens_no_task_waits_for_an_endpoint_that_would_take_it() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut fleet = Fleet::new();
        let mut agents = vec![fleet.join("a", 2, &[]), fleet.looker()];
        for _ in 0..120 {
            happen(&mut fleet, &mut agents, &mut rng);
            within_slots(&fleet);
        }
    }
}

fn happen(fleet: &mut Fleet, agents: &mut Vec<u64>, rng: &mut Rng) {
    let agent = agents[rng.below(agents.len() as u64) as usize];
    let name = NAMES[rng.below(3) as usize];
    let id = EndpointId::new(name).unwrap();
    let model = [None, Some("a"), Some("b")][rng.below(3) as usize];
    match rng.below(18) {
        0 => fleet.set(name, random(rng)),
        1 => _ = fleet.tell(EndpointCommand::Remove(id)),
        2 => _ = fleet.tell(EndpointCommand::Park(id, Span::from_secs(rng.below(90)))),
        3 => _ = fleet.tell(EndpointCommand::Unpark(id)),
        4 if agents.len() < 4 => agents.push(fleet.join("b", 2, &["key-me"])),
        5 => fleet.bench.leave(agent),
        6 | 7 => _ = fleet.submit([Tier::Standard, Tier::Complex][rng.below(2) as usize], model),
        8 => submit_with_bounds(fleet, model, rng),
        9 | 10 => _ = fleet.serve(agent),
        11 if fleet.coding(agent) => {
            let fault = [Fault::Unreachable, Fault::Busy, Fault::Quota][rng.below(3) as usize];
            fleet.fault(agent, fault, Some(Span::from_secs(rng.below(60))));
        }
        12 => {
            if let Some(held) = fleet.look(agent) {
                let error = (rng.below(2) == 0).then(|| "refused".into());
                let served = |model: &str| Served {
                    model: model.into(),
                    warm: true,
                    context: None,
                    tools: None,
                };
                let models = vec![served("a"), served("b")];
                fleet.saw(agent, held, &Seen { error, models, ..Seen::default() });
            }
        }
        13 => {
            if let Some(task) = fleet.living().first() {
                fleet.bench.call(Command::Cancel(*task));
            }
        }
        // Under a name that an operator may set as well, or that another agent announces.
        15 if agents.len() < 9 => {
            let who = ["a", "c"][rng.below(2) as usize];
            let all = (rng.below(3) > 0).then(|| (id, Endpoint { others: true, ..random(rng) }));
            let announced = (rng.below(4) > 0).then(|| all.into_iter().collect());
            agents.push(fleet.join_announcing(who, announced));
        }
        16 => bar(fleet, rng),
        14 if fleet.coding(agent) => fleet.fail(agent, Category::Retryable),
        _ => fleet.bench.pass(Span::from_secs(rng.below(200))),
    }
}

/// A task that much may keep from starting.
fn submit_with_bounds(fleet: &mut Fleet, model: Option<&str>, rng: &mut Rng) {
    let mut draft = hold::draft(model.unwrap_or("a"));
    let mut one_in = |of: u64| rng.below(of) == 0;
    draft.share.concurrency = one_in(3).then(hold::alone);
    draft.share.rates = one_in(3).then(hold::hourly).into_iter().collect();
    draft.assign_to = one_in(3).then(|| agent_id("b"));
    draft.repo = one_in(3).then(hold::repo);
    fleet.bench.submit(draft);
}

/// Something bars tasks, or does no longer.
fn bar(fleet: &mut Fleet, rng: &mut Rng) {
    let agent = agent_id(["a", "b"][rng.below(2) as usize]);
    let scope = Scope::Repo(hold::repo());
    fleet.bench.call(match rng.below(4) {
        0 => Command::Pause(scope),
        1 => Command::Unpause(scope),
        2 => Command::Drain(agent),
        _ => Command::Resume(agent),
    });
}

fn random(rng: &mut Rng) -> Endpoint {
    let named: &[&str] = [&[][..], &["a"], &["a", "b"]][rng.below(3) as usize];
    let mut made = if rng.below(2) == 0 { local(named) } else { cloud(named) };
    for meant in &mut made.models {
        let tiers = [&[][..], &[Tier::Standard], &[Tier::Complex]][rng.below(3) as usize];
        meant.tiers = tiers.into();
    }
    let credential = (rng.below(3) == 0).then(|| Credential::new("me").unwrap());
    let (slots, models_at_once) = (1 + rng.below(2) as u32, rng.below(3) as u32);
    Endpoint { credential, slots, models_at_once, ..made }
}

/// No model works on more tasks than any endpoint of its name ever had slots.
fn within_slots(fleet: &Fleet) {
    for name in NAMES {
        let id = EndpointId::new(name).unwrap();
        for (_, tasks) in fleet.bench.hub.state().endpoints().held(&id) {
            assert!(tasks <= 2, "{name} works on {tasks} tasks");
        }
    }
}
