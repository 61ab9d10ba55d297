//! This file says how long a model that calls tools goes on with a task, and why it is stopped.
//!
//! The loop: the model is asked; it calls tools, or answers without calling any, or says nothing;
//! the tools run, and it is asked again with what they found. Whoever runs the loop tells a
//! [`Course`] what happened and does as it says. The limits are those of the original, with tokens
//! and time beside them.

mod bound;
mod reach;

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::task::Tier;
use crate::time::Span;

pub use bound::{InputBound, Sent};
pub use reach::{Exposure, Reach, ThreeOfThree};

/// How long a model may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How often it is asked.
    pub turns: u32,
    /// How often in a row it may make the same calls.
    pub repeats: u32,
    /// Once something was changed: how many turns may go by until the next change.
    pub idle_turns: u32,
    /// How often in a row it is told that it said nothing, or nothing that can be read.
    pub nudges: u32,
    /// How many tokens all its turns may take, read and written.
    pub tokens: Option<u64>,
    /// How long all of it may take.
    pub time: Option<Span>,
}

impl Limits {
    /// The limits for work of a tier: 5, 10 and 20 turns; 10 where nobody knows.
    #[must_use]
    pub fn of_tier(tier: Tier) -> Self {
        let turns = match tier {
            Tier::Trivial => 5,
            Tier::Standard | Tier::Unknown => 10,
            Tier::Complex => 20,
        };
        Self { turns, repeats: 3, idle_turns: 5, nudges: 2, tokens: None, time: None }
    }
}

/// Why a model was stopped before it said that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was asked as often as allowed.
    Turns,
    /// It made the same calls over and over.
    Repetition,
    /// It has changed nothing for too long.
    NoProgress,
    /// It said nothing, and was told so in vain.
    Silence,
    /// Its calls could not be read, and it was told so in vain.
    Unreadable,
    /// Its tokens are spent.
    Tokens,
    /// Its time is over.
    Time,
    /// Its money is spent.
    Money,
    /// Its files take more than they may.
    Disk,
    /// It has more processes than it may.
    Processes,
    /// It takes more memory than it may.
    Memory,
}

impl Stop {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Turns,
        Self::Repetition,
        Self::NoProgress,
        Self::Silence,
        Self::Unreadable,
        Self::Tokens,
        Self::Time,
        Self::Money,
        Self::Disk,
        Self::Processes,
        Self::Memory,
    ];
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turns => "it was asked as often as its tier allows",
            Self::Repetition => "it made the same calls over and over",
            Self::NoProgress => "it has changed nothing for too long",
            Self::Silence => "it said nothing, and was told so in vain",
            Self::Unreadable => "its calls could not be read, and it was told so in vain",
            Self::Tokens => "its tokens are spent",
            Self::Time => "its time is over",
            Self::Money => "its money is spent",
            Self::Disk => "its files take more than they may",
            Self::Processes => "it has more processes than it may",
            Self::Memory => "it takes more memory than it may",
        })
    }
}

/// What a model did when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<'a> {
    /// It called tools. The text is the same for the same calls, and for no others.
    Calls(&'a str),
    /// It answered, and called nothing.
    Answer,
    /// It said nothing at all.
    Nothing,
    /// It meant to call tools, and none of its calls can be read.
    Unreadable,
    /// It has paused, and goes on when it is asked once more.
    Pause,
}

/// What to do after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the tools, tell [`Course::ran`] about it, and ask again.
    RunTools,
    /// Tell it that it said nothing, or nothing that can be read, and ask again.
    Nudge,
    /// Ask again with what it has said, and nothing else.
    GoOn,
    /// It is done.
    Done,
    /// It is stopped; of its last calls none runs.
    Stop(Stop),
}

/// How far a model has come.
///
/// **Invariant:** [`Course::may_ask`] says yes at most [`Limits::turns`] times, whatever the model
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    limits: Limits,
    turns: u32,
    last_calls: Option<String>,
    repeated: u32,
    nudged: u32,
    /// Turns since the last change, once there was one.
    idle: Option<u32>,
    tokens: u64,
}

