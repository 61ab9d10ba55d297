//! This file checks how endpoints are looked at, and what follows from that.

use super::*;

#[test]
fn a40_endpoints_are_looked_at_by_tasks_and_what_these_see_is_believed() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", Endpoint::new(Api::Ollama, "http://gpu:11434"));
    let (coder, looker) = (fleet.join("a", 9, &[]), fleet.looker());
    let task = fleet.submit(Tier::Standard, None);
    fleet.bench.pass(Span(1));
    assert_eq!(fleet.names(coder), [""; 0]);
    let look = fleet.look(looker).expect("it was never heard of, so somebody looks");
    let served = |model: &str, warm| Served {
        model: model.into(),
        warm,
        context: None,
        tools: Some(model != "embed"),
    };
    let models = vec![served("embed", true), served("cold", false), served("warm", true)];
    fleet.saw(looker, look, &Seen { models, ..Seen::default() });
    assert_eq!(fleet.given(coder), [(task, Some(("gpu".into(), "warm".into())))]);
    // Nothing of it is left to look at for a while.
    fleet.serve(coder);
    fleet.pass_hearing(looker, Span::from_secs(59));
    assert_eq!(fleet.look(looker), None);
}

#[test]
fn a_model_that_was_not_made_to_call_tools_is_given_tasks_where_it_is_held_to_a_format() {
    let mut fleet = Fleet::new();
    let (coder, looker) = (fleet.join("a", 9, &[]), fleet.looker());
    let by_format = ModelOptions { calls: Some(Calls::Format), ..ModelOptions::default() };
    let served = |model: &str| Served {
        model: model.into(),
        warm: false,
        context: None,
        tools: Some(false),
    };
    let seen = Seen { models: vec![served("plain"), served("embed")], ..Seen::default() };
    let mut endpoint = Endpoint::new(Api::Ollama, "http://gpu:11434");
    endpoint.tuning.all = by_format;
    fleet.set("gpu", endpoint.clone());
    fleet.bench.pass(Span(1));
    let look = fleet.look(looker).expect("it was never heard of");
    fleet.saw(looker, look, &seen);
    let any = fleet.submit(Tier::Standard, None);
    assert_eq!(
        fleet.names(coder),
        [""; 0],
        "some models cannot even chat, so each has to be named"
    );
    let named = fleet.submit(Tier::Standard, Some("plain"));
    assert_eq!(fleet.given(coder), [(named, Some(("gpu".into(), "plain".into())))]);
    fleet.serve(coder);
    endpoint.tuning = Tuning { models: [("plain".into(), by_format)].into(), ..Tuning::default() };
    fleet.set("gpu", endpoint);
    assert_eq!(fleet.given(coder), [(any, Some(("gpu".into(), "plain".into())))]);
}

#[test]
fn a_look_that_finds_nobody_counts_as_a_failure() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let looker = fleet.looker();
    let missed = Seen { error: Some("refused".into()), ..Seen::default() };
    for wait in [0, 60] {
        fleet.pass_hearing(looker, Span::from_secs(wait) + Span(1));
        let look = fleet.look(looker).unwrap();
        fleet.saw(looker, look, &missed);
    }
    assert!(matches!(fleet.breaker("gpu"), Breaker::Open { .. }));
    fleet.pass_hearing(looker, Span::from_secs(16));
    let look = fleet.look(looker).unwrap();
    fleet.saw(looker, look, &Seen::default());
    assert!(matches!(fleet.breaker("gpu"), Breaker::Closed { failures: 0, .. }));
}

