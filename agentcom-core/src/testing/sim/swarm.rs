//! This file draws what kind of world a seed is: which faults exist in it, and how frequent they are.
//!
//! All is drawn whether it is wanted or not, so that a world without one kind of fault is otherwise
//! the same.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::config::HubConfig;
use crate::guard::Guards;
use crate::rng::Rng;
use crate::time::Span;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A frame is lost, and its connection with it.
    Loss,
    /// A frame comes twice.
    Twice,
    /// Frames take their time.
    Delay,
    /// Frames overtake each other.
    Reorder,
    /// An agent is cut off; what is under way comes later, all at once.
    Cut,
    /// One direction of a connection is cut off.
    OneWay,
    /// A connection dies without a word.
    HalfOpen,
    /// Queues are short, so that a slow reader is cut off.
    Slow,
    /// The hub is killed.
    HubKill,
    /// The hub is killed again and again.
    Storm,
    /// Agents are killed.
    AgentKill,
    /// Processes stand still for a while.
    Pause,
    /// A second hub is started while the first runs.
    Takeover,
    /// The wall clock jumps.
    Jump,
    /// Clocks of agents are fast or slow.
    Drift,
    /// The store fails before the deed.
    StoreBefore,
    /// The store fails after the deed.
    StoreAfter,
    /// The store takes its time.
    StoreSlow,
    /// An agent breaks the rules.
    Rogue,
    /// Some tasks take down the agent that runs them.
    Poison,
    /// Submitters vanish, and ask again with the same key or the same key and another body.
    Clients,
    /// Operators cancel, revive, pause, weigh, drain and remove.
    Operator,
    /// The queue is short.
    Short,
}

impl Fault {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::Loss,
        Self::Twice,
        Self::Delay,
        Self::Reorder,
        Self::Cut,
        Self::OneWay,
        Self::HalfOpen,
        Self::Slow,
        Self::HubKill,
        Self::Storm,
        Self::AgentKill,
        Self::Pause,
        Self::Takeover,
        Self::Jump,
        Self::Drift,
        Self::StoreBefore,
        Self::StoreAfter,
        Self::StoreSlow,
        Self::Rogue,
        Self::Poison,
        Self::Clients,
        Self::Operator,
        Self::Short,
    ];

    /// Whether an agent, its work or its link suffers it, and not only the hub or its submitters; an
    /// operator also restarts agents. A pause is of the hub where agents are well.
    const fn is_of_agents(self) -> bool {
        match self {
            Self::Loss | Self::Twice | Self::Delay | Self::Reorder | Self::Cut | Self::OneWay => {
                true
            }
            Self::HalfOpen | Self::Slow | Self::AgentKill | Self::Drift => true,
            Self::Rogue | Self::Poison | Self::Operator => true,
            Self::HubKill | Self::Storm | Self::Pause | Self::Takeover | Self::Jump => false,
            Self::StoreBefore | Self::StoreAfter | Self::StoreSlow => false,
            Self::Clients | Self::Short => false,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Twice => "twice",
            Self::Delay => "delay",
            Self::Reorder => "reorder",
            Self::Cut => "cut",
            Self::OneWay => "one-way",
            Self::HalfOpen => "half-open",
            Self::Slow => "slow",
            Self::HubKill => "hub-kill",
            Self::Storm => "storm",
            Self::AgentKill => "agent-kill",
            Self::Pause => "pause",
            Self::Takeover => "takeover",
            Self::Jump => "jump",
            Self::Drift => "drift",
            Self::StoreBefore => "store-before",
            Self::StoreAfter => "store-after",
            Self::StoreSlow => "store-slow",
            Self::Rogue => "rogue",
            Self::Poison => "poison",
            Self::Clients => "clients",
            Self::Operator => "operator",
            Self::Short => "short",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no kind of fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of fault")]
pub struct BadFault(pub String);

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(word: &str) -> Result<Self, BadFault> {
        let known = Self::ALL.iter().find(|fault| fault.as_str() == word);
        known.copied().ok_or_else(|| BadFault(word.into()))
    }
}

/// How large a simulated fleet is, and how long it is troubled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Sidecars of ours, at least 1.
    pub sidecars: usize,
    /// Clients of the original.
    pub plain: usize,
    /// Tasks submitted during the trouble; batches count as one.
    pub tasks: usize,
    /// How long the trouble lasts.
    pub trouble: Span,
    /// How long everything may take to end in peace.
    pub peace: Span,
    /// Kinds of faults that no seed has.
    pub without: BTreeSet<Fault>,
    /// Whether agents, all of them ours, and links are well. Then hubs and submitters have all the
    /// trouble, and no agent and no task may pay for it.
    pub agents_well: bool,
    /// Whether every line of the trace is kept; otherwise only its digest is.
    pub traced: bool,
    /// Which guards stand; all of them, except where the judges are judged.
    pub guards: Guards,
    /// One of this many batches loses a row on its way to the disk, where the judges are judged;
    /// 0 is none.
    pub forgets: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sidecars: 3,
            plain: 1,
            tasks: 40,
            trouble: Span::from_mins(5),
            peace: Span::from_mins(120),
            without: BTreeSet::new(),
            agents_well: false,
            traced: false,
            guards: Guards::all(),
            forgets: 0,
        }
    }
}

