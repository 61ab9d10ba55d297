//! This file tests what becomes of answers that were cut off, of models that do not read all, and what
//! is told of each time that a model is asked.

use std::sync::{Arc, Mutex};

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_exec::coding::{Chain, Coding, MessagesModels};
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::{messages, ollama};
use serde_json::{Value, json};

use crate::fixture::{Fixture, git};
use crate::support::Watched;

/// What a task wrote to `b.txt`.
async fn written(fixture: &Fixture, executor: &dyn Executor) -> String {
    let job = assignment(executor, TaskId(1), Json::null());
    let outcome = executor.run(&job, &Asking::default()).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = result.read().unwrap();
    let branch = result["branch"].as_str().unwrap();
    git(&fixture.dir.path().join("remote"), &["show", &format!("{branch}:b.txt")])
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_not_made() {
    // The half of it would be mended to a call that writes half a file.
    let call = json!({ "function": { "name": "write_file", "arguments": { "path": "b.txt", "content": "ha" } } });
    let half = json!({
        "message": { "role": "assistant", "content": "", "tool_calls": [call] },
        "done": true, "done_reason": "length", "prompt_eval_count": 900, "eval_count": 50,
    });
    let whole = json!({ "path": "b.txt", "content": "all of it" });
    let near = ollama::StandIn::of([
        ollama::Turn::sends(&format!("{half}\n")),
        ollama::Turn::calls("write_file", whole.clone()),
        ollama::Turn::says("Done."),
    ])
    .await;
    let fixture = Fixture::of(near);
    assert_eq!(written(&fixture, &*fixture.executor()).await, "all of it");

    let mut half = messages::Turn::calls("write_file", &whole).stopping("max_tokens");
    if let messages::Turn::Reply { calls, .. } = &mut half {
        calls[0].1 = r#"{"path": "b.txt", "content": "ha"#.to_owned();
    }
    let far = messages::StandIn::of([
        half,
        messages::Turn::calls("write_file", &whole),
        messages::Turn::says("Done."),
    ])
    .await;
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    assert_eq!(written(&fixture, &with(&fixture, &far)).await, "all of it");
    let told = far.asked()[1]["messages"].to_string();
    assert!(told.contains("cut off") && !told.contains("tool_use"), "{told}");
}

#[tokio::test]
async fn a_call_that_the_server_could_not_read_is_told_to_the_model_and_is_no_failure_of_the_server()
 {
    let write = json!({ "path": "b.txt", "content": "two" });
    let seen = "error parsing tool call: raw='{\"path\":\"b.txt\"}]', err=invalid character ']'";
    let midway = format!("{}\n", json!({ "error": seen }));
    for turn in [ollama::Turn::Status(500, seen.into()), ollama::Turn::sends(&midway)] {
        let turns =
            [turn, ollama::Turn::calls("write_file", write.clone()), ollama::Turn::says("Done.")];
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (mut turns, asking) = (turns.into_iter(), Arc::clone(&asked));
        let model = ollama::StandIn::that(Box::new(move |asked, _| {
            asking.lock().unwrap().push(asked["messages"].clone());
            turns.next().unwrap()
        }));
        let fixture = Fixture::of(model.await);
        assert_eq!(written(&fixture, &*fixture.executor()).await, "two");
        let asked = asked.lock().unwrap();
        let last = asked[1].as_array().unwrap().last().unwrap();
        let told = last["content"].as_str().unwrap();
        assert!(told.contains("unreadable_call") && told.contains("character ']'"), "{told}");
    }
}

/// Does tasks with the model of a server that speaks the Messages API.
fn with(fixture: &Fixture, far: &messages::StandIn) -> Coding {
    let cloud = MessagesModels {
        url: far.url(),
        key: agentcom_core::config::Secret::new(messages::KEY),
        model: "far".into(),
        context_tokens: Messages::CONTEXT_TOKENS,
        patience: Patience::default(),
    };
    let chain = Chain { cloud: Some(cloud), ..Chain::default() };
    Coding::with_chain(chain, fixture.settings())
}

#[tokio::test]
async fn a_model_that_pauses_goes_on_with_what_it_has_said_so_far() {
    let write = json!({ "path": "b.txt", "content": "two" });
    let far = messages::StandIn::of([
        messages::Turn::says("I look at it,\n").stopping("pause_turn"),
        messages::Turn::says("").stopping("pause_turn"),
        messages::Turn::calls("write_file", &write),
        messages::Turn::says("It is ").stopping("pause_turn"),
        messages::Turn::says("done."),
    ])
    .await;
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    let coding = with(&fixture, &far);
    let job = assignment(&coding, TaskId(1), Json::null());
    let outcome = coding.run(&job, &Asking::default()).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.read::<Value>().unwrap()["output"], "It is done.");
    let asked = far.asked();
    for paused in [1, 2] {
        let said = asked[paused]["messages"].as_array().unwrap();
        let [first, last] = &said[..] else { panic!("nothing was said in between: {said:?}") };
        assert_eq!(first, &asked[0]["messages"][0]);
        let text = json!([{ "type": "text", "text": "I look at it," }]);
        assert_eq!(last, &json!({ "role": "assistant", "content": text }));
    }
}

#[tokio::test]
async fn a_model_whose_context_is_full_is_asked_with_less_and_what_it_took_counts() {
    let write = json!({ "path": "b.txt", "content": "two" });
    let long = json!({ "path": "c.txt", "content": "word ".repeat(70_000) });
    let far = messages::StandIn::of([
        messages::Turn::calls("write_file", &long),
        messages::Turn::says("So I").stopping("model_context_window_exceeded"),
        messages::Turn::calls("write_file", &write),
        messages::Turn::says("Done."),
    ])
    .await;
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    let (coding, ctx) = (with(&fixture, &far), Watched::new());
    let outcome = coding.run(&assignment(&coding, TaskId(1), Json::null()), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let length = |request: &Value| request.to_string().len();
    let asked = far.asked();
    assert!(length(&asked[2]) < length(&asked[1]) / 2, "history was made shorter");
    assert!(asked[2].to_string().contains("cut off"), "and it knows");
    assert_eq!(ctx.text_of("model_call").matches("35 tokens read, 7 written").count(), 4);
}

#[tokio::test]
async fn a_model_that_has_not_read_all_is_asked_once_more() {
    let write = json!({ "path": "b.txt", "content": "two" });
    let list = json!({ "path": "." });
    let model = ollama::StandIn::of([
        ollama::Turn::calls("list_directory", list).counting(3_000, 10),
        // The beginning was dropped: so much is not what is new.
        ollama::Turn::says("What task?").counting(2_000, 10),
        ollama::Turn::calls("write_file", write).counting(3_100, 10),
        ollama::Turn::says("Done.").counting(3_200, 10),
    ])
    .await;
    let fixture = Fixture::of(model);
    assert_eq!(written(&fixture, &*fixture.executor()).await, "two");
}

#[tokio::test]
async fn each_time_that_a_model_is_asked_is_told_with_what_it_took() {
    let write = json!({ "path": "b.txt", "content": "two" });
    let model = ollama::StandIn::of([
        ollama::Turn::calls("write_file", write).counting(3_000, 10),
        ollama::Turn::says("Done.").counting(3_100, 20),
    ])
    .await;
    let fixture = Fixture::of(model);
    let (executor, ctx) = (fixture.executor(), Watched::new());
    let outcome = executor.run(&assignment(&*executor, TaskId(1), Json::null()), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(
        ctx.text_of("model_call"),
        "turn 1: 3000 tokens read, 10 writtenturn 2: 3100 tokens read, 20 written"
    );
}
