//! This file freezes what is stored: a line here changes only by gaining optional fields.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;

use expect_test::expect;

use super::super::{Rows, State, mend};
use super::{Dirty, EndedRow, Loader, rows_of};
use crate::change::{Change, FORMAT};
use crate::command::{Command, OperatorCommand, Reply, Scope};
use crate::json::Json;
use crate::name::{AgentId, Capability, GoalId, Key, Kind, OperatorId, Repo, Tag};
use crate::operator::{Right, Validity};
use crate::port::store::{RowKey, Table};
use crate::task::{
    Category, Concurrency, Draft, FileHint, LeaseLoss, Priority, Rate, Tier, VerificationStep,
};
use crate::testing::bench::{self, Bench};
use crate::time::{Span, Wall};
use crate::wire::Dialect;

/// A draft that says everything that can be said.
#[expect(clippy::unwrap_used, reason = "all its names are names")]
fn full() -> Draft {
    let mut draft =
        Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"x"}"#).unwrap());
    draft.description = "all of it".into();
    draft.priority = Priority::High;
    draft.needs = vec![Capability::new("gpu").unwrap()];
    draft.metadata = Json::parse(r#"{"n":1}"#).unwrap();
    draft.repo = Repo::new("https://host/r").ok();
    draft.assign_to = AgentId::new("a").ok();
    draft.on_lease_loss = Some(LeaseLoss::Continue);
    draft.idempotency_key = Key::new("once").ok();
    draft.times.run_after = Some(Wall(1));
    draft.times.complete_by = Some(Wall(1_900_000_000_000));
    draft.times.expires_after = Some(Span(3));
    draft.times.timeout = Some(Span(4));
    draft.times.lease_ttl = Some(Span::from_secs(5));
    draft.retry.attempts_max = Some(6);
    draft.retry.backoff_base = Some(Span(7));
    draft.retry.backoff_cap = Some(Span(8));
    draft.share.concurrency = Some(Concurrency { key: Key::new("c").unwrap(), max: 9 });
    draft.share.rates =
        vec![Rate { key: Key::new("r").unwrap(), limit: 1, per: Span(2), burst: 3 }];
    draft.share.fair_key = Key::new("f").ok();
    draft.share.cost = 10;
    draft.group.goal_id = GoalId::new("goal-1").ok();
    draft.group.tags = vec![Tag::new("t").unwrap()];
    draft.group.spawn_depth = 1;
    draft.coding.branch = Some("main".into());
    draft.coding.file_hints = vec![FileHint { path: "a.rs".into(), reason: Some("why".into()) }];
    draft.coding.success_criteria = vec!["it works".into()];
    let step =
        VerificationStep { kind: "file_exists".into(), target: "a".into(), description: None };
    draft.coding.verification_steps = vec![step];
    draft.coding.tier = Some(Tier::Trivial);
    draft.coding.skip_verification = true;
    draft.coding.verification_timeout = Some(Span(11));
    draft.coding.verification_retries_max = 2;
    draft
}

/// All rows of the facts that a bench touched, one a line.
fn lines(bench: &Bench, dirty: &BTreeSet<Dirty>) -> String {
    let batch = rows_of(bench.hub.state(), dirty, &[]);
    let mut text = String::new();
    for (key, value) in &batch.puts {
        let name: String = key.key.escape_ascii().map(char::from).collect();
        let (format, json) = value
            .split_first()
            .map_or((0, "".into()), |(format, json)| (*format, String::from_utf8_lossy(json)));
        text.push_str(&alloc::format!("{} {name} {format} {json}\n", key.table));
    }
    for key in &batch.deletes {
        let name: String = key.key.escape_ascii().map(char::from).collect();
        text.push_str(&alloc::format!("{} {name} deleted\n", key.table));
    }
    text
}

