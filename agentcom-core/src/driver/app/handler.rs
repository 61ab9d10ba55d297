//! This file makes executors of plain async functions.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;

use async_trait::async_trait;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;

use super::job::{self, Job};
use super::outcome::IntoOutcome;
use crate::name::Kind;
use crate::port::executor::{Executor, JobContext, JobOutcome};
use crate::wire::Assignment;

/// A plain async function that does a kind of work: without arguments, with the task's input as
/// a typed argument, or with its [`Job`] before that.
///
/// `M` tells the three forms apart and is inferred. Input that does not fit the argument ends the
/// task: no attempt could mend it. What the hub then says names the field.
pub trait Handler<M>: Send + Sync + 'static {
    /// Calls the function. What goes wrong with the arguments is an outcome.
    fn call(&self, job: Job) -> BoxFuture<'_, JobOutcome>;
}

impl<F, W, R> Handler<fn() -> R> for F
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = R> + Send,
    R: IntoOutcome,
{
    fn call(&self, job: Job) -> BoxFuture<'_, JobOutcome> {
        drop(job);
        async move { self().await.into_outcome() }.boxed()
    }
}

impl<F, A, W, R> Handler<fn(A) -> R> for F
where
    F: Fn(A) -> W + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
    W: Future<Output = R> + Send,
    R: IntoOutcome,
{
    fn call(&self, job: Job) -> BoxFuture<'_, JobOutcome> {
        async move {
            let arguments = arguments(job.assignment());
            // From here on nobody could ask the function to stop: it is dropped instead.
            drop(job);
            match arguments {
                Ok(arguments) => self(arguments).await.into_outcome(),
                Err(bad) => bad,
            }
        }
        .boxed()
    }
}

impl<F, A, W, R> Handler<fn(Job, A) -> R> for F
where
    F: Fn(Job, A) -> W + Send + Sync + 'static,
    A: DeserializeOwned + Send + 'static,
    W: Future<Output = R> + Send,
    R: IntoOutcome,
{
    fn call(&self, job: Job) -> BoxFuture<'_, JobOutcome> {
        async move {
            match arguments(job.assignment()) {
                Ok(arguments) => self(job, arguments).await.into_outcome(),
                Err(bad) => bad,
            }
        }
        .boxed()
    }
}

/// An executor for `kind` that calls `handler`, for a sidecar of your own making.
/// [`AppBuilder::handler`](super::AppBuilder::handler) does this for the agent of an app.
pub fn executor<M: 'static>(kind: Kind, handler: impl Handler<M>) -> impl Executor {
    Function { kind, handler, form: PhantomData }
}

struct Function<H, M> {
    kind: Kind,
    handler: H,
    form: PhantomData<fn() -> M>,
}

impl<H, M> fmt::Debug for Function<H, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[async_trait]
impl<H: Handler<M>, M: 'static> Executor for Function<H, M> {
    fn kind(&self) -> Kind {
        self.kind.clone()
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let (job, desk) = job::open(job);
        desk.serve(self.handler.call(job), ctx).await
    }
}

fn arguments<A: DeserializeOwned>(job: &Assignment) -> Result<A, JobOutcome> {
    let mut text = serde_json::Deserializer::from_str(job.op.input.as_str());
    serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let (kind, path) = (job.kind(), error.path().to_string());
        let at = if path == "." { String::new() } else { format!(" at `{path}`") };
        JobOutcome::permanent(format_args!(
            "the input of `{kind}` does not fit{at}: {}",
            error.inner()
        ))
    })
}
