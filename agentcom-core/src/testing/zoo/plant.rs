//! This file lists the bugs, and plants them: each changes what passes one seam.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::change::Change;
use crate::config::HubConfig;
use crate::hub::{Hub, Step};
use crate::id::{Lease, QuestionId};
use crate::json::Json;
use crate::port::store::{Batch, RowKey, Table};
use crate::question::Question;
use crate::state::{Clocks, Dirty, Due, Pulse};
use crate::task::{Draft, Life, TaskState};
use crate::time::{Now, Span};
use crate::wire::{Acked, ToAgent, ToHub};

/// Makes the enum, the list of all, and the sentence of each from one list.
macro_rules! plants {
    ($(#[doc = $about:literal] $name:ident,)*) => {
        /// A bug that can be planted in a stage.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Plant { $(#[doc = $about] $name,)* }

        impl Plant {
            /// All bugs.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What it does, in a sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }.trim_ascii()
            }
        }
    };
}

plants! {
    /// What a step wants done is done while its commit is under way.
    ReplyBeforeCommit,
    /// When a step joins a group, the effects of those before it are lost.
    EffectLost,
    /// Now and then the row of a task that moved is not written.
    DirtyRowForgotten,
    /// Now and then the row of the feed is not written.
    EventRowForgotten,
    /// A hub that dies in a commit leaves half of the batch behind.
    BatchHalfApplied,
    /// The rows of tasks that ended are not removed from the living.
    DeleteForgotten,
    /// The number of a lease is stored one too small.
    LeaseRewound,
    /// The rows of idempotency keys are not written.
    KeyForgotten,
    /// The row of what there is one of is written only now and then.
    HeadForgotten,
    /// The number of the next task is stored one too small.
    NumberReused,
    /// Buckets are not read back, so that a restart fills them.
    BucketForgotten,
    /// The backoff of a task that waits is not started again when a hub starts.
    TimerForgotten,
    /// The alarm of a task stays when it has ended.
    AlarmKept,
    /// The deadlines of a lease stay when its task has ended.
    ClocksKept,
    /// A question about a task stays when it has ended.
    QuestionKept,
    /// A task that is done is brought back by something that came late.
    Resurrected,
    /// One more task of a key may run than was said.
    CapOffByOne,
    /// A task may fail once more than was said.
    AttemptsOffByOne,
    /// The key of a submission is lost on its way.
    KeyStripped,
    /// An alarm that is due is put out, and nothing is done.
    AlarmSwallowed,
    /// A hub that was replaced numbers its batch anew and writes it after all.
    StaleHubRestamped,
    /// An agent is told that its lease lasts longer than the hub thinks.
    LeaseTooLong,
    /// An agent is told the number of the lease before.
    LeaseNumberOff,
    /// An agent is not told that its report came too late.
    AckLost,
    /// A sidecar that connects again does not send what it has to report.
    ReportsDropped,
    /// A sidecar accepts and starts work before it has written that down.
    JournalAfterAccept,
    /// A sidecar forgets a report when it is sent, not when it is heard.
    ReportErasedEarly,
    /// Serving a tenant does not move it back behind the others.
    TagStuck,
}

/// Every so many batches something happens that happens now and then.
const NOW_AND_THEN: u64 = 5;

/// The seams. Without a plant, or with one that is planted elsewhere, nothing is changed.
impl Plant {
    /// A hub is built.
    pub(in crate::testing) const fn set(plant: Option<Self>, config: &mut HubConfig) {
        if let Some(Self::AttemptsOffByOne) = plant {
            config.attempts_max += 1;
        }
    }

    /// A task is on its way to the hub.
    pub(in crate::testing) fn submits(plant: Option<Self>, draft: &mut Draft) {
        match plant {
            Some(Self::CapOffByOne) => {
                draft.share.concurrency.iter_mut().for_each(|limit| limit.max += 1);
            }
            Some(Self::KeyStripped) => draft.idempotency_key = None,
            _ => {}
        }
    }

    /// A batch is on its way to the disk.
    pub(in crate::testing) fn stores(plant: Option<Self>, batch: &mut Batch) {
        let now_and_then = batch.seq.is_multiple_of(NOW_AND_THEN);
        let table = match plant {
            Some(Self::DirtyRowForgotten) if now_and_then => Table::Life,
            Some(Self::EventRowForgotten) if now_and_then => Table::Event,
            Some(Self::HeadForgotten) if now_and_then => Table::Meta,
            Some(Self::KeyForgotten) => Table::Key,
            Some(Self::DeleteForgotten) => {
                return batch.deletes.retain(|key| !matches!(key.table, Table::Life | Table::Spec));
            }
            Some(Self::LeaseRewound) => return patch(batch, Table::Life, "lease"),
            Some(Self::NumberReused) => return patch(batch, Table::Meta, "next_task"),
            _ => return,
        };
        batch.puts.retain(|(key, _)| key.table != table);
    }

