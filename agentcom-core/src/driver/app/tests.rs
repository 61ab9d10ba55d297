//! This file checks what an embedder sees of an app.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::{Future, pending};
use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::sync::{Mutex, OnceLock};

use futures_channel::oneshot;
use futures_executor::block_on;
use futures_util::StreamExt as _;
use futures_util::future::{Either, join, select};
use serde::{Deserialize, Serialize};

use super::*;
use crate::driver::clock::SystemClock;
use crate::driver::memory::{MemoryDisk, MemoryStore};
use crate::id::Lease;
use crate::task::Priority;
use crate::time::Span;

/// Runs a test, which fails if it takes far longer than any of them does.
fn check<T>(test: impl Future<Output = Result<T, AppError>>) -> T {
    let clock = SystemClock::new();
    let late = clock.sleep_until(clock.now().mono + Span::from_secs(60));
    match block_on(select(pin!(test), late)) {
        Either::Left((done, _)) => done.unwrap(),
        Either::Right(_) => panic!("the test hangs"),
    }
}

fn app() -> AppBuilder {
    App::over(store())
}

fn store() -> MemoryStore {
    MemoryDisk::new().open()
}

async fn task(app: &App, id: TaskId) -> Result<Task, AppError> {
    Ok(app.driven(app.handle().task(id)).await?.unwrap())
}

#[derive(Serialize, Deserialize)]
struct Sum {
    left: u64,
    right: u64,
}

async fn add(sum: Sum) -> Outcome<u64> {
    Outcome::Done(sum.left + sum.right)
}

#[test]
fn a_function_with_a_typed_argument_is_a_job() {
    check(async {
        let app = app().handler("add", add).open().await?;
        let id = app.submit("add", &Sum { left: 2, right: 3 }).await?;
        assert_eq!(app.result::<u64>(id).await?, 5);
        Ok(())
    });
}

#[test]
fn an_app_keeps_its_agent_however_many_slots_it_has() {
    check(async {
        let app = app().slots(800).handler("add", add).open().await?;
        let sum = Json::of(&Sum { left: 2, right: 3 }).unwrap();
        let batch = Command::SubmitBatch(vec![Draft::new(Kind::new("add")?, sum); 800]);
        let reply = app.driven(app.handle().call(Principal::Admin, batch)).await?;
        assert!(matches!(reply, Reply::SubmittedBatch(_)), "{reply:?}");
        // The agent is given all of them at once, and answers all of them at once.
        let last_events = async {
            app.idle().await?;
            let seq = app.handle().view(|state| state.seq()).await?;
            app.handle().events(seq - 1_000, 1_000).await
        };
        let events = app.run_until(last_events).await??;
        let again = events.iter().find(|event| event.generation > Some(Lease(1)));
        assert_eq!(again, None, "each task is done at the first attempt");
        Ok(())
    });
}

#[test]
fn a_task_outlives_the_app_that_took_it_in() {
    check(async {
        let disk = MemoryDisk::new();
        let first = App::over(disk.open()).open().await?;
        let id = first.submit("add", &Sum { left: 2, right: 3 }).await?;
        drop(first);
        let second = App::over(disk.open()).handler("add", add).open().await?;
        second.run_until_idle().await?;
        let third = App::over(disk.open()).open().await?;
        assert_eq!(third.result::<u64>(id).await?, 5);
        Ok(())
    });
}

/// The end of a task whose handler says `first` when it is called first, and then is done.
fn end_of(first: impl Fn() -> Outcome<&'static str> + Send + Sync + 'static) -> Task {
    let calls = Arc::new(AtomicU32::new(0));
    let handler = move || {
        let again = calls.fetch_add(1, Ordering::Relaxed) > 0;
        let outcome = if again { Outcome::Done("again") } else { first() };
        async move { outcome }
    };
    check(async {
        let app = app().handler("work", handler).open().await?;
        let quick = |draft: &mut Draft| draft.retry.backoff_base = Some(Span(1));
        let id = app.task("work", &()).with(quick).submit().await?;
        let ended = app.run_until(app.handle().ended(id)).await??;
        Ok(ended.unwrap())
    })
}

