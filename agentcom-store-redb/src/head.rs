//! This file holds what a store says about itself, in a row of its own: the number of its last
//! batch, and what each table has to contain.
//!
//! The latest batches, which are stored whole, have a table and a tally of their own.
//!
//! A damaged branch of redb's tree can make rows vanish without a trace. The tallies show it: they
//! count the rows of each table and add up their checksums, whatever the order.

use std::collections::BTreeMap;

/// The format of heads that this release writes. It opens no store with a newer one.
pub(crate) const FORMAT: u8 = 2;

/// Where the head is kept: before all tables, whose numbers start at 1.
pub(crate) const PLACE: [u8; 1] = [0];

/// What a store says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of the last batch; `None` before the first.
    pub(crate) seq: Option<u64>,
    tallies: BTreeMap<u8, Tally>,
}

/// What a table contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The number of its rows.
    pub(crate) rows: u64,
    /// The checksums of its rows, added up without carry.
    sums: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, sum: u64) {
        self.rows = self.rows.wrapping_add(1);
        self.sums = self.sums.wrapping_add(sum);
    }

    pub(crate) fn remove(&mut self, sum: u64) {
        self.rows = self.rows.wrapping_sub(1);
        self.sums = self.sums.wrapping_sub(sum);
    }
}

impl Head {
    /// What the table with this number contains.
    pub(crate) fn tally(&self, table: u8) -> Tally {
        self.tallies.get(&table).copied().unwrap_or_default()
    }

    pub(crate) fn tally_mut(&mut self, table: u8) -> &mut Tally {
        self.tallies.entry(table).or_default()
    }

    /// Writes the head of batch `seq` over `bytes`.
    pub(crate) fn write(&self, seq: u64, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.push(FORMAT);
        bytes.extend_from_slice(&seq.to_le_bytes());
        for (table, tally) in &self.tallies {
            bytes.push(*table);
            bytes.extend_from_slice(&tally.rows.to_le_bytes());
            bytes.extend_from_slice(&tally.sums.to_le_bytes());
        }
    }

    /// Reads a head, or says why that is impossible.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let [format, rest @ ..] = bytes else { return Err("the head is empty".into()) };
        if *format != FORMAT {
            return Err(format!("store format {format} is not {FORMAT}, the only one known here"));
        }
        let cut_off = || String::from("the head is cut off");
        let (seq, mut rest) = rest.split_first_chunk().ok_or_else(cut_off)?;
        let mut head = Self { seq: Some(u64::from_le_bytes(*seq)), ..Self::default() };
        while let [table, tally @ ..] = rest {
            let (rows, tally) = tally.split_first_chunk().ok_or_else(cut_off)?;
            let (sums, tally) = tally.split_first_chunk().ok_or_else(cut_off)?;
            let [rows, sums] = [rows, sums].map(|bytes| u64::from_le_bytes(*bytes));
            head.tallies.insert(*table, Tally { rows, sums });
            rest = tally;
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Head, Vec<u8>) {
        let mut head = Head { seq: Some(258), ..Head::default() };
        head.tally_mut(2).add(u64::MAX);
        head.tally_mut(2).add(3);
        head.tally_mut(9).add(1);
        let mut bytes = Vec::new();
        head.write(258, &mut bytes);
        (head, bytes)
    }

    #[test]
    fn a_head_reads_what_it_wrote() {
        let (head, bytes) = sample();
        assert_eq!(Head::read(&bytes), Ok(head));
    }

    #[test]
    fn the_stored_form_of_a_head_does_not_change() {
        assert_eq!(
            sample().1,
            [
                &[2, 2, 1, 0, 0, 0, 0, 0, 0][..],
                &[2, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
                &[9, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat()
        );
    }

    #[test]
    fn other_formats_and_cut_off_heads_are_refused() {
        let (_, bytes) = sample();
        let newer = [&[3], &bytes[1..]].concat();
        let why = Head::read(&newer).unwrap_err();
        assert_eq!(why, "store format 3 is not 2, the only one known here");
        for length in (0..bytes.len()).filter(|length| *length != 9 && *length != 26) {
            assert!(Head::read(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_tally_forgets_what_is_removed() {
        let mut tally = Tally::default();
        tally.add(5);
        let before = tally;
        tally.add(u64::MAX);
        tally.remove(u64::MAX);
        assert_eq!(tally, before);
    }
}
