//! This file turns what a submitter wrote into a valid [`Spec`], or says what is wrong with it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::TaskId;
use crate::json::Json;
use crate::name::{AgentId, Capability, Key, Kind, Principal, Repo};
use crate::sandbox::Level;
use crate::task::{
    AfterDependency, Coding, Group, LeaseLoss, Op, Priority, Rate, Retry, Share, Spec, Times,
};
use crate::time::Span;

/// A task that another depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// One that the hub knows.
    Known(TaskId),
    /// One of the same batch, by its position.
    Sibling(usize),
}

/// A task as a submitter writes it: every field but the operation may be left as it is in
/// [`Draft::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Spec`, documented there")]
pub struct Draft {
    pub description: String,
    pub op: Op,
    pub priority: Priority,
    pub needs: Vec<Capability>,
    /// As is [usual](crate::task::usual_sandbox) for its kind if it is not said.
    pub sandbox: Option<Level>,
    pub metadata: Json,
    pub repo: Option<Repo>,
    pub assign_to: Option<AgentId>,
    pub depends_on: Vec<Dependency>,
    pub after_dependency: AfterDependency,
    /// As is [usual](LeaseLoss::usual) for its kind if it is not said.
    pub on_lease_loss: Option<LeaseLoss>,
    pub idempotency_key: Option<Key>,
    pub times: Times,
    pub retry: Retry,
    pub share: Share,
    pub group: Group,
    pub coding: Coding,
}

/// What is wrong with one field of a draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct BadDraft {
    /// The field.
    pub field: &'static str,
    /// The rule that it breaks.
    pub why: String,
}

impl Draft {
    /// The longest description, in characters.
    pub const DESCRIPTION_CHARS_MAX: usize = 10_000;
    /// The most items in each list of a draft.
    pub const ITEMS_MAX: usize = 64;
    /// The most tasks that one task can depend on.
    pub const DEPENDENCIES_MAX: usize = 1_000;
    /// The longest text in any list of a draft, in characters.
    pub const TEXT_CHARS_MAX: usize = 2_000;

    /// A task that runs an operation of `kind` with `input`.
    #[must_use]
    pub fn new(kind: Kind, input: Json) -> Self {
        Self {
            description: String::new(),
            op: Op { kind, input },
            priority: Priority::Normal,
            needs: Vec::new(),
            sandbox: None,
            metadata: Json::null(),
            repo: None,
            assign_to: None,
            depends_on: Vec::new(),
            after_dependency: AfterDependency::Fail,
            on_lease_loss: None,
            idempotency_key: None,
            times: Times::default(),
            retry: Retry::default(),
            share: Share { cost: 1, ..Share::default() },
            group: Group::default(),
            coding: Coding::default(),
        }
    }

    /// The valid task that this draft describes, once its dependencies have ids.
    ///
    /// # Errors
    ///
    /// The first field that breaks a rule.
    pub fn into_spec(mut self, by: Principal, depends_on: Vec<TaskId>) -> Result<Spec, BadDraft> {
        self.check()?;
        self.needs.sort();
        self.needs.dedup();
        let usual = || LeaseLoss::usual(&self.op.kind);
        let on_lease_loss = self.on_lease_loss.unwrap_or_else(usual);
        Ok(Spec {
            description: self.description.into(),
            op: self.op,
            priority: self.priority,
            needs: self.needs.into(),
            sandbox: self.sandbox,
            metadata: self.metadata,
            repo: self.repo,
            assign_to: self.assign_to,
            depends_on: depends_on.into(),
            after_dependency: self.after_dependency,
            on_lease_loss,
            submitted_by: by,
            idempotency_key: self.idempotency_key,
            times: boxed(self.times),
            retry: boxed(self.retry),
            share: (self.share != Share { cost: 1, ..Share::default() })
                .then(|| Box::new(self.share)),
            group: boxed(self.group),
            coding: boxed(self.coding),
        })
    }

