//! This file says which hosts a program wanted to reach, and what came of it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

/// A host that a program wanted to reach. Each is told once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Contact {
    /// It was let through.
    Reached {
        /// The host and its port.
        to: String,
    },
    /// It was not.
    Refused {
        /// The host and its port.
        to: String,
        /// Why.
        why: String,
    },
    /// It asked for what is no host.
    Unread {
        /// What was wrong with it.
        why: String,
    },
    /// There were more than are told.
    More,
}

impl Contact {
    /// The type of its event.
    pub(crate) const EVENT: &str = "network";

    /// How many are told at most.
    pub(super) const TOLD_MAX: usize = 200;
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { to } => write!(f, "reached {to}"),
            Self::Refused { to, why } => write!(f, "refused {to}: {why}"),
            Self::Unread { why } => write!(f, "refused: {why}"),
            Self::More => f.write_str("more hosts than are told"),
        }
    }
}

/// Tells each contact once, and not too many.
#[derive(Debug)]
pub(super) struct Log {
    told: RefCell<BTreeSet<Contact>>,
    to: UnboundedSender<Contact>,
}

impl Log {
    pub(super) fn to(to: UnboundedSender<Contact>) -> Self {
        Self { told: RefCell::default(), to }
    }

    pub(super) fn tell(&self, contact: Contact) {
        let mut told = self.told.borrow_mut();
        let contact = match told.len() {
            ..Contact::TOLD_MAX => contact,
            Contact::TOLD_MAX if !told.contains(&contact) => Contact::More,
            _ => return,
        };
        if told.insert(contact.clone()) {
            // Whoever no longer listens does not want to know.
            let _ = self.to.send(contact);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_not_too_many() {
        let (to, mut from) = tokio::sync::mpsc::unbounded_channel();
        let log = Log::to(to);
        for number in 0..2 * Contact::TOLD_MAX {
            for _ in 0..2 {
                log.tell(Contact::Reached { to: format!("{number}.example.org:443") });
            }
        }
        drop(log);
        let told = std::iter::from_fn(|| from.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(told.len(), Contact::TOLD_MAX + 1);
        assert_eq!(told.last(), Some(&Contact::More));
    }
}
