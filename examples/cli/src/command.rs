//! This file lists the commands, one module for each family.

pub(crate) mod agent;
pub(crate) mod batch;
pub(crate) mod cancel;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod endpoint;
pub(crate) mod git;
pub(crate) mod journal;
pub(crate) mod mcp;
pub(crate) mod money;
pub(crate) mod pause;
pub(crate) mod questions;
pub(crate) mod repo;
pub(crate) mod retry;
pub(crate) mod sandbox;
pub(crate) mod stats;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod tasks;
pub(crate) mod token;
pub(crate) mod transcript;
pub(crate) mod up;
pub(crate) mod watch;
pub(crate) mod why;
pub(crate) mod work;
