//! This file names caps, and finds those that bound a call.
//!
//! | text | bounds |
//! |---|---|
//! | `day`, `month` | all that is spent in a day, in a month |
//! | `task` | what each task costs that has no budget of its own |
//! | `goal:NAME`, `goal:*` | what a goal costs, what each goal costs |
//! | `agent:NAME/day`, `agent:*/month` | what an agent, each agent, spends in a day, in a month |
//! | `model:…`, `repo:…` | the same for models and repositories |

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::{Payer, Period, Subject};
use crate::money::Micros;
use crate::name::{AgentId, BadName, GoalId, ModelName, Repo};

/// Whose spending a cap bounds; `None` is each one's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Everybody's, together.
    All,
    /// Each task's.
    Task,
    /// A goal's.
    Goal(Option<GoalId>),
    /// An agent's.
    Agent(Option<AgentId>),
    /// A model's.
    Model(Option<ModelName>),
    /// A repository's.
    Repo(Option<Repo>),
}

/// The name of a cap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Cap {
    who: Who,
    per: Period,
}

/// Why a text names no cap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCap {
    /// It has another form.
    #[error(
        "a cap is day, month, task, goal:NAME, or agent:, model: or repo: with a name and /day or /month; \
         the name * is each"
    )]
    Form,
    /// The name in it is none.
    #[error(transparent)]
    Name(#[from] BadName),
}

impl Cap {
    /// The cap on each task that has no budget of its own.
    pub const TASK: Self = Self { who: Who::Task, per: Period::Ever };

    /// Whose spending it bounds.
    #[must_use]
    pub const fn who(&self) -> &Who {
        &self.who
    }

    /// Over which time.
    #[must_use]
    pub const fn per(&self) -> Period {
        self.per
    }

    /// The same cap for this payer alone, where it is one for each.
    #[must_use]
    pub fn only_for(&self, payer: &Payer<'_>) -> Self {
        let who = match &self.who {
            Who::All => Who::All,
            Who::Task => Who::Task,
            Who::Goal(_) => Who::Goal(payer.goal.cloned()),
            Who::Agent(_) => Who::Agent(Some(payer.agent.clone())),
            Who::Model(_) => Who::Model(payer.model.cloned()),
            Who::Repo(_) => Who::Repo(payer.repo.cloned()),
        };
        Self { who, per: self.per }
    }

    /// Whether a cap among `caps` bounds what a goal costs.
    pub(super) fn is_on_goal(caps: &BTreeMap<Self, Micros>, goal: &GoalId) -> bool {
        let cap = |goal| Self { who: Who::Goal(goal), per: Period::Ever };
        caps.contains_key(&cap(Some(goal.clone()))) || caps.contains_key(&cap(None))
    }

    /// The account that it bounds for a payer; none if that is the task's own.
    pub(super) fn subject(&self, payer: &Payer<'_>) -> Option<Subject> {
        match &self.who {
            Who::All => Some(Subject::All),
            Who::Task => None,
            Who::Goal(_) => payer.goal.cloned().map(Subject::Goal),
            Who::Agent(_) => Some(Subject::Agent(payer.agent.clone())),
            Who::Model(_) => payer.model.cloned().map(Subject::Model),
            Who::Repo(_) => payer.repo.cloned().map(Subject::Repo),
        }
    }

    /// The caps among `caps` that bound what a payer spends, the narrowest first, with how much they
    /// allow. One that is set for somebody goes before the one for each.
    pub(super) fn all_on<'a>(
        caps: &'a BTreeMap<Self, Micros>,
        payer: &'a Payer<'_>,
        budget: Option<Micros>,
    ) -> impl Iterator<Item = (Self, Micros)> + 'a {
        let own = budget.map(|limit| (Self::TASK, limit));
        let each = [
            (Who::Goal(None), Period::Ever, payer.goal.is_some()),
            (Who::Agent(None), Period::Day, true),
            (Who::Agent(None), Period::Month, true),
            (Who::Model(None), Period::Day, payer.model.is_some()),
            (Who::Model(None), Period::Month, payer.model.is_some()),
            (Who::Repo(None), Period::Day, payer.repo.is_some()),
            (Who::Repo(None), Period::Month, payer.repo.is_some()),
            (Who::All, Period::Day, true),
            (Who::All, Period::Month, true),
        ];
        let set = each.into_iter().filter(|(.., has_one)| *has_one).filter_map(|(who, per, _)| {
            let each = Self { who, per };
            let one = each.only_for(payer);
            let found = |cap: Self| caps.get(&cap).map(|limit| (cap, *limit));
            found(one).or_else(|| found(each))
        });
        let task = own.or_else(|| caps.get(&Self::TASK).map(|limit| (Self::TASK, *limit)));
        task.into_iter().chain(set)
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name<T: fmt::Display>(name: Option<&T>) -> String {
            name.map_or_else(|| "*".to_string(), ToString::to_string)
        }
        match &self.who {
            Who::All => {}
            Who::Task => f.write_str("task")?,
            Who::Goal(goal) => write!(f, "goal:{}", name(goal.as_ref()))?,
            Who::Agent(agent) => write!(f, "agent:{}", name(agent.as_ref()))?,
            Who::Model(model) => write!(f, "model:{}", name(model.as_ref()))?,
            Who::Repo(repo) => write!(f, "repo:{}", name(repo.as_ref()))?,
        }
        match (&self.who, self.per) {
            (Who::All, Period::Day) => f.write_str("day"),
            (Who::All, _) => f.write_str("month"),
            (_, Period::Day) => f.write_str("/day"),
            (_, Period::Month) => f.write_str("/month"),
            (_, Period::Ever) => Ok(()),
        }
    }
}

impl FromStr for Cap {
    type Err = BadCap;

    fn from_str(text: &str) -> Result<Self, BadCap> {
        fn read<T: FromStr<Err = BadName>>(name: &str) -> Result<Option<T>, BadName> {
            if name == "*" { Ok(None) } else { name.parse().map(Some) }
        }
        match text {
            "day" => return Ok(Self { who: Who::All, per: Period::Day }),
            "month" => return Ok(Self { who: Who::All, per: Period::Month }),
            "task" => return Ok(Self::TASK),
            _ => {}
        }
        let (kind, rest) = text.split_once(':').ok_or(BadCap::Form)?;
        if kind == "goal" {
            return Ok(Self { who: Who::Goal(read(rest)?), per: Period::Ever });
        }
        let (name, per) = rest.rsplit_once('/').ok_or(BadCap::Form)?;
        let per = match per {
            "day" => Period::Day,
            "month" => Period::Month,
            _ => return Err(BadCap::Form),
        };
        let who = match kind {
            "agent" => Who::Agent(read(name)?),
            "model" => Who::Model(read(name)?),
            "repo" => Who::Repo(read(name)?),
            _ => return Err(BadCap::Form),
        };
        Ok(Self { who, per })
    }
}

impl TryFrom<String> for Cap {
    type Error = BadCap;
    fn try_from(text: String) -> Result<Self, BadCap> {
        text.parse()
    }
}

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}
