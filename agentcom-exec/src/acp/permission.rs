//! This file rules on what agents ask permission for: by the kind of tool, and by the answers of people.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use agentcom_core::json::Json;
use agentcom_core::question::is_yes;
use serde::Deserialize;

use super::message::{OptionKind, PermissionOption};

/// What a tool of an agent does, in the words of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// It reads files or data.
    Read,
    /// It changes files.
    Edit,
    /// It removes files.
    Delete,
    /// It moves or renames files.
    Move,
    /// It searches.
    Search,
    /// It runs commands.
    Execute,
    /// It thinks.
    Think,
    /// It gets something from elsewhere.
    Fetch,
    /// It changes how the agent works.
    SwitchMode,
    /// Something else, or nobody knows.
    #[serde(other)]
    Other,
}

impl ToolKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Edit,
        Self::Delete,
        Self::Move,
        Self::Search,
        Self::Execute,
        Self::Think,
        Self::Fetch,
        Self::SwitchMode,
        Self::Other,
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Move => "move",
            Self::Search => "search",
            Self::Execute => "execute",
            Self::Think => "think",
            Self::Fetch => "fetch",
            Self::SwitchMode => "switch_mode",
            Self::Other => "other",
        }
    }

    /// Whether it changes files.
    fn changes(self) -> bool {
        matches!(self, Self::Edit | Self::Delete | Self::Move)
    }
}

impl fmt::Display for ToolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// Yes.
    Allow,
    /// A person is asked.
    Ask,
    /// No.
    Reject,
}

/// A ruling on a kind of tools: `fetch=allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rule {
    /// The kind.
    pub kind: ToolKind,
    /// What is said.
    pub ruling: Ruling,
}

/// Not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rule; write KIND=allow, KIND=ask or KIND=reject, where KIND is one of read, edit, delete, \
     move, search, execute, think, fetch, switch_mode and other"
)]
pub struct BadRule(String);

impl TryFrom<String> for Rule {
    type Error = BadRule;

    fn try_from(text: String) -> Result<Self, BadRule> {
        text.parse()
    }
}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = || BadRule(text.to_owned());
        let (kind, ruling) = text.split_once('=').ok_or_else(bad)?;
        let kind = ToolKind::ALL.into_iter().find(|known| known.as_str() == kind);
        let ruling = match ruling {
            "allow" => Ruling::Allow,
            "ask" => Ruling::Ask,
            "reject" => Ruling::Reject,
            _ => return Err(bad()),
        };
        Ok(Self { kind: kind.ok_or_else(bad)?, ruling })
    }
}

/// What is said to requests for permission.
///
/// What stays in the worktree and its sandbox is allowed, since the sandbox holds it; what reaches
/// beyond, and what nobody can tell, is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    rulings: BTreeMap<ToolKind, Ruling>,
}

impl Permissions {
    /// The same, but for one kind of tools.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.rulings.insert(rule.kind, rule.ruling);
        self
    }

    /// What is said to a tool of `kind`. What changes files outside of the worktree is never simply
    /// allowed.
    #[must_use]
    pub fn rule(&self, kind: ToolKind, inside: Inside) -> Ruling {
        let usual = match kind {
            ToolKind::Read
            | ToolKind::Edit
            | ToolKind::Delete
            | ToolKind::Move
            | ToolKind::Search
            | ToolKind::Execute
            | ToolKind::Think => Ruling::Allow,
            ToolKind::Fetch | ToolKind::SwitchMode | ToolKind::Other => Ruling::Ask,
        };
        let ruling = self.rulings.get(&kind).copied().unwrap_or(usual);
        if ruling == Ruling::Allow && kind.changes() && inside == Inside::No {
            return Ruling::Ask;
        }
        ruling
    }
}

/// Whether all files that a tool is about are in the worktree, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// They are, or it names none.
    Yes,
    /// One is not.
    No,
}

/// What somebody said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Allow,
    Reject,
    /// One of the options that the agent offers, by its id.
    Option(String),
}

impl Said {
    /// What an answer of a person means: the words that are offered to them, the id or the name of an
    /// option, or yes as [`is_yes`] has it. What cannot be understood is a no. An option may be called as
    /// its agent likes, and so does not take the place of those words.
    pub(super) fn read(answer: &Json, options: &[PermissionOption]) -> Self {
        let word = answer.read::<String>().unwrap_or_default();
        let word = word.trim();
        match word {
            "allow" => return Self::Allow,
            "reject" => return Self::Reject,
            _ => {}
        }
        let named = |option: &&PermissionOption| {
            option.option_id == word || option.name.eq_ignore_ascii_case(word)
        };
        match options.iter().find(named) {
            Some(option) if !word.is_empty() => Self::Option(option.option_id.clone()),
            Some(_) | None if is_yes(answer) => Self::Allow,
            Some(_) | None => Self::Reject,
        }
    }

