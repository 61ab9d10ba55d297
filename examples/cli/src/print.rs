//! This file prints what commands found: tables for people, JSON for scripts.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::table::Table;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BUSY: Style = AnsiColor::Cyan.on_default();
pub(crate) const CAUTION: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const PLAIN: Style = Style::new();

/// Where a command prints, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// Whether scripts read it.
    pub(crate) json: bool,
    /// Whether messages for people are left out.
    pub(crate) quiet: bool,
}

impl Printer {
    /// Prints data: one line of JSON for scripts, or else what `text` makes of it for people.
    pub(crate) fn data(self, value: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        let text = if self.json { format!("{value}\n") } else { text() };
        self.text(&text)
    }

    /// Prints text as it is.
    #[expect(clippy::unused_self, reason = "all that is printed goes through a printer")]
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Tells people something beside the data.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            // Nobody can be told that the error stream is closed.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }
}

/// A table as wide as the terminal, or as wide as it likes where there is none.
pub(crate) fn table(table: &Table) -> String {
    table.render(width())
}

/// The width of the terminal that data is printed to, if it is one.
pub(crate) fn width() -> Option<u16> {
    let out = io::stdout();
    out.is_terminal().then(|| terminal_size::terminal_size_of(&out))?.map(|(width, _)| width.0)
}