fn summary(task: &Task) -> String {
    let result = task.life.finish.as_ref().map(|finish| finish.result.as_str().to_string());
    let (life, error) = (&task.life, task.life.last_error().unwrap_or("-"));
    let tries = life.attempts.len();
    let state = life.state.as_str();
    let result = result.unwrap_or_else(|| "-".into());
    format!("{state} {result}; {tries} tries, {} failures, {error}", life.failures)
}

#[test]
fn the_outcome_says_what_becomes_of_the_task() {
    let short = Duration::from_millis(2);
    let summaries = [
        end_of(|| Outcome::Done("at once")),
        end_of(move || Outcome::RetryIn(short, "not there yet".into())),
        end_of(move || Outcome::Snooze(short)),
        end_of(|| Outcome::Cancel("nobody needs it".into())),
        end_of(|| Outcome::Dead("it cannot be".into())),
        end_of(|| panic!("oh no")),
    ]
    .map(|task| summary(&task));
    expect_test::expect![[r#"
        completed "at once"; 1 tries, 0 failures, -
        completed "again"; 2 tries, 1 failures, not there yet
        completed "again"; 2 tries, 0 failures, asked to run again in 2 ms
        cancelled -; 1 tries, 0 failures, nobody needs it
        dead_letter -; 1 tries, 1 failures, it cannot be
        completed "again"; 2 tries, 1 failures, panicked: oh no
    "#]]
    .assert_eq(&(summaries.join("\n") + "\n"));
}

#[test]
fn an_error_is_tried_again_and_an_outcome_beside_it_is_not() {
    async fn fallible(job: Job, text: String) -> Result<Outcome<u64>, core::num::ParseIntError> {
        if job.attempt() == 1 {
            text.parse::<u64>()?;
        }
        Ok(Outcome::Dead("seen enough".into()))
    }
    check(async {
        let app = app().handler("parse", fallible).open().await?;
        let quick = |draft: &mut Draft| draft.retry.backoff_base = Some(Span(1));
        let id = app.task("parse", "x").with(quick).submit().await?;
        let said = app.result::<u64>(id).await.unwrap_err().to_string();
        assert_eq!(said, format!("{id} ended as dead_letter: seen enough"));
        let task = task(&app, id).await?;
        assert_eq!(task.life.failures, 2);
        Ok(())
    });
}

#[test]
fn input_that_does_not_fit_ends_the_task_and_names_the_field() {
    check(async {
        let app = app().handler("add", add).open().await?;
        let id = app.submit("add", &("left", "right")).await?;
        let why = app.result::<u64>(id).await.unwrap_err().to_string();
        assert!(why.contains("the input of `add` does not fit"), "{why}");
        let id = app.submit("add", &Json::parse(r#"{"left":1,"right":"x"}"#).unwrap()).await?;
        let why = app.result::<u64>(id).await.unwrap_err().to_string();
        assert!(why.contains("at `right`: invalid type: string"), "{why}");
        assert_eq!(task(&app, id).await?.life.attempts.len(), 1);
        Ok(())
    });
}

#[test]
fn handlers_run_at_the_same_time() {
    let (one, other) = (oneshot::channel(), oneshot::channel());
    let ends = Arc::new(Mutex::new(Vec::from([(one.0, other.1), (other.0, one.1)])));
    let meet = move || {
        let (here, there) = ends.lock().unwrap().pop().unwrap();
        async move {
            here.send(()).unwrap();
            there.await.unwrap();
        }
    };
    check(async {
        let app = app().handler("meet", meet).slots(2).open().await?;
        let ids = [app.submit("meet", &()).await?, app.submit("meet", &()).await?];
        app.run_until_idle().await?;
        for id in ids {
            let app = self::app().open().await?;
            assert!(matches!(app.result::<()>(id).await, Err(AppError::UnknownTask(_))));
        }
        Ok(())
    });
}

/// Sends when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

#[test]
fn a_cancelled_task_drops_its_function() {
    let (begun, begins) = oneshot::channel();
    let (guard, dropped) = oneshot::channel();
    let parts = Mutex::new(Some((begun, Dropped(Some(guard)))));
    let handler = move || {
        let (begun, guard) = parts.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).unwrap();
            pending::<()>().await;
            drop(guard);
        }
    };
    check(async {
        let app = app().handler("wait", handler).open().await?;
        let id = app.submit("wait", &()).await?;
        let cancel = async {
            begins.await.unwrap();
            app.handle().call(Principal::Admin, Command::Cancel(id)).await?;
            dropped.await.unwrap();
            Ok(())
        };
        app.run_until(cancel).await?
    });
}

#[test]
fn a_function_that_keeps_its_job_is_asked_to_stop() {
    let (begun, begins) = oneshot::channel();
    let (asked, heard) = oneshot::channel();
    let ends = Mutex::new(Some((begun, asked)));
    let handler = move |job: Job, _: ()| {
        let (begun, asked) = ends.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).unwrap();
            job.cancelled().await;
            asked.send(job.lease()).unwrap();
        }
    };
    check(async {
        let app = app().handler("wait", handler).open().await?;
        let id = app.submit("wait", &()).await?;
        let cancel = async {
            begins.await.unwrap();
            app.handle().call(Principal::Admin, Command::Cancel(id)).await?;
            assert_eq!(heard.await.unwrap(), Lease(1));
            Ok(())
        };
        app.run_until(cancel).await?
    });
}

