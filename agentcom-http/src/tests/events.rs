//! This file tests the feed of events.

use agentcom_core::driver::FeedItem;
use agentcom_core::id::{Lease, TaskId};
use agentcom_core::name::{AgentId, OperatorId, Principal};
use agentcom_core::time::Wall;
use agentcom_core::view::{Event, ProgressView};
use expect_test::expect;

use crate::Options;
use crate::testing::client::{Answer, request, send, send_with};
use crate::testing::{ADMIN, AGENT, Hub};
use tower::ServiceExt as _;

fn event(seq: u64, kind: &str, agent: Option<&str>) -> Event {
    Event {
        seq,
        at: Wall(1_000),
        by: Principal::System,
        cause: None,
        kind: kind.into(),
        task_id: Some(TaskId(1)),
        agent_id: agent.map(|name| AgentId::new(name).unwrap()),
        operator: None,
        generation: Some(Lease(2)),
        detail: None,
    }
}

fn hub(items: Vec<FeedItem>) -> Hub {
    let hub = Hub::default();
    hub.script(|script| {
        script.feed = items;
        script.oldest = 5;
        script.events = (6..10).map(|seq| event(seq, "task.ready", None)).collect();
    });
    hub
}

async fn get(hub: &Hub, address: &str) -> Answer {
    send(hub, request("GET", address, ADMIN, "")).await
}

