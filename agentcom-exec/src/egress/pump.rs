//! This file carries bytes both ways between two ends, until both are done or nothing comes any more.

use std::cell::Cell;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

/// How much is read at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// Carries bytes both ways. Where one end says no more, the other is told so, and may go on. Ends also
/// where neither says anything for as long as `idle`.
pub(super) async fn pump(mut a: TcpStream, mut b: TcpStream, idle: Duration) {
    let last = Cell::new(Instant::now());
    let ((from_a, to_a), (from_b, to_b)) = (a.split(), b.split());
    let both = async { tokio::join!(carry(from_a, to_b, &last), carry(from_b, to_a, &last)) };
    tokio::select! {
        _ = both => {}
        () = silence(&last, idle) => {}
    }
}

async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, last: &Cell<Instant>) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        last.set(Instant::now());
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
        last.set(Instant::now());
    }
    let _ = to.shutdown().await;
}

async fn silence(last: &Cell<Instant>, idle: Duration) {
    while last.get().elapsed() < idle {
        sleep_until(last.get() + idle).await;
    }
}