impl Options {
    /// A fleet in trouble for long: what the budget of hours is spent on.
    #[must_use]
    pub fn long() -> Self {
        Self { tasks: 120, trouble: Span::from_mins(4 * 60), ..Self::default() }
    }

    /// What `cargo xtask sim` has to be told to run with these, beside the seed.
    #[must_use]
    pub fn arguments(&self) -> String {
        let Self { sidecars, plain, tasks, trouble, agents_well, .. } = self;
        let without: Vec<&str> = self.without.iter().map(|fault| fault.as_str()).collect();
        let without = match without.is_empty() {
            true => String::new(),
            false => format!(" --without {}", without.join(",")),
        };
        let secs = trouble.0 / 1_000;
        let well = if *agents_well { " --agents-well" } else { "" };
        format!(
            " --sidecars {sidecars} --plain {plain} --tasks {tasks} --trouble {secs}{without}{well}"
        )
    }
}

/// How bad links are. Chances are out of 10,000 frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) loss: u64,
    pub(super) twice: u64,
    pub(super) reorder: u64,
    pub(super) delay: Span,
}

/// How bad the store is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    /// One of this many calls fails before the deed; 0 is none.
    pub(super) before: u64,
    /// One of this many commits fails after the deed or with an unknown outcome; 0 is none.
    pub(super) after: u64,
    /// The longest that a call takes on either side of the deed.
    pub(super) slow: Span,
}

/// The world of a seed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) has: BTreeSet<Fault>,
    pub(super) weather: Weather,
    pub(super) failures: Failures,
    /// The mean time between two faults.
    pub(super) every: Span,
    /// The most frames on their way in one direction of a connection.
    pub(super) queue: usize,
    /// The drift of the agents' clocks, in thousandths.
    pub(super) drift: i64,
    pub(super) config: HubConfig,
}

impl Plan {
    pub(super) fn draw(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::for_purpose(seed, "swarm", 0);
        // Half of the kinds in most worlds; now and then nearly all or nearly none.
        let share = [15, 50, 50, 50, 50, 90][rng.below(6) as usize];
        let drawn = Fault::ALL.iter().filter(|_| rng.below(100) < share).copied();
        let drawn: BTreeSet<Fault> = drawn.collect();
        let wanted = drawn.difference(&options.without).copied();
        let has: BTreeSet<Fault> =
            wanted.filter(|fault| !(options.agents_well && fault.is_of_agents())).collect();
        let mut rate = |fault: Fault, most: u64| {
            let rate = 1 + rng.below(most);
            if has.contains(&fault) { rate } else { 0 }
        };
        let weather = Weather {
            loss: rate(Fault::Loss, 200),
            twice: rate(Fault::Twice, 500),
            reorder: rate(Fault::Reorder, 500),
            delay: Span(rate(Fault::Delay, 2_000)),
        };
        let failures = Failures {
            before: 20 * rate(Fault::StoreBefore, 20),
            after: 10 * rate(Fault::StoreAfter, 20),
            slow: Span(rate(Fault::StoreSlow, 400)),
        };
        let queue = if rate(Fault::Slow, 1) > 0 { 2 + rate(Fault::Slow, 6) as usize } else { 512 };
        let drift = rate(Fault::Drift, 50) as i64;
        let short = 6 + rate(Fault::Short, 20) as usize;
        let short = has.contains(&Fault::Short).then_some(short);
        // The mean lies between 5 s and 2 min.
        let every = Span(5_000 + rng.below(115_000));
        let config = HubConfig { guards: options.guards, ..config(&mut rng, short) };
        Self { config, has, weather, failures, every, queue, drift }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.has.contains(&fault)
    }
}

/// The figures by which the hub of this world decides.
fn config(rng: &mut Rng, short: Option<usize>) -> HubConfig {
    let usual = HubConfig::default();
    HubConfig {
        heartbeat: [5, 5, 10, 20].map(Span::from_secs)[rng.below(4) as usize],
        silent_after: Span::from_secs(45),
        lease_ttl: [30, 60, 120].map(Span::from_secs)[rng.below(3) as usize],
        tasks_max: short.unwrap_or(usual.tasks_max),
        raise_within: Span::from_secs(20),
        ..usual
    }
}