    /// Whether a table is read when a hub starts.
    pub(in crate::testing) fn reads(plant: Option<Self>, table: Table) -> bool {
        !(plant == Some(Self::BucketForgotten) && table == Table::Bucket)
    }

    /// A hub has read its store.
    pub(in crate::testing) fn resumed(plant: Option<Self>, hub: &mut Hub) {
        if plant != Some(Self::TimerForgotten) {
            return;
        }
        let ids: Vec<_> = hub.state().tasks().map(|task| task.id).collect();
        for id in ids {
            hub.feel(Pulse::Passed(Due::Backoff(id)));
        }
    }

    /// A hub is about to decide.
    pub(in crate::testing) fn steps(plant: Option<Self>, hub: &mut Hub, now: Now) {
        if plant == Some(Self::AlarmSwallowed)
            && let Some(due) = hub.state().alarms().due(now).cloned()
        {
            hub.feel(Pulse::Passed(due));
        }
    }

    /// A hub has decided.
    pub(in crate::testing) fn stepped(plant: Option<Self>, hub: &mut Hub, step: &Step) {
        let ended = step
            .dirty
            .iter()
            .find_map(|fact| if let Dirty::Ended(id) = fact { Some(*id) } else { None });
        let Some(id) = ended else { return };
        let later = hub.state().now().mono + Span::from_mins(1);
        match plant {
            Some(Self::AlarmKept) => hub.feel(Pulse::Backoff(id, later)),
            Some(Self::ClocksKept) => {
                let (accept, timeout, stuck) = (None, None, None);
                let clocks =
                    Clocks { lease: later, accept, timeout, stuck, told: later, missing: 0 };
                hub.feel(Pulse::Clocks(id, clocks));
            }
            Some(Self::QuestionKept) => hub.apply(Change::QuestionAsked(about(hub, id).into())),
            Some(Self::Resurrected) => {
                let Some(mut task) = hub.state().just_ended(id).cloned() else { return };
                let now = hub.state().now().wall;
                task.life = Life { state: ready(now), ..task.life };
                hub.apply(Change::TaskRevived(task.into()));
            }
            _ => {}
        }
    }

    /// Whether a frame reaches an agent, and as what.
    pub(in crate::testing) fn says(plant: Option<Self>, frame: &mut ToAgent) -> bool {
        match (plant, frame) {
            (Some(Self::LeaseTooLong), ToAgent::TaskAssign(given)) => {
                given.lease_ttl_ms = given.lease_ttl_ms.times(4);
                true
            }
            (Some(Self::LeaseNumberOff), ToAgent::TaskAssign(given)) => {
                given.generation = Lease(given.generation.0.saturating_sub(1).max(1));
                true
            }
            (Some(Self::AckLost), ToAgent::TaskAck(ack)) => ack.status != Acked::Superseded,
            _ => true,
        }
    }

    /// Whether a frame of an agent is sent, on its so-many-th connection.
    pub(in crate::testing) fn reports(
        plant: Option<Self>,
        connections: u32,
        frame: &ToHub,
    ) -> bool {
        let again = plant == Some(Self::ReportsDropped) && connections > 1;
        !(again && matches!(frame, ToHub::TaskComplete(_) | ToHub::TaskFailed(_)))
    }
}

/// Makes a number in the rows of a table one smaller.
fn patch(batch: &mut Batch, table: Table, field: &str) {
    let named = format!("\"{field}\":");
    for (_, value) in batch.puts.iter_mut().filter(|(key, _): &&mut (RowKey, _)| key.table == table)
    {
        let Ok(text) = String::from_utf8(value.clone()) else { continue };
        let Some(at) = text.find(&named).map(|at| at + named.len()) else { continue };
        let digits = text[at..].chars().take_while(char::is_ascii_digit).count();
        let Ok(number) = text[at..at + digits].parse::<u64>() else { continue };
        let smaller = number.saturating_sub(1);
        *value = format!("{}{smaller}{}", &text[..at], &text[at + digits..]).into_bytes();
    }
}

fn about(hub: &Hub, task: crate::id::TaskId) -> Question {
    let now = hub.state().now().wall;
    let asked_by = crate::name::AgentId::new("agent-0").expect("a name");
    Question {
        choices: None,
        id: QuestionId(task.0),
        task,
        lease: Lease(1),
        asked_by,
        text: "still there?".into(),
        asked_at: now,
        deadline: now + Span::from_mins(1),
        default: Json::null(),
        spend: None,
    }
}

fn ready(since: crate::time::Wall) -> TaskState {
    TaskState::Ready { since, place: crate::task::Place::default() }
}