    /// Whether a task can be made of it.
    ///
    /// # Errors
    ///
    /// The first field that breaks a rule.
    pub fn check(&self) -> Result<(), BadDraft> {
        at_most(
            "description",
            self.description.chars().count(),
            Self::DESCRIPTION_CHARS_MAX,
            "characters",
        )?;
        at_most("needs", self.needs.len(), Self::ITEMS_MAX, "items")?;
        at_most("depends_on", self.depends_on.len(), Self::DEPENDENCIES_MAX, "items")?;
        at_most("tags", self.group.tags.len(), Self::ITEMS_MAX, "items")?;
        self.check_times()?;
        self.check_retry()?;
        self.check_share()?;
        self.check_coding()
    }

    fn check_times(&self) -> Result<(), BadDraft> {
        let times = &self.times;
        within("lease_ttl", times.lease_ttl, Span::from_secs(5), Span::from_mins(30))?;
        within("timeout", times.timeout, Span(1), Span::from_mins(30 * 24 * 60))?;
        within("expires_after", times.expires_after, Span(1), Span::from_mins(366 * 24 * 60))?;
        match (times.run_after, times.complete_by) {
            (Some(after), Some(by)) if by <= after => {
                Err(bad("complete_by", "must be later than run_after"))
            }
            _ => Ok(()),
        }
    }

    fn check_retry(&self) -> Result<(), BadDraft> {
        let retry = &self.retry;
        if retry.attempts_max.is_some_and(|max| max == 0 || max > 1_000) {
            return Err(bad("attempts_max", "must be 1 to 1000"));
        }
        within("backoff_base", retry.backoff_base, Span(1), Span::from_mins(24 * 60))?;
        within("backoff_cap", retry.backoff_cap, Span(1), Span::from_mins(24 * 60))
    }

    fn check_share(&self) -> Result<(), BadDraft> {
        let share = &self.share;
        if share.concurrency.as_ref().is_some_and(|limit| limit.max == 0) {
            return Err(bad("concurrency.max", "must be at least 1"));
        }
        at_most("rates", share.rates.len(), 8, "items")?;
        if share.rates.iter().any(|rate| rate.limit == 0 || rate.burst == 0 || rate.per == Span(0))
        {
            return Err(bad("rates", "need a limit, a burst and a span above 0"));
        }
        let twice =
            |(n, rate): (usize, &Rate)| share.rates[..n].iter().any(|other| other.key == rate.key);
        if share.rates.iter().enumerate().any(twice) {
            return Err(bad("rates", "need a key of its own each"));
        }
        if share.cost == 0 || share.cost > 1_000 {
            return Err(bad("cost", "must be 1 to 1000"));
        }
        Ok(())
    }

    fn check_coding(&self) -> Result<(), BadDraft> {
        let coding = &self.coding;
        at_most("file_hints", coding.file_hints.len(), Self::ITEMS_MAX, "items")?;
        at_most("success_criteria", coding.success_criteria.len(), Self::ITEMS_MAX, "items")?;
        at_most("verification_steps", coding.verification_steps.len(), Self::ITEMS_MAX, "items")?;
        at_most("max_verification_retries", coding.verification_retries_max as usize, 5, "rounds")?;
        if coding.file_hints.iter().any(|hint| hint.path.is_empty()) {
            return Err(bad("file_hints", "need a path"));
        }
        if coding
            .verification_steps
            .iter()
            .any(|step| step.kind.is_empty() || step.target.is_empty())
        {
            return Err(bad("verification_steps", "need a type and a target"));
        }
        let longest = coding.texts().map(|text| text.chars().count()).max().unwrap_or(0);
        at_most("texts", longest, Self::TEXT_CHARS_MAX, "characters each")
    }
}

fn boxed<T: Default + PartialEq>(part: T) -> Option<Box<T>> {
    (part != T::default()).then(|| Box::new(part))
}

fn bad(field: &'static str, why: &str) -> BadDraft {
    BadDraft { field, why: why.into() }
}

fn at_most(field: &'static str, found: usize, max: usize, unit: &str) -> Result<(), BadDraft> {
    if found > max {
        return Err(bad(field, &alloc::format!("must be at most {max} {unit}, not {found}")));
    }
    Ok(())
}

fn within(field: &'static str, found: Option<Span>, min: Span, max: Span) -> Result<(), BadDraft> {
    match found {
        Some(span) if span < min || span > max => {
            Err(bad(field, &alloc::format!("must be {min} to {max}, not {span}")))
        }
        _ => Ok(()),
    }
}