#[test]
fn a_look_that_an_agent_never_ends_counts_as_a_failure() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let looker = fleet.looker();
    for failures in [1, 2] {
        fleet.pass_hearing(looker, Span(1));
        assert!(fleet.look(looker).is_some());
        fleet.pass_hearing(looker, Span::from_secs(30));
        assert_eq!(fleet.look(looker), None);
        let breaker = fleet.breaker("gpu");
        match failures {
            1 => assert!(matches!(breaker, Breaker::Closed { failures: 1, .. }), "{breaker:?}"),
            _ => assert!(matches!(breaker, Breaker::Open { .. }), "{breaker:?}"),
        }
        fleet.pass_hearing(looker, Span::from_secs(60));
        let id = EndpointId::new("gpu").unwrap();
        let health = fleet.bench.hub.state().endpoints().health(&id).unwrap();
        assert!(health.error.as_ref().unwrap().contains("did not say in 30 s"));
    }
}

#[test]
fn b20_looks_that_nobody_answers_hold_nothing_up() {
    let mut fleet = Fleet::new();
    for name in ["hole-1", "hole-2", "hole-3"] {
        let url = alloc::format!("http://{name}:11434");
        fleet.set(name, Endpoint::new(Api::Ollama, &url));
    }
    let (coder, looker) = (fleet.join("a", 9, &[]), fleet.looker());
    fleet.bench.pass(Span(1));
    assert_eq!(fleet.holds(looker), 3);
    fleet.set("gpu", local(&["qwen"]));
    let task = fleet.submit(Tier::Standard, None);
    let at = |model: &str| Some(("gpu".into(), model.into()));
    assert_eq!(fleet.given(coder), [(task, at("qwen"))]);
    fleet.serve(coder);
    // They are over in their time, and others follow a minute later.
    fleet.pass_hearing(looker, Span::from_secs(31));
    assert_eq!(fleet.holds(looker), 0);
    fleet.pass_hearing(looker, Span::from_secs(60));
    let looked_at = |held: Held| probed_by(&fleet.bench.task(held.task_id).spec);
    let held = fleet.bench.holds(&agent_id("looker")).into_iter().filter_map(looked_at);
    assert_eq!(held.filter(|id| id.as_str().starts_with("hole-")).count(), 3);
}

#[test]
fn what_a_stranger_says_of_an_endpoint_is_not_believed() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let looker = fleet.looker();
    fleet.pass_hearing(looker, Span(1));
    let own = fleet.look(looker).unwrap();
    fleet.saw(looker, own, &Seen::default());
    let input = Json::parse(r#"{"endpoint":"gpu"}"#).unwrap();
    fleet.bench.submit(Draft::new(Kind::new("probe").unwrap(), input));
    let forged = fleet.look(looker).unwrap();
    let before = fleet.breaker("gpu");
    fleet.saw(looker, forged, &Seen { error: Some("no".into()), ..Seen::default() });
    assert_eq!(fleet.breaker("gpu"), before);
}

#[test]
fn a_list_that_may_have_been_longer_does_not_say_what_is_missing() {
    for (listed, verdict) in [(Endpoint::MODELS_MAX - 1, None), (Endpoint::MODELS_MAX, Some("own"))]
    {
        let mut fleet = Fleet::new();
        fleet.set("gpu", local(&["own"]));
        let (coder, looker) = (fleet.join("a", 9, &[]), fleet.looker());
        fleet.bench.pass(Span(1));
        let look = fleet.look(looker).unwrap();
        let served = |n| Served {
            model: alloc::format!("m{n}").into(),
            warm: false,
            context: None,
            tools: Some(true),
        };
        let models = (0..listed).map(served).collect();
        fleet.saw(looker, look, &Seen { models, ..Seen::default() });
        fleet.submit(Tier::Standard, None);
        let given = fleet.given(coder).pop().and_then(|(_, at)| at);
        assert_eq!(given.as_ref().map(|(_, model)| &**model), verdict);
    }
}

/// An agent of one slot that looks at endpoints and runs commands, and tasks that wait for it and are
/// older than any look.
fn busy(fleet: &mut Fleet, tasks: usize) -> u64 {
    for _ in 0..tasks {
        fleet.bench.submit(draft());
    }
    fleet.bench.pass(Span::from_mins(9));
    fleet.join_with("busy", &["shell", "probe"], 1, &[])
}

