//! This file lets agents spend at random, and keeps their own books beside those of the hub.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Happens {
    Reserve { agent: usize, micros: u64, lost: bool },
    Used { agent: usize, share: u64, lost: bool },
    Fail(usize),
    Away(usize),
    Restart,
    Answer(bool),
    Stop,
}

fn happens() -> impl Strategy<Value = Happens> {
    let agent = 0..3_usize;
    prop_oneof![
        6 => (agent.clone(), 1..60_u64, prop::bool::weighted(0.1))
            .prop_map(|(agent, micros, lost)| Happens::Reserve { agent, micros, lost }),
        5 => (agent.clone(), 0..=100_u64, prop::bool::weighted(0.2))
            .prop_map(|(agent, share, lost)| Happens::Used { agent, share, lost }),
        1 => agent.clone().prop_map(Happens::Fail),
        1 => agent.prop_map(Happens::Away),
        1 => Just(Happens::Restart),
        1 => any::<bool>().prop_map(Happens::Answer),
        1 => Just(Happens::Stop),
    ]
}

/// An agent that spends, and keeps its own books.
#[derive(Default)]
struct Spender {
    at: Option<(u64, Held)>,
    number: u32,
    /// The worst of the call that is under way.
    worst: Option<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Agents keep books of what they really spend. Whatever is lost, whoever goes down, whatever
    /// people answer, and whoever tells late, or twice, of what, that stays within the cap, which only
    /// answers raise.
    #[test]
    fn what_is_really_spent_stays_within_the_cap(
        all in proptest::collection::vec(happens(), 1..120), cap in 50..400_u64,
        cuts in proptest::collection::vec((0..=100_u64, 0..3_usize), 8),
    ) {
        let mut bench = Bench::new();
        set_cap(&mut bench, "day", cap);
        for _ in 0..40 {
            let mut draft = draft();
            draft.retry.attempts_max = Some(100);
            bench.submit(draft);
        }
        let mut spenders: [Spender; 3] = core::array::from_fn(|_| Spender::default());
        let mut really = 0;
        let mut cuts = cuts.into_iter().cycle();
        for what in all {
            for (n, spender) in spenders.iter_mut().enumerate() {
                // Whoever holds nothing comes back, and is given something.
                let name = ["a", "b", "c"][n];
                let holds = spender.at.is_some_and(|(session, held)| {
                    bench.hub.state().session(SessionId(session)).is_some()
                        && bench.holds(&AgentId::new(name).unwrap()).contains(&held)
                });
                if !holds {
                    let session = bench.join(name, Dialect::V1, 1, &[]);
                    let held = bench.holds(&AgentId::new(name).unwrap()).first().copied();
                    let before = spender.at.map(|(_, held)| held);
                    if held != before {
                        *spender = Spender::default();
                    }
                    spender.at = held.map(|held| (session, held));
                }
            }
            let grants = |bench: &mut Bench, spenders: &mut [Spender; 3]| {
                for spender in spenders.iter_mut() {
                    let Some((session, held)) = spender.at else { continue };
                    for frame in bench.said(session) {
                        if let ToAgent::SpendAnswered(said) = frame
                            && said.generation == held.generation
                            && said.call == spender.number
                            && let Some(granted) = said.granted
                            && spender.worst.is_none()
                        {
                            spender.worst = Some(granted.micros.0);
                        }
                    }
                }
            };
            match what {
                Happens::Reserve { agent, micros, lost } => {
                    let spender = &mut spenders[agent];
                    if let (Some((session, held)), None) = (spender.at, spender.worst) && !lost {
                        spender.number += 1;
                        let call = call(held, spender.number, micros);
                        bench.frame(session, ToHub::SpendReserve(call));
                    }
                    grants(&mut bench, &mut spenders);
                }
                Happens::Used { agent, share, lost } => {
                    let spender = &mut spenders[agent];
                    if let (Some((session, held)), Some(worst)) = (spender.at, spender.worst.take()) {
                        really += worst * share / 100;
                        if !lost {
                            used(&mut bench, session, call(held, spender.number, worst * share / 100));
                        }
                    }
                }
                Happens::Fail(agent) => {
                    if let Some((session, held)) = spenders[agent].at {
                        bench.fail(session, held, Category::Retryable);
                    }
                }
                Happens::Away(agent) => {
                    if let Some((session, _)) = spenders[agent].at {
                        bench.leave(session);
                        bench.pass(Span::from_secs(120));
                    }
                }
                Happens::Restart => {
                    grants(&mut bench, &mut spenders);
                    restarted(&mut bench);
                }
                Happens::Answer(yes) => {
                    if bench.hub.state().questions().next().is_some() {
                        answer(&mut bench, if yes { "yes" } else { "no" });
                        grants(&mut bench, &mut spenders);
                    }
                }
                Happens::Stop => {
                    bench.call(Command::Estop { stop: true });
                    bench.call(Command::Estop { stop: false });
                }
            }
            // An agent that is told to stop, or loses its task, may have spent as much as its worst, and
            // may still tell.
            for (n, spender) in spenders.iter_mut().enumerate() {
                let Some((session, held)) = spender.at else { continue };
                if !bench.holds(&AgentId::new(["a", "b", "c"][n]).unwrap()).contains(&held) {
                    spender.at = None;
                    let Some(worst) = spender.worst.take() else { continue };
                    let (share, tells) = cuts.next().unwrap();
                    let spent = worst * share / 100;
                    really += spent;
                    for _ in 0..tells {
                        used(&mut bench, session, call(held, spender.number, spent));
                    }
                }
            }
            let limit = bench.hub.state().settings().caps[&"day".parse().unwrap()].0;
            let under_way: u64 = spenders.iter().filter_map(|spender| spender.worst).sum();
            prop_assert!(really + under_way <= limit, "{really} and {under_way} of {limit}");
            let known = booked(&bench, "all") + reserved(&bench);
            prop_assert!(known >= really, "the books know less than was spent");
        }
    }
}