#[test]
fn progress_reaches_whoever_follows() {
    let (seen, told) = oneshot::channel::<()>();
    let told = told.shared();
    let handler = move |job: Job, _: ()| {
        let told = told.clone();
        async move {
            job.progress(40, "on the way");
            told.await.unwrap();
        }
    };
    check(async {
        let app = app().handler("walk", handler).open().await?;
        app.submit("walk", &()).await?;
        let follow = async {
            let mut feed = app.handle().follow(None).await?;
            while let Some(item) = feed.next().await {
                if let FeedItem::Progress(progress) = item {
                    assert_eq!(progress.percent, Some(40));
                    assert!(progress.event.unwrap().as_str().contains("on the way"));
                    seen.send(()).unwrap();
                    return Ok(());
                }
            }
            panic!("the feed ended");
        };
        app.run_until(follow).await?
    });
}

#[test]
fn a_stop_lets_what_runs_end_and_keeps_the_rest() {
    let (begun, begins) = oneshot::channel();
    let (stopped, stops) = oneshot::channel::<()>();
    let ends = Mutex::new(Some((begun, stops)));
    let handler = move || {
        let (begun, stops) = ends.lock().unwrap().take().unwrap();
        async move {
            begun.send(()).unwrap();
            stops.await.unwrap();
        }
    };
    check(async {
        let disk = MemoryDisk::new();
        let app = App::over(disk.open()).handler("work", handler).slots(1).open().await?;
        let ids = [app.submit("work", &()).await?, app.submit("work", &()).await?];
        let stop = async {
            begins.await.unwrap();
            app.stop();
            stopped.send(()).unwrap();
        };
        join(app.run(), stop).await.0?;
        let after = App::over(disk.open()).open().await?;
        let states = [task(&after, ids[0]).await?, task(&after, ids[1]).await?]
            .map(|task| task.life.state.as_str());
        assert_eq!(states, ["completed", "ready"]);
        Ok(())
    });
}

#[test]
fn a_task_says_more_than_what_to_run() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&order);
    let handler = move |text: String| {
        log.lock().unwrap().push(text);
        async {}
    };
    check(async {
        let app = app().handler("note", handler).slots(1).open().await?;
        let first = app.task("note", "first").key("once").submit().await?;
        assert_eq!(app.task("note", "first").key("once").submit().await?, first);
        app.task("note", "last").after(first).priority(Priority::Urgent).submit().await?;
        app.task("note", "soon").on("local").tenant("t").submit().await?;
        app.task("note", "later").delayed(Duration::from_millis(1)).submit().await?;
        app.run_until_idle().await?;
        let mut order = order.lock().unwrap().clone();
        assert_eq!(order.iter().filter(|text| *text == "first").count(), 1);
        order.sort();
        assert_eq!(order, ["first", "last", "later", "soon"]);
        Ok(())
    });
}