/// The endpoint that an agent looks at; nothing if it does something else.
fn looks_at(fleet: &Fleet, session: u64) -> Option<String> {
    let look = fleet.look(session)?;
    let id = probed_by(&fleet.bench.task(look.task_id).spec)?;
    Some(id.as_str().into())
}

/// The agent does what it holds, whatever that is.
fn does(fleet: &mut Fleet, session: u64) {
    if let Some(look) = fleet.look(session) {
        return fleet.saw(session, look, &Seen::default());
    }
    let held = fleet.bench.holds(&agent_id("busy"))[0];
    fleet.bench.accept(session, held);
    fleet.bench.complete(session, held);
}

#[test]
fn looks_go_before_whatever_else_their_agent_waits_for() {
    for oldest_first in [0, 1] {
        let mut fleet = Fleet::new();
        fleet.bench.call(Command::SetOldestFirst { every: oldest_first });
        for name in ["one", "two"] {
            let url = alloc::format!("http://{name}:11434");
            fleet.set(name, Endpoint::new(Api::Ollama, &url));
        }
        let busy = busy(&mut fleet, 9);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(looks_at(&fleet, busy));
            does(&mut fleet, busy);
        }
        let at = |name: &str| Some(String::from(name));
        assert_eq!(seen, [at("one"), at("two"), None, None], "{oldest_first}");
    }
}

#[test]
fn an_endpoint_that_was_never_heard_of_is_looked_at_as_soon_as_anybody_has_room() {
    let mut fleet = Fleet::new();
    let busy = busy(&mut fleet, 9);
    fleet.set("gpu", Endpoint::new(Api::Ollama, "http://gpu:11434"));
    // What it is at takes longer than a look may.
    fleet.pass_hearing(busy, Span::from_mins(4));
    assert_eq!(looks_at(&fleet, busy), None);
    does(&mut fleet, busy);
    assert_eq!(looks_at(&fleet, busy), Some("gpu".into()));
}

#[test]
fn a_busy_fleet_is_not_asked_to_look_at_what_it_works_with() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let looks = |fleet: &Fleet| {
        let all = fleet.bench.hub.state().tasks();
        all.filter(|task| probed_by(&task.spec).is_some()).count()
    };
    let coder = fleet.join_with("coder", &["code", "probe"], 1, &[]);
    let look = fleet.look(coder).unwrap();
    let qwen = Served { model: "qwen".into(), warm: true, context: None, tools: Some(true) };
    fleet.saw(coder, look, &Seen { models: vec![qwen], ..Seen::default() });
    fleet.submit(Tier::Standard, None);
    assert!(fleet.coding(coder));
    fleet.pass_hearing(coder, Span::from_mins(4));
    assert_eq!(looks(&fleet), 0);
}

#[test]
fn a_look_that_comes_to_nothing_is_called_off_and_asked_for_anew() {
    let mut fleet = Fleet::new();
    let busy = busy(&mut fleet, 9);
    fleet.set("gpu", Endpoint::new(Api::Ollama, "http://gpu:11434"));
    let look = |fleet: &Fleet| {
        let all = fleet.bench.hub.state().tasks();
        all.filter(|task| probed_by(&task.spec).is_some()).map(|task| task.id).collect::<Vec<_>>()
    };
    let first = look(&fleet);
    fleet.pass_hearing(busy, Span::from_mins(11));
    let second = look(&fleet);
    assert_eq!((first.len(), second.len()), (1, 1), "nobody had time, and it is still wanted");
    assert_eq!(fleet.bench.word(first[0]), "cancelled");
    does(&mut fleet, busy);
    fleet.pass_hearing(busy, Span::from_secs(31));
    assert_eq!(fleet.bench.word(second[0]), "cancelled", "its agent never ended it");
    let [_, _, dead, cancelled] = fleet.bench.hub.state().head().unwrap().ended;
    assert_eq!((dead, cancelled), (0, 2), "nobody has to look after a look");
}
