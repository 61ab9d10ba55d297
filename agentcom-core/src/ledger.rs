//! This file keeps the books: what models have cost, whom, and how much more they may.
//!
//! Each call of a model is booked on several accounts: one for everything, one for the agent, the
//! model, the repository and the goal, and one for the day and the month. A *cap* bounds what an
//! account may come to in a period. Before a call its worst case is *reserved*, and counts like what
//! was spent; after it what it came to is booked in its stead.
//!
//! **Invariant:** at the moment at which something is reserved, what is spent and reserved on each
//! account stays within each cap. So what is spent is never above a cap by more than calls came to
//! above their own worst cases.

mod account;
mod cap;
mod date;
mod spend;

pub use account::{Account, Subject, Tally};
pub use cap::{BadCap, Cap, Who};
pub use date::{Day, Month};
pub use spend::{Call, Granted, NotGranted, Payment, Reserved, Spend, Spending, Unsettled};

use alloc::collections::BTreeMap;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::money::Micros;
use crate::name::{AgentId, GoalId, ModelName, Repo};
use crate::time::Wall;

/// Over which time a cap bounds what is spent. Days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A day.
    Day,
    /// A month.
    Month,
    /// For ever.
    Ever,
}

/// On whose accounts a call is booked.
#[derive(Clone, Copy, Debug)]
pub struct Payer<'a> {
    /// Who calls.
    pub agent: &'a AgentId,
    /// What is called, if that is known.
    pub model: Option<&'a ModelName>,
    /// For which repository.
    pub repo: Option<&'a Repo>,
    /// For which goal.
    pub goal: Option<&'a GoalId>,
}

impl Payer<'_> {
    /// The accounts on which caps are set, and on which is reserved.
    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let named = [
            Some(Subject::All),
            Some(Subject::Agent(self.agent.clone())),
            self.model.cloned().map(Subject::Model),
            self.repo.cloned().map(Subject::Repo),
            self.goal.cloned().map(Subject::Goal),
        ];
        named.into_iter().flatten()
    }
}

/// What a task may cost, and what it has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskMoney {
    /// Its own cap, if it has one.
    pub budget: Option<Micros>,
    /// What it has cost.
    pub spent: Micros,
}

/// A call that would pass a cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which.
    pub cap: Cap,
    /// How much it allows.
    pub limit: Micros,
    /// How much of that is spent or reserved.
    pub taken: Micros,
    /// How much the call may cost.
    pub wanted: Micros,
}

impl Breach {
    /// By how much the cap would have to be raised.
    #[must_use]
    pub fn shortage(&self) -> Micros {
        (self.taken + self.wanted).less(self.limit)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cap, limit, taken, wanted } = self;
        let left = limit.less(*taken);
        write!(f, "a call that may cost {wanted}, and {left} is left of the {limit} of `{cap}`")
    }
}

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<Subject, Account>,
    /// What calls that are under way may cost, by account; it follows from the tasks.
    reserved: BTreeMap<Subject, Micros>,
}

impl Ledger {
    /// The most accounts of agents, models, repositories and goals. What has none of its own is
    /// booked for everybody, the day and the month, and nothing is reserved for it.
    pub const ACCOUNTS_MAX: usize = 100_000;
    /// How many days an account is kept on which nothing was booked, and the account of a day. What a cap
    /// bounds for ever is kept for ever.
    pub const DAYS_KEPT: u32 = 62;
    /// How many months the account of a month is kept.
    pub const MONTHS_KEPT: u32 = 24;

    /// All accounts, by subject.
    pub fn accounts(&self) -> impl Iterator<Item = (&Subject, &Account)> {
        self.accounts.iter()
    }

    /// An account; nothing was booked on it if there is none.
    #[must_use]
    pub fn account(&self, subject: &Subject) -> Option<&Account> {
        self.accounts.get(subject)
    }

    /// What is reserved on an account.
    #[must_use]
    pub fn reserved(&self, subject: &Subject) -> Micros {
        self.reserved.get(subject).copied().unwrap_or_default()
    }

    /// An account is as said; without one it is forgotten.
    pub fn set(&mut self, subject: Subject, account: Option<Account>) {
        match account {
            Some(account) => _ = self.accounts.insert(subject, account),
            None => _ = self.accounts.remove(&subject),
        }
    }

    /// A call is under way that may cost `amount`.
    pub fn reserve(&mut self, payer: &Payer<'_>, amount: Micros) {
        for subject in payer.subjects().filter(|_| amount > Micros(0)) {
            *self.reserved.entry(subject).or_default() += amount;
        }
    }

