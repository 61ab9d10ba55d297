//! This file tests how a sidecar connects, and how it is turned away.

use expect_test::expect;

use super::*;

#[test]
fn it_says_who_it_is_and_pings_at_once_and_then_every_five_seconds() {
    let mut rig = Rig::new(2);
    assert_eq!(rig.wake(), ["connect"]);
    let said = rig.step(Input::Connected);
    expect!["> {identify,agent_id:a-1,token:s3cret,capabilities:[],boot:boot-0000000000000001,executors:[shell],slots:2,labels:{},models:{}}"]
    .assert_eq(&said.join("\n"));
    assert_eq!(rig.identify_again(), ["> ping []"]);
    let start = rig.ms;
    for beat in 1..4 {
        rig.pong();
        assert_eq!(rig.next(), (Some(Wake::Ping), alloc::vec!["> ping []".into()]));
        assert_eq!(rig.ms - start, beat * 5000);
    }
}

impl Rig {
    fn identify_again(&mut self) -> Vec<String> {
        self.hears(ToAgent::Identified(Identified {
            agent_id: AgentId::new("a-1").unwrap(),
            incarnation: Some(LIFE),
            heartbeat_ms: Some(Span(5000)),
        }))
    }

    /// How long it waits before it connects again.
    fn wait_to_dial(&mut self) -> u64 {
        let before = self.ms;
        assert_eq!(self.next(), (Some(Wake::Dial), alloc::vec!["connect".into()]));
        self.ms - before
    }
}

#[test]
fn waits_to_connect_are_jittered_below_a_ceiling_that_doubles_to_half_a_minute() {
    let mut longest = [0; 10];
    for seed in 0..200 {
        let mut rig = Rig::with(config(1), Journal::default(), seed);
        rig.wake();
        for (failures, longest) in longest.iter_mut().enumerate() {
            rig.step(Input::Unreachable("refused".into()));
            let wait = rig.wait_to_dial();
            let ceiling = (1000 << failures).min(30_000);
            assert!((1..=ceiling).contains(&wait), "{wait} after {failures}");
            *longest = wait.max(*longest);
        }
    }
    assert!(longest[0] > 900 && longest[9] > 27_000, "{longest:?}");
}

#[test]
fn a_hub_without_room_is_left_alone_as_long_as_it_asks_and_then_not_by_all_at_once() {
    let asked = Span::from_secs(7);
    let wait = |seed| {
        let mut rig = Rig::with(config(1), Journal::default(), seed);
        rig.wake();
        rig.step(Input::Full { retry_after: asked });
        rig.wait_to_dial()
    };
    let waits: alloc::collections::BTreeSet<u64> = (0..50).map(wait).collect();
    assert!(waits.iter().all(|wait| (7_001..=8_000).contains(wait)), "{waits:?}");
    assert!(waits.len() > 40, "{waits:?}");
}

#[test]
fn only_an_identified_session_makes_the_waits_short_again() {
    let mut rig = Rig::new(1);
    rig.wake();
    let mut longest = 0;
    for _ in 0..40 {
        rig.step(Input::Connected);
        rig.step(Input::Disconnected);
        longest = rig.wait_to_dial().max(longest);
    }
    assert!(longest > 15_000, "{longest}");
    rig.identify();
    rig.step(Input::Disconnected);
    assert!(rig.wait_to_dial() <= 1000);
}

#[test]
fn a_refused_token_is_explained_and_tried_again_after_a_minute() {
    for word in ["invalid_token", "token_agent_mismatch", "too_many_failures"] {
        let mut rig = Rig::new(1);
        rig.wake();
        for _ in 0..3 {
            rig.step(Input::Connected);
            let said = rig.error(word, None);
            assert_eq!(said[0], "hang up");
            assert!(said[1].starts_with("warn the hub refused the token of agent a-1"), "{said:?}");
            assert!(said[1].contains("agentcom agent add a-1") && !said[1].contains("s3cret"));
            assert_eq!(rig.wait_to_dial(), 60_000);
        }
    }
}

#[test]
fn a_hub_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    let mut rig = Rig::new(1);
    rig.wake();
    rig.step(Input::Connected);
    rig.hears(ToAgent::Error(ErrorFrame {
        error: "rate_limited".into(),
        retry_after_ms: Some(Span(20_000)),
        ..ErrorFrame::default()
    }));
    assert_eq!(rig.wait_to_dial(), 20_000);
}

#[test]
fn whatever_it_waits_for_has_a_deadline() {
    let mut rig = Rig::new(1);
    rig.wake();
    assert_eq!(rig.next().0, Some(Wake::Connect));
    rig.wait_to_dial();
    rig.step(Input::Connected);
    let (wake, said) = rig.next();
    assert_eq!((wake, &*said[0]), (Some(Wake::Identify), "hang up"));
}

#[test]
fn a_hub_that_answers_no_ping_for_ten_seconds_is_left() {
    let mut rig = Rig::online(1);
    let (_, said) = rig.next();
    assert_eq!(said, ["> ping []"]);
    let pinged = rig.ms;
    rig.next();
    let (_, said) = rig.next();
    assert_eq!((rig.ms - pinged, &*said[0]), (10_000, "hang up"));
    assert!(rig.sidecar.session.online().is_none());
}

#[test]
fn a_connection_that_comes_too_late_is_dropped() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.after(0, Input::Wake), ["connect"]);
    rig.next();
    assert_eq!(rig.step(Input::Connected), ["hang up"]);
}

#[test]
fn it_says_what_it_has_proved_of_its_sandbox_as_far_as_a_hub_listens() {
    use crate::sandbox::{Level, Missing, Report as Proved};
    let missing = |seen: &str| Missing { level: Level::L2, seen: seen.into(), hint: "h".into() };
    let long = missing(&"x".repeat(Proved::TEXT_CHARS_MAX + 1));
    let missing = alloc::vec![missing("s"), long];
    let report = Proved { missing, ..Proved::of(Level::L1) };
    let config = SidecarConfig { sandbox: Some(report), ..config(2) };
    let mut rig = Rig::with(config, Journal::default(), 1);
    rig.wake();
    let said = rig.step(Input::Connected).join("\n");
    assert!(said.contains("capabilities:[sandbox-l1]"), "{said}");
    assert!(
        said.contains("sandbox:{level:L1,network:false,missing:[{level:L2,seen:s,hint:h}"),
        "{said}"
    );
    assert!(!said.contains(&"x".repeat(Proved::TEXT_CHARS_MAX + 1)), "{said}");
}

#[test]
fn a_hub_that_does_not_name_its_life_gets_no_work_done() {
    let mut rig = Rig::new(1);
    rig.wake();
    rig.step(Input::Connected);
    let agent_id = AgentId::new("a-1").unwrap();
    let said = rig.hears(ToAgent::Identified(Identified {
        agent_id,
        incarnation: None,
        heartbeat_ms: None,
    }));
    assert_eq!(said[0], "hang up");
    assert_eq!(rig.wait_to_dial(), 60_000);
}

#[test]
fn the_same_seed_and_inputs_give_the_same_trace() {
    let trace = |seed| {
        let mut rig = Rig::with(config(1), Journal::default(), seed);
        let mut trace = Vec::new();
        rig.wake();
        for round in 0..20 {
            rig.identify();
            rig.assign(assignment(round, 1));
            trace.push(rig.ends(round, 1, done()).join("\n"));
            trace.push(rig.step(Input::Disconnected).join("\n"));
            rig.next();
            trace.push(rig.ms.to_string());
        }
        trace
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}