    /// The option to select; nothing if none of them means that.
    pub(super) fn choose(self, options: &[PermissionOption]) -> Option<String> {
        let kinds = match self {
            Self::Allow => [OptionKind::AllowOnce, OptionKind::AllowAlways],
            Self::Reject => [OptionKind::RejectOnce, OptionKind::RejectAlways],
            Self::Option(id) => return Some(id),
        };
        let of_kind = |kind| options.iter().find(move |option| option.kind == kind);
        kinds.into_iter().find_map(of_kind).map(|option| option.option_id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn option(id: &str, name: &str, kind: OptionKind) -> PermissionOption {
        PermissionOption { option_id: id.into(), name: name.into(), kind }
    }

    #[test]
    fn what_the_sandbox_holds_is_allowed_and_the_rest_is_asked() {
        let rulings = |inside| {
            let rule = |kind| format!("{kind} {:?}", Permissions::default().rule(kind, inside));
            ToolKind::ALL.map(rule).join(", ")
        };
        assert_eq!(
            rulings(Inside::Yes),
            "read Allow, edit Allow, delete Allow, move Allow, search Allow, execute Allow, think Allow, \
             fetch Ask, switch_mode Ask, other Ask"
        );
        assert_eq!(
            rulings(Inside::No),
            "read Allow, edit Ask, delete Ask, move Ask, search Allow, execute Allow, think Allow, \
             fetch Ask, switch_mode Ask, other Ask"
        );
    }

    #[test]
    fn rules_change_it_and_open_nothing_outside() {
        let rules = ["fetch=allow", "execute=reject", "edit=allow"];
        let permissions = rules.iter().fold(Permissions::default(), |permissions, rule| {
            permissions.with(rule.parse().unwrap())
        });
        assert_eq!(permissions.rule(ToolKind::Fetch, Inside::Yes), Ruling::Allow);
        assert_eq!(permissions.rule(ToolKind::Execute, Inside::Yes), Ruling::Reject);
        assert_eq!(permissions.rule(ToolKind::Edit, Inside::No), Ruling::Ask);
        for bad in ["", "fetch", "fetch=maybe", "sing=allow", "fetch=allow=ask"] {
            assert!(bad.parse::<Rule>().unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn an_answer_becomes_an_option_that_is_offered_or_none() {
        let once = [
            option("y1", "Yes", OptionKind::AllowOnce),
            option("y2", "Always", OptionKind::AllowAlways),
            option("n1", "No", OptionKind::RejectOnce),
        ];
        let chosen = |answer: Value| Said::read(&Json::of(&answer).unwrap(), &once).choose(&once);
        for (answer, expected) in [
            (json!("allow"), "y1"),
            (json!("YES"), "y1"),
            (json!("ok"), "y1"),
            (json!(true), "y1"),
            (json!("always"), "y2"),
            (json!("y2"), "y2"),
            (json!("no"), "n1"),
            (json!("reject"), "n1"),
            (json!("whatever"), "n1"),
            (json!(null), "n1"),
            (json!({ "allow": true }), "n1"),
        ] {
            assert_eq!(chosen(answer.clone()).as_deref(), Some(expected), "{answer}");
        }
        let twisted = [
            option("reject", "Reject", OptionKind::AllowAlways),
            option("allow", "n", OptionKind::RejectOnce),
        ];
        let chosen = |answer: &str| {
            Said::read(&Json::of(&answer).unwrap(), &twisted).choose(&twisted).unwrap()
        };
        // What counts where nobody answers is a no, whatever that is called.
        assert_eq!([chosen("reject"), chosen("allow")], ["allow", "reject"]);
        let no = [option("n", "Never", OptionKind::RejectAlways)];
        assert_eq!(Said::Allow.choose(&no), None);
        assert_eq!(Said::Reject.choose(&no).as_deref(), Some("n"));
        assert_eq!(Said::Reject.choose(&[]), None);
        assert_eq!(Said::Allow.choose(&[option("x", "x", OptionKind::Other)]), None);
    }
}
