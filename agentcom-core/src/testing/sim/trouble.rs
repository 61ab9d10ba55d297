//! This file is the time of trouble: work comes in, and everything goes wrong that may in this world.

use alloc::format;
use alloc::vec::Vec;

use super::clients::{Submitter, batch, draft};
use super::fleet::Fleet;
use super::hubs::Doing;
use super::marks::Mark;
use super::net::Towards;
use super::operator::Operator;
use super::swarm::Fault;
use crate::port::clock::Clock;
use crate::rng::Rng;
use crate::time::{Mono, Span};

/// The kinds of faults that are made one by one.
const SINGLE: [Fault; 9] = [
    Fault::Cut,
    Fault::OneWay,
    Fault::HalfOpen,
    Fault::HubKill,
    Fault::Storm,
    Fault::AgentKill,
    Fault::Pause,
    Fault::Takeover,
    Fault::Jump,
];
/// How far from the true time the wall clock is set at most: keys stay in use for longer.
const SET_MAX: Span = Span::from_mins(24 * 60);
/// The most hubs that run at once.
const HUBS_MAX: usize = 3;

impl Fleet {
    /// Everything goes wrong that can.
    pub(super) fn trouble(&mut self) {
        self.start_hub();
        (0..self.agents.len()).for_each(|n| self.start_agent(n));
        self.start_operator();
        let end = self.now() + self.options.trouble;
        let every = Span(self.options.trouble.0 / (self.options.tasks as u64).max(1));
        let (mut fault, mut fault_at) = self.next_fault();
        let mut submit_at = self.now();
        while self.now() < end && self.oracle.is_well() {
            let look = self.now() + Span::from_secs(10);
            let next = look.min(end).min(fault_at).min(submit_at).min(self.next_return());
            self.world.run_until(next);
            if submit_at <= self.now() && self.submitted < self.options.tasks {
                self.submit();
                submit_at = self.now() + Span(1 + self.rng.below(2 * every.0));
            } else if submit_at <= self.now() {
                submit_at = end;
            }
            if fault_at <= self.now() {
                if let Some(fault) = fault {
                    self.make(fault);
                }
                (fault, fault_at) = self.next_fault();
            }
            self.bring_back();
        }
    }

    fn start_operator(&mut self) {
        if self.plan.has(Fault::Operator) {
            let operator = Operator {
                rng: Rng::for_purpose(self.seed, "operator", 0),
                doors: self.doors.clone(),
                oracle: self.oracle.clone(),
                clock: self.clock.clone(),
                agents: self.names(),
                done: self.peaceful.clone(),
            };
            self.world.spawn(operator.run());
        }
    }

    fn submit(&mut self) {
        let (number, now) = (self.submitted, self.clock.now().wall);
        self.submitted += 1;
        let drafts = match number % 8 {
            7 => batch(&mut self.rng, number, now),
            _ => {
                let known = self.oracle.known();
                let recent = &known[known.len().saturating_sub(16)..];
                Vec::from([draft(&mut self.rng, number, recent, now)])
            }
        };
        self.oracle.seen().submitters += 1;
        let submitter = Submitter {
            drafts,
            fickle: self.plan.has(Fault::Clients),
            rng: Rng::for_purpose(self.seed, "client", number as u64),
            doors: self.doors.clone(),
            oracle: self.oracle.clone(),
            clock: self.clock.clone(),
        };
        self.world.spawn(submitter.run());
    }

    /// What goes wrong next, and when. Whoever ends a hub wants pictures of what it knows.
    fn next_fault(&mut self) -> (Option<Fault>, Mono) {
        let at = self.now() + Span(1 + self.rng.below(2 * self.plan.every.0));
        let draw = self.rng.next_u64();
        let there: Vec<Fault> = SINGLE.into_iter().filter(|fault| self.plan.has(*fault)).collect();
        let position = draw.checked_rem(there.len() as u64);
        let fault = position.map(|position| there[position as usize]);
        let ends = matches!(fault, Some(Fault::HubKill | Fault::Storm | Fault::Takeover));
        self.replay.arm(ends);
        if ends && let Some((hub, handle)) = self.door() {
            self.replay.ask(hub, &handle);
        }
        (fault, at)
    }

