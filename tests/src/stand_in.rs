//! This module stands in for services that no test may depend on: real servers on loopback that can be
//! told to misbehave.

pub mod github;
pub mod ollama;
