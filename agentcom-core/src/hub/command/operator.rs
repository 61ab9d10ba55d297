//! This file takes commands about operators in.

use super::super::operators;
use super::super::tx::Tx;
use crate::change::Change;
use crate::command::{OperatorCommand, Rejected, Reply};
use crate::guard::Guard;
use crate::name::OperatorId;
use crate::operator::{OPERATORS_MAX, Operator};

pub(super) fn take(tx: &mut Tx<'_>, command: OperatorCommand) -> Result<Reply, Rejected> {
    let now = tx.now().wall;
    match command {
        OperatorCommand::Add { id, rights, validity, token } => {
            if tx.state.operator(&id).is_some() {
                return Err(Rejected::OperatorExists(id));
            }
            if tx.state.operators().len() >= OPERATORS_MAX && tx.on(Guard::OperatorsMax) {
                return Err(Rejected::TooManyOperators { max: OPERATORS_MAX });
            }
            operators::set(tx, "token.added", Operator::new(id, rights, validity, token, now));
        }
        OperatorCommand::Rotate { id, validity, token } => {
            let mut operator = known(tx, &id)?;
            operator.issue(token, validity.unwrap_or(operator.validity), now);
            operators::set(tx, "token.rotated", operator);
        }
        OperatorCommand::Remove(id) => {
            known(tx, &id)?;
            tx.record_as("token.removed", Change::OperatorRemoved(id));
        }
    }
    Ok(Reply::Done)
}

fn known(tx: &Tx<'_>, id: &OperatorId) -> Result<Operator, Rejected> {
    tx.state.operator(id).cloned().ok_or_else(|| Rejected::UnknownOperator(id.clone()))
}
