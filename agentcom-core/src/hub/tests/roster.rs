//! This file checks what the scheduler remembers of agents and of classes of tasks that come and go,
//! and that it forgets the rest.

use super::*;
use crate::task::Priority;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A task of one of 1,024 classes: each needs another pair of a tool and a site.
fn of_class(number: usize) -> Draft {
    let need = |text: String| Capability::new(&text).unwrap();
    let needs = vec![need(format!("tool-{}", number % 32)), need(format!("site-{}", number / 32))];
    Draft { needs, ..draft() }
}

#[test]
fn an_agent_that_comes_back_has_not_waited_longer_than_one_that_was_there() {
    let mut bench = Bench::new();
    let session = bench.join("a", Dialect::V1, 1, &[]);
    bench.join("b", Dialect::V1, 1, &[]);
    bench.submit(draft());
    assert!(bench.serve(session).is_some(), "the first by name is asked first");
    bench.leave(session);
    bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    assert_eq!(bench.state(id).hold().unwrap().agent, agent_id("b"));
}

#[test]
fn nothing_is_left_of_agents_that_are_gone() {
    let mut bench = Bench::new();
    for (name, capability) in [("a", "gpu"), ("b", "gpu"), ("c", "ssd")] {
        let session = bench.join(name, Dialect::V1, 1, &[capability]);
        bench.leave(session);
    }
    let fleet = bench.hub.state().fleet();
    assert_eq!((fleet.groups().count(), fleet.members().count()), (0, 3));
    for name in ["a", "b", "c"] {
        assert_eq!(bench.call(Command::RemoveAgent(agent_id(name))), Reply::Done);
    }
    assert_eq!(bench.hub.state().fleet().members().count(), 0);
}

#[test]
fn who_could_do_what_is_asked_for_no_longer_is_not_given_what_takes_its_place() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &["old"]);
    // So many that a class without tasks is not kept to spare.
    for number in 0..1_024 {
        bench.submit(of_class(number));
    }
    let busy = bench.submit(draft());
    assert_eq!(bench.word(busy), "assigned");
    let mine = Draft { assign_to: Some(agent_id("stranger")), ..draft() };
    for draft in [needing("old"), mine] {
        let id = bench.submit(draft);
        bench.call(Command::Cancel(id));
        let other = bench.submit(needing("new"));
        bench.serve(agent);
        assert_eq!(bench.word(other), "ready");
        bench.call(Command::Cancel(other));
    }
    assert_eq!(bench.hub.state().fleet().named(&agent_id("stranger")), None);
    // A class in which something waits is kept.
    let [called_off, kept] = [bench.submit(needing("rare")), bench.submit(needing("rare"))];
    bench.call(Command::Cancel(called_off));
    bench.join("b", Dialect::V1, 1, &["rare"]);
    assert_eq!(bench.word(kept), "assigned");
    bench.check();
}

#[test]
fn order_is_kept_among_hundreds_of_classes_while_some_come_and_some_are_given_up() {
    let mut bench = Bench::new();
    let waiting: Vec<TaskId> = (0..1_024).map(|number| bench.submit(of_class(number))).collect();
    let mut able: Vec<String> = (0..32).map(|number| format!("tool-{number}")).collect();
    able.extend((0..10).map(|number| format!("site-{number}")));
    able.push("late".into());
    let able: Vec<&str> = able.iter().map(String::as_str).collect();
    let agent = bench.join("a", Dialect::V1, 1, &able);
    for id in &waiting[..3] {
        assert_eq!(bench.serve(agent), Some(*id));
    }
    let late = bench.submit(Draft { priority: Priority::Urgent, ..needing("late") });
    assert_eq!(bench.serve(agent), Some(waiting[3]), "it was at work on that");
    assert_eq!(bench.serve(agent), Some(late));
    for id in &waiting[4..200] {
        assert_eq!(bench.serve(agent), Some(*id));
    }
    bench.check();
}

#[test]
fn who_has_a_repository_at_hand_is_known_until_it_is_removed() {
    let mut bench = Bench::new();
    let repo = crate::name::Repo::new("https://host/r").unwrap();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(Draft { repo: Some(repo.clone()), ..draft() });
    bench.serve(agent);
    bench.join("b", Dialect::V1, 1, &[]);
    bench.call(Command::RemoveAgent(agent_id("b")));
    assert_eq!(bench.hub.state().warm(&repo), Some(&agent_id("a")));
    bench.call(Command::RemoveAgent(agent_id("a")));
    assert_eq!(bench.hub.state().warm(&repo), None);
}
