//! This file introduces the shapes of HTTP bodies; they are the API's own, apart from what is
//! stored and what is said on the wire.

pub(crate) mod agent;
pub(crate) mod batch;
pub(crate) mod endpoint;
pub(crate) mod manage;
pub(crate) mod money;
pub(crate) mod operator;
pub(crate) mod query;
pub(crate) mod repo;
pub(crate) mod status;
pub(crate) mod task_body;
pub(crate) mod task_view;
pub(crate) mod text;
