//! This file describes routes as data: method, path, and the right that the handler asks for.

use std::future::Future;

use axum::Router;
use axum::extract::FromRequest;
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::auth::{App, Pass, Verb};
use crate::error::Problem;

/// The methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    /// Read.
    Get,
    /// Do.
    Post,
    /// Set.
    Put,
    /// Remove.
    Delete,
}

impl Method {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) verb: Verb,
    handler: MethodRouter<App>,
}

impl Route {
    /// A route whose right is the one that its handler takes first, so that the two cannot differ.
    pub(crate) fn new<P, M, I, F, Fut, R>(method: Method, path: &'static str, handler: F) -> Self
    where
        P: Pass,
        P::Rejection: IntoResponse,
        M: 'static,
        I: FromRequest<App, M> + Send + 'static,
        F: Fn(P, I) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Problem>> + Send + 'static,
        R: IntoResponse + 'static,
    {
        let handler = on(method.filter(), move |pass: P, input: I| handler(pass, input));
        Self { method, path, verb: P::VERB, handler }
    }

    /// Adds the route to a router.
    pub(crate) fn mount(self, router: Router<App>) -> Router<App> {
        router.route(self.path, self.handler)
    }
}