#[test]
fn rows_of_living_things_keep_their_form() {
    let mut bench = Bench::new();
    let id = bench.submit(full());
    bench.join("a", Dialect::V1, 1, &["gpu"]);
    bench.call(Command::Pause(Scope::All));
    bench.call(Command::SetWeight { key: Key::new("f").unwrap(), weight: 200 });
    let dirty = BTreeSet::from([
        Dirty::Settings,
        Dirty::Spec(id),
        Dirty::Life(id),
        Dirty::Agent(AgentId::new("a").unwrap()),
        Dirty::Bucket(Key::new("r").unwrap()),
    ]);
    expect![[r#"
        meta settings 1 {"paused":["all"],"weights":{"f":200},"oldest_first":0}
        spec \x00\x00\x00\x00\x00\x00\x00\x01 1 {"description":"all of it","op":{"kind":"shell","input":{"command":"x"}},"priority":"high","needs":["gpu"],"metadata":{"n":1},"repo":"https://host/r","assign_to":"a","on_lease_loss":"continue","submitted_by":"admin","idempotency_key":"once","times":{"run_after":1,"complete_by":1900000000000,"expires_after":3,"timeout":4,"lease_ttl":5000},"retry":{"attempts_max":6,"backoff_base":7,"backoff_cap":8},"share":{"concurrency":{"key":"c","max":9},"rates":[{"key":"r","limit":1,"per":2,"burst":3}],"fair_key":"f","cost":10},"group":{"goal_id":"goal-1","tags":["t"],"spawn_depth":1},"coding":{"branch":"main","file_hints":[{"path":"a.rs","reason":"why"}],"success_criteria":["it works"],"verification_steps":[{"type":"file_exists","target":"a"}],"tier":"trivial","skip_verification":true,"verification_timeout":11,"verification_retries_max":2}}
        life \x00\x00\x00\x00\x00\x00\x00\x01 1 {"state":{"assigned":{"agent":"a","lease":1,"since":1700000000000}},"lease":1,"failures":0,"crashes":0,"created_at":1700000000000,"updated_at":1700000000000,"attempts":[{"lease":1,"agent":"a","assigned_at":1700000000000}]}
        agent a 1 {"id":"a","tokens":["6100000000000000000000000000000000000000000000000000000000000000"],"registered_at":1700000000000,"draining":false,"trust":"good"}
        bucket r 1 {"rate":{"key":"r","limit":1,"per":2,"burst":3},"bucket":{"level":4,"at":1700000000000}}
        meta head 1 {"incarnation":"inc-0000000000000007","seed":42,"ids":{"key":3032309578389449745},"admin":"61646d696e000000000000000000000000000000000000000000000000000000","next_task":2,"next_question":1,"seq":6,"oldest_event":1,"ended":[0,0,0,0]}
    "#]].assert_eq(&lines(&bench, &dirty));
}

#[test]
fn rows_of_operators_keep_their_form() {
    let mut bench = Bench::new();
    let id = OperatorId::new("ci").unwrap();
    let rights = [Right::TaskSubmit, Right::TaskRead].into();
    let (validity, token) = (Validity::of(Span::from_secs(60)).unwrap(), bench::token("one"));
    bench.call(Command::Operator(OperatorCommand::Add { id: id.clone(), rights, validity, token }));
    bench.pass(Span::from_secs(60));
    let (validity, token) = (Some(Validity::ENDLESS), bench::token("two"));
    bench.call(Command::Operator(OperatorCommand::Rotate { id: id.clone(), validity, token }));
    let told = lines(&bench, &[Dirty::Operator(id)].into());
    expect![[r#"meta operator:ci 1 {"id":"ci","rights":["task:read","task:submit"],"validity":null,"tokens":[{"hash":"74776f0000000000000000000000000000000000000000000000000000000000","issued_at":1700000060000},{"hash":"6f6e650000000000000000000000000000000000000000000000000000000000","issued_at":1700000000000,"expires_at":1700000060000,"expired":true}],"added_at":1700000000000}"#]].assert_eq(told.lines().next().unwrap());
    let told = bench.events.iter().map(|event| serde_json::to_string(event).unwrap());
    expect![[r#"
        {"seq":2,"at":1700000000000,"by":"admin","type":"token.added","operator":"ci","detail":["task:read","task:submit"]}
        {"seq":3,"at":1700000060000,"by":"system","type":"token.expired","operator":"ci","detail":["task:read","task:submit"]}
        {"seq":4,"at":1700000060000,"by":"admin","type":"token.rotated","operator":"ci","detail":["task:read","task:submit"]}"#]].assert_eq(&told.collect::<vec::Vec<_>>().join("\n"));
}

#[test]
fn a_damaged_row_of_an_operator_is_set_aside_by_name() {
    let mut bench = Bench::new();
    let ids = ["ci", "other"].map(|name| OperatorId::new(name).unwrap());
    for id in &ids {
        let (id, rights) = (id.clone(), [Right::TaskRead].into());
        let (validity, token) = (Validity::USUAL, bench::token(id.as_str()));
        bench.call(Command::Operator(OperatorCommand::Add { id, rights, validity, token }));
    }
    let dirty = ids.into_iter().map(Dirty::Operator).collect();
    let mut rows: Rows = rows_of(bench.hub.state(), &dirty, &[]).puts.into_iter().collect();
    let row = RowKey::new(Table::Meta, b"operator:ci");
    // What reads well as settings, of which nothing has to be said.
    rows.insert(row.clone(), [&[FORMAT][..], br#"{"id":"ci"}"#].concat());
    let (_, aside) = mend(&mut rows).unwrap();
    let names: vec::Vec<_> = aside.into_iter().filter_map(|error| error.row).collect();
    assert_eq!(names, vec::Vec::from([row]));
    assert!(rows.contains_key(&RowKey::new(Table::Meta, b"operator:other")));
}

#[test]
fn rows_of_what_ended_keep_their_form() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let kind = Kind::new("shell").unwrap();
    let id = bench.submit(Draft::new(kind, Json::null()));
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.fail(agent, held, Category::Permanent);
    expect![[r#"{"id":"task-b1aa8a868078b01c","spec":{"description":"","op":{"kind":"shell"},"priority":"normal","submitted_by":"admin"},"life":{"state":{"dead":"permanent"},"lease":1,"failures":1,"crashes":0,"created_at":1700000000000,"updated_at":1700000000000,"attempts":[{"lease":1,"agent":"a","assigned_at":1700000000000,"accepted_at":1700000000000,"ended":{"at":1700000000000,"outcome":{"failed":"permanent"},"error":"boom"}}]}}"#]].assert_eq(&serde_json::to_string(&EndedRow {
        id,
        spec: (*bench.task(id).spec).clone(),
        life: bench.task(id).life.clone(),
    })
    .unwrap());
}

#[test]
fn events_keep_their_form() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(Draft::new(Kind::new("shell").unwrap(), Json::null()));
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.fail(agent, held, Category::Retryable);
    let text: String =
        bench.events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    expect![[r#"
        {"seq":2,"at":1700000000000,"by":"admin","type":"agent.added","agent_id":"a"}
        {"seq":3,"at":1700000000000,"by":"admin","type":"task.submitted","task_id":"task-b1aa8a868078b01c","detail":{"state":"ready","priority":"normal","op":"shell","description":""}}
        {"seq":4,"at":1700000000000,"by":"system","type":"task.assigned","task_id":"task-b1aa8a868078b01c","agent_id":"a","generation":1}
        {"seq":5,"at":1700000000000,"by":"agent:a","type":"task.working","task_id":"task-b1aa8a868078b01c","agent_id":"a","generation":1}
        {"seq":6,"at":1700000000000,"by":"agent:a","type":"task.delayed","task_id":"task-b1aa8a868078b01c","agent_id":"a","generation":1,"detail":{"outcome":{"failed":"retryable"},"error":"boom"}}
    "#]].assert_eq(&text);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let row = [9, b'{', b'}'];
    let error = Loader::default().row(&State::default(), Table::Agent, b"a", &row).unwrap_err();
    expect!["store Corrupt: table agent, row a: format 9 is newer than 1, the newest that this release reads"].assert_eq(&alloc::format!("{error}"));
}

#[test]
fn unknown_fields_of_a_later_release_are_passed_over() {
    let mut bench = Bench::new();
    assert!(matches!(bench.call(Command::Pause(Scope::All)), Reply::Done));
    let row =
        [&[FORMAT][..], br#"{"paused":["all"],"weights":{},"oldest_first":0,"later":1}"#].concat();
    let change = Loader::default().row(&State::default(), Table::Meta, b"settings", &row).unwrap();
    let settings = bench.hub.state().settings().clone();
    assert_eq!(change, Some(Change::Settings(settings.into())));
    let later = Loader::default().row(&State::default(), Table::Meta, b"later", &row).unwrap();
    assert_eq!(later, None);
}
