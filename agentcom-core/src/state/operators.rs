//! This file keeps operators, says whose a token is, and when the next one expires.

use alloc::format;
use alloc::string::String;

use super::{Due, State, When};
use crate::agent::TokenHash;
use crate::guard::Guard;
use crate::name::OperatorId;
use crate::operator::{Bearer, Holder, Issued, Operator};

impl State {
    /// An operator.
    #[must_use]
    pub fn operator(&self, id: &OperatorId) -> Option<&Operator> {
        self.operators.get(id)
    }

    /// All operators.
    pub fn operators(&self) -> impl ExactSizeIterator<Item = &Operator> {
        self.operators.values()
    }

    /// Whether a token is valid that was given to an operator.
    #[must_use]
    pub fn is_valid(&self, token: &Issued) -> bool {
        !token.is_over(self.now.wall) || !self.guards.on(Guard::TokenExpiry)
    }

    /// What is known of the token with this digest. Every token is compared, so that time tells
    /// nothing.
    #[must_use]
    pub fn bearer(&self, token: &TokenHash) -> Bearer {
        let mut found = Bearer::Nobody;
        let mut note = |fits: bool, bearer: &dyn Fn() -> Bearer| {
            if fits && found == Bearer::Nobody {
                found = bearer();
            }
        };
        let admin = self.head().is_some_and(|head| head.admin.matches(token));
        note(admin, &|| Bearer::Holder(Holder::Admin));
        for agent in self.agents() {
            for known in &agent.tokens {
                let bearer = || Bearer::Holder(Holder::Agent(agent.id.clone()));
                note(known.matches(token), &bearer);
            }
        }
        for Operator { id, rights, tokens, .. } in self.operators() {
            for known in tokens {
                note(known.hash.matches(token), &|| match known.expires_at {
                    Some(at) if !self.is_valid(known) => Bearer::Expired(id.clone(), at),
                    _ => Bearer::Holder(Holder::Operator(id.clone(), rights.clone())),
                });
            }
        }
        found
    }

    pub(super) fn set_operator(&mut self, operator: Operator) {
        let end = operator.next_end().map(When::Wall);
        self.alarms.set(Due::TokenEnd(operator.id.clone()), end);
        self.operators.insert(operator.id.clone(), operator);
    }

    pub(super) fn remove_operator(&mut self, id: &OperatorId) {
        self.alarms.set(Due::TokenEnd(id.clone()), None);
        self.operators.remove(id);
    }

    /// A token that has an end has an alarm for it, unless the alarm was let pass.
    pub(super) fn check_operators(&self) -> Result<(), String> {
        let on = self.guards.on(Guard::TokenExpiry);
        let unwatched = self.operators().find(|operator| {
            let armed = self.alarms.when(&Due::TokenEnd(operator.id.clone()));
            armed != operator.next_end().map(When::Wall) && on
        });
        match unwatched {
            Some(operator) => Err(format!("nothing ends a token of {}", operator.id)),
            None => Ok(()),
        }
    }
}