    fn make(&mut self, fault: Fault) {
        let n = self.rng.below(self.agents.len() as u64) as usize;
        let name = self.agents[n].name.clone();
        match fault {
            Fault::HubKill => self.kill_hub_somewhere(),
            Fault::Storm => self.storm(),
            Fault::Takeover => self.take_over(),
            Fault::AgentKill => {
                self.kill_agent(n);
                self.oracle.mark(Mark::AgentKilled);
            }
            Fault::Cut => {
                let span = Span(self.rng.below(120_000));
                self.oracle.fault("cut", || format!("{name} for {span}"));
                self.net.cut(&name, &[Towards::Hub, Towards::Agent], span);
                self.oracle.mark(Mark::CutOff);
            }
            Fault::OneWay => {
                let span = Span(self.rng.below(120_000));
                let up = self.rng.below(2) == 0;
                let towards = if up { Towards::Hub } else { Towards::Agent };
                self.oracle.fault("one way", || format!("{name} {towards:?} for {span}"));
                self.net.cut(&name, &[towards], span);
                self.oracle.mark(if up { Mark::OneWayUp } else { Mark::OneWayDown });
            }
            Fault::HalfOpen => {
                self.oracle.fault("half open", || name.clone());
                if self.net.silence(|agent, _| agent == name) {
                    self.oracle.mark(Mark::HalfOpen);
                }
            }
            Fault::Pause => self.pause(n),
            Fault::Jump => self.jump(),
            Fault::Loss
            | Fault::Twice
            | Fault::Delay
            | Fault::Reorder
            | Fault::Slow
            | Fault::Drift
            | Fault::StoreBefore
            | Fault::StoreAfter
            | Fault::StoreSlow
            | Fault::Rogue
            | Fault::Poison
            | Fault::Clients
            | Fault::Operator
            | Fault::Short => {}
        }
    }

    /// Kills the hub at once, at one of the points at which it next waits, or in a commit.
    fn kill_hub_somewhere(&mut self) {
        match self.rng.below(3) {
            0 => {}
            1 => self.hunt(),
            _ => {
                let polls = self.rng.below(40);
                return self.kill_hub_after(polls);
            }
        }
        self.kill_hub();
    }

    /// Waits for a commit to be under way, though not for long.
    fn hunt(&mut self) {
        for _ in 0..60 {
            if self.hubs.last().is_none_or(|hub| hub.doing() != Doing::Nothing) {
                return;
            }
            let next = self.now() + Span(1 + self.rng.below(100));
            self.world.run_until(next);
        }
    }

    /// The hub is killed again and again as soon as it is up, or before.
    fn storm(&mut self) {
        for _ in 0..5 {
            self.kill_hub();
            self.start_hub();
            let next = self.now() + Span(self.rng.below(1_500));
            self.world.run_until(next);
        }
        self.kill_hub();
        self.oracle.mark(Mark::RestartStorm);
    }

    fn take_over(&mut self) {
        if self.rng.below(2) == 0 {
            self.hunt();
        }
        self.sweep_hubs();
        let Some(hub) = self.hubs.last().filter(|_| self.hubs.len() < HUBS_MAX) else { return };
        self.oracle.mark(match hub.doing() {
            Doing::Committing => Mark::TakeoverInFlight,
            Doing::Opening | Doing::Nothing | Doing::Committed => Mark::Takeover,
        });
        self.oracle.fault("takeover", || format!("of {} while {:?}", hub.id, hub.doing()));
        self.start_hub();
    }

    fn pause(&mut self, n: usize) {
        let span = Span(100 + self.rng.below(120_000));
        let hub = self.rng.below(3) == 0 || self.options.agents_well;
        let process = match hub {
            true => self.hubs.last().map(|hub| hub.process),
            false => self.agents[n].process,
        };
        if let Some(process) = process {
            self.oracle.fault("pause", || format!("of {process:?} for {span}"));
            self.world.pause(process, span);
            self.oracle.mark(if hub { Mark::HubPaused } else { Mark::AgentPaused });
        }
    }

    fn jump(&mut self) {
        let (ahead, span) = (self.rng.below(2) == 0, Span(1_000 + self.rng.below(3_600_000)));
        let total = if ahead { &mut self.set_ahead } else { &mut self.set_back };
        if total.0 + span.0 > SET_MAX.0 {
            return;
        }
        *total = *total + span;
        self.wall_high = self.wall_high.max(self.wall_offset());
        self.oracle.fault("jump", || format!("by {span}, ahead: {ahead}"));
        self.world.jump(ahead, span);
        if ahead {
            self.oracle.mark(Mark::WallAhead);
        } else {
            self.oracle.mark(Mark::WallBack);
            self.oracle.clock_set_back();
        }
    }

    /// How far ahead of the true time the wall clock is, in milliseconds.
    pub(super) const fn wall_offset(&self) -> i64 {
        self.set_ahead.0 as i64 - self.set_back.0 as i64
    }

    /// When something comes back that is down.
    fn next_return(&self) -> Mono {
        let agents = self.agents.iter().filter_map(|agent| agent.back_at);
        agents.chain(self.hub_back_at).min().unwrap_or(Mono(u64::MAX))
    }

    /// What is down comes back at some time.
    fn bring_back(&mut self) {
        self.sweep_hubs();
        let now = self.now();
        if !self.hub_runs() {
            match self.hub_back_at {
                Some(at) if at <= now => self.start_hub(),
                Some(_) => {}
                None => self.hub_back_at = Some(now + Span(self.rng.below(15_000))),
            }
        }
        for n in 0..self.agents.len() {
            if self.agent_runs(n) {
                continue;
            }
            match self.agents[n].back_at {
                Some(at) if at <= now => self.start_agent(n),
                Some(_) => {}
                None => self.agents[n].back_at = Some(now + Span(self.rng.below(30_000))),
            }
        }
    }
}
