//! Runs what a sidecar is given to do, and keeps what it must not forget.
//!
//! | module | what is there |
//! |---|---|
//! | [`acp`] | foreign agents that do coding tasks: any that speaks the Agent Client Protocol |
//! | [`agentic`] | a model that works with tools, turn by turn |
//! | [`blobs`] | what is too long for a task's record, under the hash of its content |
//! | [`claude_code`] | the Claude Code CLI, which does coding tasks |
//! | [`coding`] | the executor of coding tasks: from a branch to a pull request |
//! | [`egress`] | the broker, by which programs in a sandbox reach hosts that are granted, and no others |
//! | [`git`] | branches of tasks in clones of their repositories |
//! | [`github`] | pull requests, one for each branch |
//! | [`guard`] | the process between a sidecar and each job, which leaves no orphan behind |
//! | [`host`] | how busy the machine is |
//! | [`mcp`] | tools of MCP servers |
//! | [`keys`] | the keys that an agent has to servers of models |
//! | [`model`] | language models, and what they are asked and answer |
//! | [`probe`] | the executor that looks at servers of models for the hub |
//! | [`sandbox`] | what stands between a command and the machine, and the proof that it does |
//! | [`shell`] | the executor of explicit commands |
//! | `stand_in` | servers in place of GitHub and Ollama, for tests and demonstrations (feature `stand-in`) |
//! | [`tool`] | what a model may do in a workspace |
//! | `trial` | attempts to break out of sandboxes and workspaces, for tests and proofs (feature `stand-in`) |
//! | [`transcripts`] | what was said in attempts at coding tasks, however they end |
//! | [`verify`] | checks of what was done, in a clean checkout |
//! | [`wake`] | the executor that wakes another program and waits for its result file |
//! | [`web`] | HTTP clients |
//! | [`environment`] | which variables a job sees |
//! | [`journal`] | the sidecar's store on one append-only file |

pub mod acp;
pub mod agentic;
pub mod blobs;
pub mod claude_code;
pub mod coding;
pub mod egress;
pub mod environment;
pub mod git;
pub mod github;
pub mod guard;
mod hex;
pub mod host;
pub mod journal;
pub mod keys;
mod lines;
pub mod mcp;
pub mod model;
mod output;
pub mod probe;
mod removal;
pub mod sandbox;
mod session;
pub mod shell;
#[cfg(feature = "stand-in")]
pub mod stand_in;
pub mod tool;
pub mod transcripts;
#[cfg(all(target_os = "linux", feature = "stand-in"))]
pub mod trial;
pub mod verify;
pub mod wake;
pub mod web;
