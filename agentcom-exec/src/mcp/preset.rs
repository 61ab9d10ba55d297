//! This file holds entries for servers that many have: where they are, which of their tools look and
//! change nothing, and what these have to do with the world.

/// An entry that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    name: &'static str,
    text: &'static str,
}

const PRESETS: [Preset; 3] = [
    Preset { name: "github", text: include_str!("preset/github.json") },
    Preset { name: "jira", text: include_str!("preset/jira.json") },
    Preset { name: "supabase", text: include_str!("preset/supabase.json") },
];

impl Preset {
    /// The preset of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// All names, for people.
    #[must_use]
    pub fn names() -> String {
        PRESETS.map(|preset| preset.name).join(", ")
    }

    /// A file of servers with this entry and no other, to begin with.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.text
    }
}