#[test]
fn many_tasks_are_queued_in_one_go_or_none_of_them() {
    check(async {
        let app = app().handler("add", add).open().await?;
        let sums = [Sum { left: 1, right: 2 }, Sum { left: 3, right: 4 }];
        let ids = app.submit_all(sums.iter().map(|sum| app.task("add", sum))).await?;
        assert_eq!(app.result::<u64>(ids[0]).await?, 3);
        assert_eq!(app.result::<u64>(ids[1]).await?, 7);
        let half = [app.task("add", &sums[0]), app.task("no kind!", &sums[1])];
        assert!(matches!(app.submit_all(half).await, Err(AppError::Name(_))));
        assert_eq!(app.driven(app.handle().view(|state| state.task_count())).await?, 0);
        Ok(())
    });
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    check(async {
        let two = app().handler("add", add).handler("add", add).open().await;
        assert!(matches!(two, Err(AppError::Agent(_))));
        let bad = app().handler("no good", add).open().await;
        assert!(matches!(bad, Err(AppError::Name(_))));
        let app = app().handler("add", add).open().await?;
        let bad = app.task("add", &()).key("").submit().await;
        assert!(matches!(bad, Err(AppError::Name(_))));
        let bad = app.task("add", &()).with(|draft| draft.share.cost = 0).submit().await;
        assert!(matches!(bad, Err(AppError::BadDraft(bad)) if bad.field == "cost"));
        Ok(())
    });
}

#[test]
fn a_token_is_issued_again_for_an_agent_that_is_known() {
    check(async {
        let app = app().open().await?;
        let tokens = [app.token_for("w").await?, app.token_for("w").await?];
        let who = |token: Token| {
            let app = app.clone();
            async move { app.driven(app.handle().authenticate(token.reveal())).await }
        };
        for token in tokens {
            assert_eq!(who(token).await?, Some(Principal::Agent(AgentId::new("w")?)));
        }
        Ok(())
    });
}

#[test]
fn no_token_is_issued_for_the_agent_of_the_app_whose_connection_would_end_by_it() {
    check(async {
        let app = app().handler("add", add).open().await?;
        let sum = Sum { left: 2, right: 3 };
        let id = app.submit("add", &sum).await?;
        assert_eq!(app.result::<u64>(id).await?, 5);
        for _ in 0..3 {
            app.token_for("w").await?;
            let refused = app.token_for("local").await;
            assert!(matches!(refused, Err(AppError::Rejected(Rejected::AgentExists(_)))));
        }
        let id = app.submit("add", &sum).await?;
        assert_eq!(app.result::<u64>(id).await?, 5);
        Ok(())
    });
}

#[test]
fn an_app_without_handlers_leaves_their_agents_name_to_others() {
    check(async {
        let app = app().open().await?;
        app.token_for("local").await?;
        Ok(())
    });
}

#[test]
fn a_handler_may_queue_more_work() {
    let (home, calls) = (Arc::new(OnceLock::<App>::new()), Arc::new(AtomicU32::new(0)));
    let (whole, counted) = (Arc::clone(&home), Arc::clone(&calls));
    let handler = move |left: u32| {
        counted.fetch_add(1, Ordering::Relaxed);
        let app = whole.get().cloned();
        async move {
            if let (Some(app), 1..) = (app, left) {
                app.submit("count", &(left - 1)).await?;
            }
            Ok::<_, AppError>(())
        }
    };
    check(async {
        let app = app().handler("count", handler).open().await?;
        home.set(app.clone()).unwrap();
        app.submit("count", &3_u32).await?;
        app.run_until_idle().await?;
        assert_eq!(calls.load(Ordering::Relaxed), 4);
        Ok(())
    });
}
