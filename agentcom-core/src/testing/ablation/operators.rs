//! This file holds the scenarios that miss the guards of operators' tokens.

use alloc::format;

use super::{Scenario, Verdict, bench, ensure};
use crate::command::{Command, OperatorCommand, Reply, Scope};
use crate::guard::{Guard, Guards};
use crate::name::{OperatorId, Principal};
use crate::operator::{Bearer, OPERATORS_MAX, Right, Validity};
use crate::testing::bench::{self, Bench};
use crate::time::Span;

/// The scenario that misses one of them.
pub(super) fn of(guard: Guard) -> Scenario {
    if guard == Guard::TokenExpiry {
        token_expiry
    } else if guard == Guard::Rights {
        rights
    } else {
        operators_max
    }
}

fn operator(number: usize) -> OperatorId {
    OperatorId::new(&format!("o-{number}")).expect("a word with a number is a name")
}

fn add(bench: &mut Bench, number: usize, right: Right) -> Reply {
    let (id, rights) = (operator(number), [right].into());
    let validity = Validity::of(Span::from_secs(60)).expect("a minute is fine");
    let token = bench::token(id.as_str());
    bench.call(Command::Operator(OperatorCommand::Add { id, rights, validity, token }))
}

fn pauses(bench: &mut Bench) -> bool {
    let by = Principal::Operator(operator(0));
    bench.call_as(by, Command::Pause(Scope::All)) == Reply::Done
}

fn token_expiry(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    add(&mut bench, 0, Right::AdminWrite);
    ensure(pauses(&mut bench), "a valid token is refused")?;
    bench.pass(Span::from_secs(60));
    ensure(!pauses(&mut bench), "something was done with a token that had expired")?;
    let known = bench.hub.state().bearer(&bench::token("o-0"));
    ensure(matches!(known, Bearer::Expired(..)), "a token that had expired was taken for valid")
}

fn rights(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    add(&mut bench, 0, Right::TaskSubmit);
    ensure(!pauses(&mut bench), "a token for tasks paused the hub")
}

fn operators_max(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    for number in 0..OPERATORS_MAX {
        ensure(add(&mut bench, number, Right::TaskRead) == Reply::Done, "there is room")?;
    }
    let reply = add(&mut bench, OPERATORS_MAX, Right::TaskRead);
    ensure(matches!(reply, Reply::Rejected(_)), "there are more operators than may be")
}