#[tokio::test]
async fn durable_events_have_ids_and_progress_has_none() {
    let progress = ProgressView {
        task_id: TaskId(1),
        agent_id: AgentId::new("a-1").unwrap(),
        percent: Some(40),
        event: None,
    };
    let hub = hub(vec![
        FeedItem::Event(event(6, "task.ready", None)),
        FeedItem::Progress(progress),
        FeedItem::Lagged { after: 6 },
        FeedItem::Event(event(9, "task.ready", None)),
    ]);
    let answer = get(&hub, "/api/events?after=5").await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    expect![[r#"
        id: 6
        event: task.ready
        data: {"at":1000,"by":"system","generation":2,"seq":6,"task_id":"task-0000000000000001","type":"task.ready"}

        event: progress
        data: {"agent_id":"a-1","percent":40,"task_id":"task-0000000000000001"}

        event: lagged
        data: {"after":6}

    "#]].assert_eq(&answer.body);
}

#[tokio::test]
async fn a_feed_ends_with_the_removal_of_its_reader() {
    let hub = hub(vec![
        FeedItem::Event(event(6, "agent.removed", Some("a-2"))),
        FeedItem::Event(event(7, "agent.removed", Some("a-1"))),
        FeedItem::Event(event(8, "task.ready", None)),
    ]);
    hub.script(|script| script.ends_with = [(7, AGENT)].into());
    let ids = |body: &str| body.matches("id: ").count();
    assert_eq!(ids(&send(&hub, request("GET", "/api/events", AGENT, "")).await.body), 2);
    assert_eq!(ids(&get(&hub, "/api/events").await.body), 3);
}

/// What happens to the tokens of the operator `ci`.
fn of_operator(seq: u64, kind: &str, name: &str) -> FeedItem {
    let operator = OperatorId::new(name).ok();
    FeedItem::Event(Event { operator, task_id: None, ..event(seq, kind, None) })
}

#[tokio::test]
async fn a_feed_ends_with_the_token_that_opened_it_and_not_with_others() {
    for kind in ["token.removed", "token.expired", "token.rotated"] {
        let hub = hub(vec![
            of_operator(6, "token.expired", "nightly"),
            of_operator(7, "token.rotated", "ci"),
            of_operator(8, kind, "ci"),
            of_operator(9, "token.added", "more"),
        ]);
        hub.script(|script| script.ends_with = [(6, "admin:read"), (8, "task:read")].into());
        let feed = send(&hub, request("GET", "/api/events", "task:read", "")).await;
        assert_eq!(feed.body.matches("id: ").count(), 3, "{kind}: {}", feed.body);
    }
}

#[tokio::test]
async fn a_feed_does_not_begin_for_a_token_that_ended_in_the_meantime() {
    let hub = hub(vec![FeedItem::Event(event(6, "task.ready", None))]);
    hub.script(|script| script.ends_at_follow = Some("task:read"));
    let answer = send(&hub, request("GET", "/api/events", "task:read", "")).await;
    assert_eq!(answer.wrong(), "401 unauthorized\n");
}

#[tokio::test]
async fn the_removal_of_an_agent_of_the_same_name_before_it_came_ends_no_feed() {
    let hub = hub(vec![
        FeedItem::Event(event(6, "agent.removed", Some("a-1"))),
        FeedItem::Event(event(7, "agent.added", Some("a-1"))),
    ]);
    let feed = send(&hub, request("GET", "/api/events?after=5", AGENT, "")).await;
    assert_eq!(feed.body.matches("id: ").count(), 2);
}

#[tokio::test]
async fn a_cursor_that_is_too_old_is_gone() {
    let answer = get(&hub(vec![]), "/api/events?after=4").await;
    expect![[r#"
        410
        {
          "detail": "events up to 5 are gone",
          "error": "gone",
          "oldest": 5,
          "status": 410,
          "title": "gone",
          "type": "urn:agentcom:problem:gone"
        }"#]]
    .assert_eq(&answer.shown());
    assert_eq!(get(&hub(vec![]), "/api/events?after=4&format=json").await.status.as_u16(), 410);
}

#[tokio::test]
async fn a_client_that_reconnects_goes_on_behind_what_it_saw() {
    let mut again = request("GET", "/api/events?after=1&format=json", ADMIN, "");
    again.headers_mut().insert("last-event-id", "8".parse().unwrap());
    let answer = send(&hub(vec![]), again).await;
    assert_eq!((&answer.json()["count"], &answer.json()["next_after"]), (&1.into(), &9.into()));
    let mut wrong = request("GET", "/api/events", ADMIN, "");
    wrong.headers_mut().insert("last-event-id", "x".parse().unwrap());
    assert_eq!(send(&hub(vec![]), wrong).await.status.as_u16(), 422);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let hub = hub(vec![]);
    let first = get(&hub, "/api/events?format=json&after=5&limit=3").await.json();
    assert_eq!((&first["count"], &first["next_after"]), (&3.into(), &8.into()));
    let last = get(&hub, "/api/events?format=json&after=9").await.json();
    assert_eq!((&last["count"], &last["next_after"]), (&0.into(), &9.into()));
    let mut seen = get(&hub, "/api/events?format=xml").await.wrong();
    seen += &get(&hub, "/api/events?format=json&after=9&limit=1001").await.wrong();
    seen += &get(&hub, "/api/events?after=-1").await.wrong();
    expect![[r#"
        422 validation_failed
        invalid_value format: must be sse or json
        422 validation_failed
        invalid_value limit: must be 1 to 1000
        422 validation_failed
        invalid_value after: invalid digit found in string
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn open_feeds_are_bounded_and_a_closed_one_makes_room() {
    let hub = hub(vec![]);
    hub.script(|script| script.feed_stays_open = true);
    let router = crate::router(hub, Options { feeds_max: 1, ..Options::default() });
    let ask = || router.clone().oneshot(request("GET", "/api/events", ADMIN, ""));
    let first = ask().await.unwrap();
    assert_eq!(first.status().as_u16(), 200);
    assert_eq!(ask().await.unwrap().status().as_u16(), 503);
    drop(first);
    assert_eq!(ask().await.unwrap().status().as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_feed_gives_signs_of_life_and_outlives_the_deadline_of_requests() {
    use futures_util::StreamExt as _;
    let hub = hub(vec![]);
    hub.script(|script| script.feed_stays_open = true);
    let router = crate::router(hub, Options::default());
    let response = router.oneshot(request("GET", "/api/events", ADMIN, "")).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut chunks = response.into_body().into_data_stream();
    for _ in 0..10 {
        assert_eq!(&chunks.next().await.unwrap().unwrap()[..], b": still here\n\n");
    }
    assert_eq!(began.elapsed().as_secs(), 150);
}

#[tokio::test]
async fn options_reach_the_routes() {
    let none = Options { feeds_max: 0, ..Options::default() };
    let answer = send_with(&hub(vec![]), none, request("GET", "/api/events", ADMIN, "")).await;
    assert_eq!(answer.wrong(), "503 too_many_feeds\n");
    assert_eq!(answer.headers["retry-after"], "5");
}