    /// A call for which `amount` was reserved is over.
    pub fn release(&mut self, payer: &Payer<'_>, amount: Micros) {
        for subject in payer.subjects() {
            if let Some(reserved) = self.reserved.get_mut(&subject) {
                *reserved = reserved.less(amount);
                if *reserved == Micros(0) {
                    self.reserved.remove(&subject);
                }
            }
        }
    }

    /// Whether both have the same reserved.
    #[must_use]
    pub fn reserves_as(&self, other: &Self) -> bool {
        self.reserved == other.reserved
    }

    /// Whether any cap bounds what `payer` spends.
    #[must_use]
    pub fn is_capped(
        &self,
        caps: &BTreeMap<Cap, Micros>,
        payer: &Payer<'_>,
        task: TaskMoney,
    ) -> bool {
        Cap::all_on(caps, payer, task.budget).next().is_some()
    }

    /// Whether a call that may cost `wanted` stays within all caps.
    ///
    /// # Errors
    ///
    /// The first cap that it would pass.
    pub fn admit(
        &self,
        caps: &BTreeMap<Cap, Micros>,
        payer: &Payer<'_>,
        task: TaskMoney,
        wanted: Micros,
        at: Wall,
    ) -> Result<(), Breach> {
        for (cap, limit) in Cap::all_on(caps, payer, task.budget) {
            let taken = match cap.subject(payer) {
                Some(subject) => {
                    let account = self.accounts.get(&subject);
                    let spent = account.map(|account| account.spent(cap.per(), at));
                    spent.unwrap_or_default() + self.reserved(&subject)
                }
                // A task makes one call at a time.
                None => task.spent,
            };
            if taken + wanted > limit {
                return Err(Breach { cap, limit, taken, wanted });
            }
        }
        Ok(())
    }

    /// The accounts as they are after `entry` was booked for `payer` at a time, and those that are
    /// forgotten then, for whatever `caps` allow.
    #[must_use]
    pub fn after(
        &self,
        caps: &BTreeMap<Cap, Micros>,
        payer: &Payer<'_>,
        entry: Tally,
        at: Wall,
    ) -> BTreeMap<Subject, Option<Account>> {
        let (day, month) = (Day::of(at), Day::of(at).month());
        let dates = [Subject::Day(day), Subject::Month(month)];
        let is_new_day = !self.accounts.contains_key(&dates[0]);
        let mut after = BTreeMap::new();
        if is_new_day {
            let over = self.accounts.iter().filter(|(subject, account)| match subject {
                Subject::All => false,
                Subject::Goal(goal) if Cap::is_on_goal(caps, goal) => false,
                Subject::Month(of) => of.0 + Self::MONTHS_KEPT <= month.0,
                Subject::Day(_)
                | Subject::Agent(_)
                | Subject::Model(_)
                | Subject::Repo(_)
                | Subject::Goal(_) => account.day().0 + Self::DAYS_KEPT <= day.0,
            });
            after.extend(over.map(|(subject, _)| (subject.clone(), None)));
        }
        let is_full = self.accounts.len() >= Self::ACCOUNTS_MAX;
        for subject in payer.subjects().chain(dates) {
            let before = self.accounts.get(&subject);
            let is_shared = matches!(subject, Subject::All | Subject::Day(_) | Subject::Month(_));
            if before.is_none() && is_full && !is_shared {
                continue;
            }
            let account = before.cloned().unwrap_or_default().booked(entry, at);
            after.insert(subject, Some(account));
        }
        after
    }

    /// The accounts as they are after a call of `payer` that was booked at its worst is booked as what it
    /// `came_to`, where it was booked. What has been forgotten since stays so.
    #[must_use]
    pub fn settled(
        &self,
        payer: &Payer<'_>,
        owed: &Unsettled,
        came_to: Tally,
    ) -> BTreeMap<Subject, Option<Account>> {
        let worst = Tally::worst(&owed.reserved);
        let day = Day::of(owed.at);
        let dates = [Subject::Day(day), Subject::Month(day.month())];
        let after = payer.subjects().chain(dates).filter_map(|subject| {
            let account = self.accounts.get(&subject)?.clone();
            Some((subject, Some(account.settled(worst, came_to, owed.at))))
        });
        after.collect()
    }

    /// Whether `payer` has, or can have, accounts of its own.
    #[must_use]
    pub fn has_room_for(&self, payer: &Payer<'_>) -> bool {
        self.accounts.len() < Self::ACCOUNTS_MAX
            || payer.subjects().all(|subject| self.accounts.contains_key(&subject))
    }
}

#[cfg(test)]
mod tests;
