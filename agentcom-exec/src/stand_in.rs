//! This file introduces stand-ins: real servers on loopback that speak as GitHub, Ollama and Anthropic do, follow
//! a script, and misbehave when they are told to. For tests and demonstrations, which may depend on no
//! network and no model.

pub mod github;
pub mod messages;
pub mod ollama;
