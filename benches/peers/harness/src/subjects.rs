//! This file names who takes part, how it is set up, and how durable it is then.

/// Which server a subject needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// None: it keeps a file.
    File,
    /// PostgreSQL with `fsync` and `synchronous_commit` on.
    Postgres,
    /// Redis with `appendfsync always`.
    RedisAlways,
    /// Redis with `appendfsync everysec`: up to a second is lost.
    RedisEverySecond,
}

/// Which program plays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `ours`
    Ours,
    /// `rust-peers`
    Rust,
    /// `effectum-peer`
    Effectum,
    /// `node/PEER.mjs`
    Node,
}

/// One queue in one set-up.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What it is called in the tables.
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// What the program calls it.
    pub(crate) peer: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) server: Server,
    /// What survives a loss of power, and how jobs are acknowledged.
    pub(crate) durability: &'static str,
    /// Whether each job is acknowledged durably by itself before its worker goes on.
    pub(crate) each: bool,
    /// Whether what was acknowledged survives a loss of power.
    pub(crate) durable: bool,
    /// Whether it is ours.
    pub(crate) ours: bool,
    /// How many jobs of each hundred it is given where we are given all: some five seconds' worth.
    pub(crate) share: u64,
    /// The largest backlog that it is given: a million where that is filled in within a minute or so.
    pub(crate) backlog_max: u64,
}

const fn rust(name: &'static str, peer: &'static str, mode: &'static str) -> Subject {
    Subject {
        name,
        program: Program::Rust,
        peer,
        mode,
        server: Server::Postgres,
        durability: "each commit synced; acknowledged one by one",
        each: true,
        durable: true,
        ours: false,
        share: 5,
        backlog_max: 100_000,
    }
}

const BATCHED: &str = "each commit synced; fetched or acknowledged in batches";

/// Everybody, us first.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "agentcom",
        program: Program::Ours,
        peer: "agentcom",
        server: Server::File,
        durability: "each reply after a synced commit; each transition durable; group commit",
        ours: true,
        share: 100,
        backlog_max: 1_000_000,
        ..rust("", "", "each")
    },
    Subject {
        name: "agentcom, sidecars over ws",
        program: Program::Ours,
        peer: "agentcom-ws",
        server: Server::File,
        durability: "as agentcom; and each sidecar's journal synced before it speaks",
        ours: true,
        share: 100,
        backlog_max: 1_000_000,
        ..rust("", "", "each")
    },
    Subject {
        name: "effectum",
        program: Program::Effectum,
        peer: "effectum",
        server: Server::File,
        durability: "SQLite WAL, synchronous=NORMAL and no way to change it: a loss of power takes the latest; one by one",
        durable: false,
        share: 25,
        backlog_max: 1_000_000,
        ..rust("", "", "each")
    },
    Subject {
        name: "effectum, batch",
        program: Program::Effectum,
        peer: "effectum",
        server: Server::File,
        durability: "SQLite WAL, synchronous=NORMAL and no way to change it: a loss of power takes the latest; 50 to 100 jobs at once",
        durable: false,
        each: false,
        share: 50,
        backlog_max: 1_000_000,
        ..rust("", "", "batch")
    },
    Subject {
        server: Server::File,
        durability: "redb, each write synced; acknowledged one by one",
        ..rust("rustqueue", "rustqueue", "each")
    },
    Subject {
        server: Server::File,
        durability: "redb, writes joined for up to 10 ms; acknowledged one by one",
        each: false,
        share: 3,
        ..rust("rustqueue, coalescing", "rustqueue", "batch")
    },
    Subject {
        server: Server::File,
        durability: "SQLite WAL with synchronous=FULL, against its set-up, which turns syncing off",
        ..rust("apalis-sqlite", "apalis-sqlite", "each")
    },
    Subject { share: 10, ..rust("apalis-postgres", "apalis-postgres", "each") },
    Subject {
        durability: BATCHED,
        each: false,
        share: 15,
        ..rust("apalis-postgres, batch 100", "apalis-postgres", "batch")
    },
    rust("graphile_worker", "graphile_worker", "each"),
    Subject {
        durability: BATCHED,
        each: false,
        share: 15,
        ..rust("graphile_worker, local queue", "graphile_worker", "batch")
    },
    rust("riverqueue", "riverqueue", "each"),
    Subject {
        durability: BATCHED,
        each: false,
        share: 25,
        ..rust("riverqueue, as its bench", "riverqueue", "batch")
    },
    Subject { share: 1, ..rust("awa, claims of 1", "awa", "each") },
    Subject { durability: BATCHED, each: false, share: 4, ..rust("awa", "awa", "batch") },
    Subject { share: 2, ..rust("underway", "underway", "each") },
    Subject {
        program: Program::Node,
        server: Server::RedisAlways,
        durability: "appendfsync always; acknowledged one by one, 100 at once",
        share: 40,
        backlog_max: 1_000_000,
        ..rust("bullmq", "bullmq", "batch")
    },
    Subject {
        program: Program::Node,
        server: Server::RedisEverySecond,
        durability: "appendfsync everysec: up to a second is lost",
        durable: false,
        each: false,
        share: 40,
        ..rust("bullmq, everysec", "bullmq", "batch")
    },
    Subject { program: Program::Node, ..rust("pg-boss", "pg-boss", "each") },
    Subject {
        program: Program::Node,
        durability: BATCHED,
        each: false,
        share: 15,
        ..rust("pg-boss, batch 100", "pg-boss", "batch")
    },
];