impl Course {
    /// One that has not begun.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, turns: 0, last_calls: None, repeated: 0, nudged: 0, idle: None, tokens: 0 }
    }

    /// How often the model was asked.
    #[must_use]
    pub fn turns(&self) -> u32 {
        self.turns
    }

    /// How many tokens it took.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Whether the model may be asked once more, `passed` after the beginning. `expected` is how
    /// many tokens that will take at most, as far as anybody knows.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn may_ask(&mut self, passed: Span, expected: u64) -> Result<(), Stop> {
        if self.turns >= self.limits.turns {
            return Err(Stop::Turns);
        }
        self.may_retry(passed, expected)?;
        self.turns += 1;
        Ok(())
    }

    /// Whether the model may be asked once more for a turn that it was asked for already, and that came
    /// to nothing; as [`Course::may_ask`], but that it takes no turn.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn may_retry(&self, passed: Span, expected: u64) -> Result<(), Stop> {
        if self.limits.time.is_some_and(|most| passed >= most) {
            return Err(Stop::Time);
        }
        let tokens = self.tokens.saturating_add(expected);
        if self.limits.tokens.is_some_and(|most| tokens > most) {
            return Err(Stop::Tokens);
        }
        Ok(())
    }

    /// The model was asked in vain, for `tokens`.
    pub fn took(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    /// The model has answered, for `tokens`.
    pub fn turn(&mut self, turn: Turn<'_>, tokens: u64) -> Next {
        self.took(tokens);
        match turn {
            Turn::Answer => Next::Done,
            // It takes one of its turns, of which it has so many.
            Turn::Pause => Next::GoOn,
            Turn::Nothing => self.nudge(Stop::Silence),
            Turn::Unreadable => self.nudge(Stop::Unreadable),
            Turn::Calls(calls) => {
                self.nudged = 0;
                let same = self.last_calls.as_deref() == Some(calls);
                self.repeated = if same { self.repeated + 1 } else { 1 };
                self.last_calls = Some(calls.into());
                if self.repeated >= self.limits.repeats {
                    return Next::Stop(Stop::Repetition);
                }
                if self.idle.is_some_and(|idle| idle >= self.limits.idle_turns) {
                    return Next::Stop(Stop::NoProgress);
                }
                Next::RunTools
            }
        }
    }

    /// Says it to the model once more, unless that was in vain often enough.
    fn nudge(&mut self, in_vain: Stop) -> Next {
        self.nudged += 1;
        if self.nudged > self.limits.nudges { Next::Stop(in_vain) } else { Next::Nudge }
    }

    /// The tools of a turn have run, and changed something or not.
    pub fn ran(&mut self, changed: bool) {
        self.idle = match self.idle {
            _ if changed => Some(0),
            Some(idle) => Some(idle + 1),
            None => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Plays turns to their end.
    fn play<'a>(limits: Limits, turns: impl IntoIterator<Item = (Turn<'a>, bool)>) -> (u32, Next) {
        let mut course = Course::new(limits);
        for (turn, changed) in turns {
            if let Err(stop) = course.may_ask(Span(0), 0) {
                return (course.turns(), Next::Stop(stop));
            }
            match course.turn(turn, 1) {
                Next::RunTools => course.ran(changed),
                Next::Nudge | Next::GoOn => {}
                end @ (Next::Done | Next::Stop(_)) => return (course.turns(), end),
            }
        }
        (course.turns(), Next::RunTools)
    }

    fn calls(texts: &[&'static str]) -> Vec<(Turn<'static>, bool)> {
        texts.iter().map(|text| (Turn::Calls(text), false)).collect()
    }

    #[test]
    fn tiers_have_their_turns() {
        let turns = [Tier::Trivial, Tier::Standard, Tier::Complex, Tier::Unknown]
            .map(|tier| Limits::of_tier(tier).turns);
        assert_eq!(turns, [5, 10, 20, 10]);
        let texts: Vec<_> = (0..30).map(|number| format!("{number}")).collect();
        for tier in [Tier::Trivial, Tier::Standard, Tier::Complex] {
            let limits = Limits::of_tier(tier);
            let turns = texts.iter().map(|text| (Turn::Calls(text), false));
            assert_eq!(play(limits, turns), (limits.turns, Next::Stop(Stop::Turns)));
        }
    }

    #[test]
    fn the_same_calls_three_times_in_a_row_are_enough() {
        let limits = Limits::of_tier(Tier::Complex);
        assert_eq!(
            play(limits, calls(&["a", "a", "b", "a", "a", "a"])),
            (6, Next::Stop(Stop::Repetition))
        );
        assert_eq!(play(limits, calls(&["a", "a", "b", "a", "a"])).1, Next::RunTools);
    }

    #[test]
    fn reading_is_no_progress_once_something_was_written() {
        let limits = Limits::of_tier(Tier::Complex);
        let reading = ["1", "2", "3", "4", "5", "6", "7", "8"];
        assert_eq!(play(limits, calls(&reading)).1, Next::RunTools);
        let mut turns = calls(&reading);
        turns[0].1 = true;
        assert_eq!(play(limits, turns.clone()), (7, Next::Stop(Stop::NoProgress)));
        turns[4].1 = true;
        assert_eq!(play(limits, turns).1, Next::RunTools);
    }

    #[test]
    fn silence_is_answered_twice() {
        let limits = Limits::of_tier(Tier::Standard);
        let silence = [(Turn::Nothing, false); 3];
        assert_eq!(play(limits, silence), (3, Next::Stop(Stop::Silence)));
        let mut turns = silence.to_vec();
        turns[1] = (Turn::Calls("a"), false);
        turns.push((Turn::Answer, false));
        assert_eq!(play(limits, turns), (4, Next::Done));
    }

    #[test]
    fn calls_that_cannot_be_read_are_answered_as_often_as_silence_and_together_with_it() {
        let limits = Limits::of_tier(Tier::Standard);
        let (unreadable, nothing) = ((Turn::Unreadable, false), (Turn::Nothing, false));
        assert_eq!(play(limits, [unreadable; 3]), (3, Next::Stop(Stop::Unreadable)));
        let both = [nothing, unreadable, nothing];
        assert_eq!(play(limits, both), (3, Next::Stop(Stop::Silence)));
        let called = (Turn::Calls("a"), false);
        let turns = [unreadable, unreadable, called, unreadable, (Turn::Answer, false)];
        assert_eq!(play(limits, turns), (5, Next::Done));
    }

    #[test]
    fn a_model_that_pauses_goes_on_until_its_turns_are_over() {
        let limits = Limits::of_tier(Tier::Trivial);
        let mut turns = [(Turn::Pause, false); 9];
        assert_eq!(play(limits, turns), (5, Next::Stop(Stop::Turns)));
        turns[2] = (Turn::Answer, false);
        assert_eq!(play(limits, turns), (3, Next::Done));
    }

    #[test]
    fn tokens_and_time_are_looked_at_before_the_model_is_asked() {
        let limits =
            Limits { tokens: Some(100), time: Some(Span(1000)), ..Limits::of_tier(Tier::Standard) };
        let mut course = Course::new(limits);
        assert_eq!(course.may_ask(Span(0), 101), Err(Stop::Tokens));
        assert_eq!(course.may_ask(Span(999), 100), Ok(()));
        course.turn(Turn::Answer, 60);
        assert_eq!(course.may_ask(Span(999), 41), Err(Stop::Tokens));
        assert_eq!(course.may_ask(Span(1000), 40), Err(Stop::Time));
        assert_eq!(course.turns(), 1);
    }

    #[test]
    fn what_was_asked_in_vain_counts_and_is_asked_again_within_the_limits_without_a_turn() {
        let limits =
            Limits { tokens: Some(100), time: Some(Span(1000)), ..Limits::of_tier(Tier::Standard) };
        let mut course = Course::new(limits);
        assert_eq!(course.may_ask(Span(0), 40), Ok(()));
        course.took(60);
        assert_eq!(course.may_retry(Span(999), 40), Ok(()));
        assert_eq!(course.may_retry(Span(999), 41), Err(Stop::Tokens));
        assert_eq!(course.may_retry(Span(1000), 40), Err(Stop::Time));
        assert_eq!((course.turns(), course.tokens()), (1, 60));
    }

    proptest! {
        #[test]
        fn whatever_a_model_does_it_ends_within_its_turns(
            did in proptest::collection::vec((0..6_u8, 0..3_u8, any::<bool>()), 0..64),
            turns in 0..20_u32,
        ) {
            let names = ["a", "b", "c"];
            let limits = Limits { turns, ..Limits::of_tier(Tier::Standard) };
            let played = did.iter().map(|&(kind, name, changed)| {
                let turn = match kind {
                    0 => Turn::Nothing,
                    1 => Turn::Answer,
                    2 => Turn::Pause,
                    3 => Turn::Unreadable,
                    _ => Turn::Calls(names[usize::from(name)]),
                };
                (turn, changed)
            });
            let (asked, end) = play(limits, played);
            prop_assert!(asked <= turns);
            if did.len() > turns as usize {
                prop_assert!(matches!(end, Next::Done | Next::Stop(_)), "{end:?}");
            }
        }
    }
}
