//! This file runs the suite on an executor whose jobs are only pretended.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use futures_util::pending;

use super::*;
use crate::name::Kind;

/// The tasks that pretend to run.
type Alive = Arc<Mutex<BTreeSet<u64>>>;

#[derive(Debug, Default)]
struct Pretended {
    alive: Alive,
}

/// A job that is gone when this is.
struct Life<'a>(&'a Alive, u64);

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

#[async_trait]
impl Executor for Pretended {
    fn kind(&self) -> Kind {
        Kind::new("pretended").unwrap()
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let input: String = job.op.input.read().unwrap();
        let bytes = match &*input {
            "run on" => {
                let _life = Life(&self.alive, job.task_id.0);
                self.alive.lock().unwrap().insert(job.task_id.0);
                ctx.cancelled().await;
                return JobOutcome::Stopped;
            }
            much => much.parse().unwrap(),
        };
        JobOutcome::done(Json::text(&"x".repeat(bytes)))
    }
}

#[async_trait]
impl ExecutorFixture for Pretended {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(Self { alive: Arc::clone(&self.alive) })
    }

    fn succeed(&self) -> Json {
        Json::text("1")
    }

    fn run_on(&self, _task: TaskId) -> Json {
        Json::text("run on")
    }

    fn print_much(&self) -> Json {
        Json::text(&(2 * Json::BYTES_MAX).to_string())
    }

    async fn is_up(&self, task: TaskId) -> bool {
        self.alive.lock().unwrap().contains(&task.0)
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        self.is_up(task).await
    }

    async fn wait(&self, span: Span) {
        for _ in 0..span.as_millis() {
            // Nothing here takes time: everybody else has a turn.
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Ready(())
            })
            .await;
            pending!();
        }
    }
}

crate::executor_conformance!(Pretended::default());
