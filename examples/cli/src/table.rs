//! This file lays out tables so that each row stays on one line, however narrow the terminal is.

use anstyle::Style;
use comfy_table::{CellAlignment, ColumnConstraint, Width, presets};

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// The fewest characters that still mean something; a column with room for less is cut off.
    pub(crate) width_min: u16,
    /// Columns with a higher rank are left out first where there is no room for all.
    pub(crate) rank: u8,
    /// The most characters of a cell where no terminal says how wide a line is.
    pub(crate) width_max: u16,
    pub(crate) align: CellAlignment,
}

impl Column {
    /// A column that is shown whole or not at all.
    pub(crate) const fn fixed(title: &'static str, rank: u8) -> Self {
        Self { width_min: u16::MAX, ..Self::text(title, 0, rank) }
    }

    /// A column whose text is cut to fit.
    pub(crate) const fn text(title: &'static str, width_min: u16, rank: u8) -> Self {
        Self { title, width_min, rank, width_max: u16::MAX, align: CellAlignment::Left }
    }

    /// A column of what people or models wrote, which may be long: a list shows how it begins.
    pub(crate) const fn prose(title: &'static str, width_min: u16, rank: u8) -> Self {
        Self { width_max: PROSE_MAX, ..Self::text(title, width_min, rank) }
    }

    pub(crate) const fn right(self) -> Self {
        Self { align: CellAlignment::Right, ..self }
    }
}

/// Rows under titles.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Style, Vec<String>)>,
}

const GAP: u16 = 2;
const PROSE_MAX: u16 = 100;
const HEADER: Style = Style::new().bold();

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell for each column.
    pub(crate) fn row(&mut self, style: Style, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push((style, cells.iter().map(|cell| one_line(cell)).collect()));
    }

    /// The table in at most `width` characters a line, as far as that is possible.
    pub(crate) fn render(&self, width: Option<u16>) -> String {
        let mut natural = self.natural_widths();
        if width.is_none() {
            let most = self.columns.iter().map(|column| column.width_max);
            natural.iter_mut().zip(most).for_each(|(natural, most)| *natural = most.min(*natural));
        }
        let shown = self.fit(&natural, width.unwrap_or(u16::MAX));
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_truncation_indicator("…");
        table.set_header(self.line(&shown, |column| self.columns[column].title));
        for (_, cells) in &self.rows {
            table.add_row(self.line(&shown, |column| &cells[column]));
        }
        for (position, &(column, width)) in shown.iter().enumerate() {
            let Some(target) = table.column_mut(position) else { continue };
            let gap = if position + 1 == shown.len() { 0 } else { GAP };
            target.set_padding((0, gap));
            // No text holds this character, so text is cut between letters instead of words.
            target.set_delimiter('\0');
            target.set_cell_alignment(self.columns[column].align);
            target.set_constraint(ColumnConstraint::Absolute(Width::Fixed(
                width.saturating_add(gap),
            )));
        }
        self.styled(&table)
    }

    fn line<'a>(
        &self,
        shown: &[(usize, u16)],
        cell: impl Fn(usize) -> &'a str,
    ) -> comfy_table::Row {
        let cells = shown.iter().map(|&(column, _)| cell(column));
        let mut row = comfy_table::Row::from(cells);
        row.max_height(1);
        row
    }

    fn styled(&self, table: &comfy_table::Table) -> String {
        let styles = std::iter::once(HEADER).chain(self.rows.iter().map(|(style, _)| *style));
        let mut text = String::new();
        for (line, style) in table.lines().zip(styles) {
            text.push_str(&format!("{style}{}{style:#}\n", line.trim_end()));
        }
        text
    }

    fn natural_widths(&self) -> Vec<u16> {
        let mut table = comfy_table::Table::new();
        table.set_header(self.columns.iter().map(|column| column.title));
        table.add_rows(self.rows.iter().map(|(_, cells)| cells));
        table.column_max_content_widths()
    }

    /// Which columns are shown, and how wide.
    fn fit(&self, natural: &[u16], width: u16) -> Vec<(usize, u16)> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let least = |column: &usize| natural[*column].min(self.columns[*column].width_min);
        let needed = |shown: &[usize]| total(shown.iter().map(least)) + gaps(shown.len());
        while shown.len() > 1 && needed(&shown) > u32::from(width) {
            let Some(last) = shown.iter().copied().max_by_key(|&column| self.columns[column].rank)
            else {
                break;
            };
            shown.retain(|&column| column != last);
        }
        let mut spare = u32::from(width).saturating_sub(needed(&shown));
        let widen = |column: usize| {
            let least = least(&column);
            let more = u32::from(natural[column] - least).min(spare);
            spare -= more;
            (column, least + u16::try_from(more).unwrap_or(u16::MAX))
        };
        shown.into_iter().map(widen).collect()
    }
}

fn total(widths: impl Iterator<Item = u16>) -> u32 {
    widths.map(u32::from).sum()
}

fn gaps(columns: usize) -> u32 {
    u32::from(GAP) * u32::try_from(columns.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// `text` without what would break a line or steer the terminal.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|char: char| char.is_control() || char.is_whitespace());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const COLUMNS: [Column; 4] = [
        Column::fixed("ID", 0),
        Column::fixed("STATE", 1),
        Column::text("DESCRIPTION", 12, 2),
        Column::fixed("AGE", 3).right(),
    ];

    fn check(width: Option<u16>, expected: &Expect) {
        let mut table = Table::new(&COLUMNS);
        let rows = [
            ["00feed", "ready", "count the words\nof every page", "3 s"],
            ["0cafe0", "completed", "数を数える、とても長い説明の文", "12 min"],
        ];
        for row in rows {
            table.row(Style::new(), row.map(String::from).to_vec());
        }
        let text = anstream::adapter::strip_str(&table.render(width)).to_string();
        if let Some(width) = width {
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{text}");
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn a_pipe_gets_everything() {
        check(
            None,
            &expect![[r#"
            ID      STATE      DESCRIPTION                        AGE
            00feed  ready      count the words of every page      3 s
            0cafe0  completed  数を数える、とても長い説明の文  12 min
        "#]],
        );
    }

    #[test]
    fn how_long_prose_is_says_how_it_begins_and_pads_no_other_line() {
        let columns =
            [Column::prose("WORDS", 5, 1), Column::fixed("AGE", 2), Column::prose("END", 5, 3)];
        let mut table = Table::new(&columns);
        for words in [String::from("few"), "many ".repeat(2_000)] {
            table.row(Style::new(), vec![words.clone(), "1 s".into(), words]);
        }
        let text = anstream::adapter::strip_str(&table.render(None)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("few{}  1 s  few", " ".repeat(97)));
        let begins = format!("{}many…", "many ".repeat(19));
        assert_eq!(lines[2], format!("{begins}  1 s  {begins}"));
        assert!(lines.iter().all(|line| line.len() < 220), "{text}");
    }

    #[test]
    fn long_text_is_cut_to_the_width_of_the_terminal() {
        check(
            Some(40),
            &expect![[r#"
            ID      STATE      DESCRIPTION       AGE
            00feed  ready      count the wo…     3 s
            0cafe0  completed  数を数える、…  12 min
        "#]],
        );
    }

    #[test]
    fn columns_that_matter_least_go_first() {
        check(
            Some(30),
            &expect![[r#"
            ID      STATE
            00feed  ready
            0cafe0  completed
        "#]],
        );
        check(
            Some(8),
            &expect![[r#"
            ID
            00feed
            0cafe0
        "#]],
        );
    }

    #[test]
    fn cells_cannot_steer_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31m\r\n\tb"), "a [31m b");
    }
}
