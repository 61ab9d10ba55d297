//! This file brings the rows of a file that is opened up to date: it writes the batches that were
//! confirmed and are not in the rows yet to their rows.

use std::ops::Bound;

use agentcom_core::port::store::{Batch, StoreError};

use crate::book::Book;
use crate::file::Open;
use crate::head::Head;
use crate::layout::Layout;
use crate::log;
use crate::record::Seal;
use crate::tail;
use crate::{error, load, write};

/// A batch, and the checksums of its puts.
pub(crate) type Sealed = (Batch, Vec<u64>);

/// A file with all that was confirmed in the rows of all its stores.
pub(crate) fn recovered(mut open: Open) -> Result<Open, StoreError> {
    let bytes = read_log(&open)?;
    open.log_filled = log::filled(&bytes, open.layout);
    // Every tree in the file has to be a store's, under its right name. Otherwise a store whose name
    // is damaged would be taken for a fresh one, and be lost.
    for namespace in Book::namespaces(&open)? {
        let (book, head) = Book::of(open, &namespace, 0)?;
        let Some(head) = head else {
            return Err(error::corrupt(format_args!("the store {namespace} has no tree")));
        };
        bring_up(&book, &head, &bytes)?;
        open = book.close();
    }
    Ok(open)
}

fn bring_up(book: &Book, head: &Head, bytes: &[u8]) -> Result<(), StoreError> {
    let Some(tree) = book.tree()? else { return Ok(()) };
    let (mut layer, in_tree) = load::batches_in(book, &tree, head)?;
    for (batch, sums) in batches(bytes, book.database.layout, book.seal, head.seq)? {
        layer.take_in(batch, 0, &sums);
    }
    write::fold(book, head, &layer, &in_tree).map(drop)
}

/// All that is before the database.
pub(crate) fn read_log(open: &Open) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; usize::try_from(open.layout.database()).unwrap_or_default()];
    open.disk.read(0, &mut bytes).map_err(|why| error::io(&why))?;
    Ok(bytes)
}

/// The batches that were confirmed after the batch `folded`. A last one that was not may be there, too.
pub(crate) fn batches(
    bytes: &[u8],
    layout: Layout,
    seal: Seal,
    folded: Option<u64>,
) -> Result<Vec<Sealed>, StoreError> {
    let found = log::read(bytes, layout, seal);
    let mut batches = Vec::new();
    let mut last = folded;
    let first = folded.map_or(Bound::Unbounded, Bound::Excluded);
    for (seq, entry) in found.entries.range((first, Bound::Unbounded)) {
        if Some(entry.before) != last {
            return Err(missing(&found, seal, entry.before));
        }
        batches.push(tail::open(seal, *seq, entry.batch)?);
        last = Some(*seq);
    }
    match found.confirmed {
        Some(confirmed) if Some(confirmed) > last => Err(missing(&found, seal, confirmed)),
        Some(_) | None => Ok(batches),
    }
}

/// Says what is wrong with a batch that was confirmed: the row in it, if that can be told.
fn missing(found: &log::Found<'_>, seal: Seal, seq: u64) -> StoreError {
    let opened = found.unreadable.get(&seq).map(|entry| tail::open(seal, seq, entry.batch));
    match opened {
        Some(Err(error)) => error,
        Some(Ok(_)) | None => error::corrupt(format_args!("batch {seq}: it is missing in the log")),
    }
}
