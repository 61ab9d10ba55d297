//! This file says what operators may, and lets their tokens expire.

use super::tx::Tx;
use crate::change::Change;
use crate::command::Command;
use crate::id::QuestionId;
use crate::json::Json;
use crate::name::OperatorId;
use crate::operator::{Operator, Right};

/// Whether an operator may do something: it is known, has a valid token, and the right is its own.
pub(super) fn may(tx: &Tx<'_>, id: &OperatorId, command: &Command) -> bool {
    let Some(operator) = tx.state.operator(id) else { return false };
    let asks_for_money = matches!(command, Command::Answer { id, .. } if asks_for_money(tx, *id));
    // Whoever lets a call pass a cap says how much may be spent.
    let right = if asks_for_money { Some(Right::AdminWrite) } else { command.right() };
    operator.tokens.iter().any(|token| tx.state.is_valid(token))
        && right.is_some_and(|right| operator.rights.contains(&right))
}

fn asks_for_money(tx: &Tx<'_>, id: QuestionId) -> bool {
    tx.state.question(id).is_some_and(|question| question.spend.is_some())
}

/// Lets those tokens of an operator expire whose time is over.
pub(super) fn expire(tx: &mut Tx<'_>, id: &OperatorId) {
    let Some(mut operator) = tx.state.operator(id).cloned() else { return };
    if operator.expire(tx.now().wall) {
        set(tx, "token.expired", operator);
    }
}

/// The feed tells what a token permits, and nothing of the token itself.
pub(super) fn set(tx: &mut Tx<'_>, kind: &str, operator: Operator) {
    let detail = Json::of(&operator.rights).ok();
    tx.record_with(kind, detail, Change::OperatorSet(operator.into()));
}
