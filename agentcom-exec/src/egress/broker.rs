//! This file is the broker: it takes in what programs ask for, and reaches for them what is granted.
//!
//! **Invariant:** nothing is dialled but an address that is of the public Internet and that a granted
//! name leads to, or that is granted itself; and each step has a bound in bytes, time or number.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

use super::address::is_public;
use super::contact::{Contact, Log};
use super::destination::{Destination, Host, Target};
use super::pump::pump;
use super::request::{self, CONNECTED, Refused, Request};

/// How long a broker whose machine is out of something waits before it goes on.
const PAUSE: Duration = Duration::from_millis(100);

/// How long it waits for a program to take its answer, and how much it reads meanwhile, in bytes.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
const LEAVE_BYTES_MAX: u64 = 64 * 1024;

/// How much a program may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at once.
    pub(crate) connections: usize,
    /// The head of a request, in bytes.
    pub(crate) head_bytes: usize,
    /// Until all of it has come.
    pub(crate) head_within: Duration,
    /// Until a host is resolved and answers.
    pub(crate) connect_within: Duration,
    /// How long neither end of a connection may say anything: as long as a program may be silent.
    pub(crate) idle: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 128,
            head_bytes: 16 * 1024,
            head_within: Duration::from_secs(10),
            connect_within: Duration::from_secs(30),
            idle: Duration::from_secs(900),
        }
    }
}

/// Where programs find the broker.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    /// Where all goes that comes in here; nothing where programs say it themselves.
    to: Option<SocketAddr>,
}

/// What reaches hosts for programs.
#[derive(Debug)]
pub(crate) struct Broker {
    granted: Vec<Destination>,
    bounds: Bounds,
    log: Log,
}

impl Broker {
    /// One that reaches what is `granted`, and tells each host once.
    pub(crate) fn new(granted: Vec<Destination>, tell: UnboundedSender<Contact>) -> Self {
        Self { granted, bounds: Bounds::default(), log: Log::to(tell) }
    }

    /// The same, with other bounds.
    #[cfg(test)]
    pub(crate) fn within(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Serves whoever comes in at `doors`: at the first they say where they want to go, and each
    /// other leads to an address. Dropping the future ends all connections.
    pub(crate) async fn serve(
        &self,
        doors: impl IntoIterator<Item = (std::net::TcpListener, Option<SocketAddr>)>,
    ) -> Infallible {
        let doors = doors.into_iter().filter_map(|(listener, to)| {
            // Without a door there is no way out, which is the safe side.
            listener.set_nonblocking(true).ok()?;
            Some(Door { listener: TcpListener::from_std(listener).ok()?, to })
        });
        let doors = doors.collect::<Vec<_>>();
        join_all(doors.iter().map(|door| self.at(door))).await;
        std::future::pending().await
    }

    async fn at(&self, door: &Door) -> Infallible {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = door.listener.accept() => {
                    let is_full = open.len() >= self.bounds.connections;
                    match accepted {
                        Ok((program, _)) if is_full => turn_away(program, &Refused::Busy),
                        Ok((program, _)) => open.push(self.connection(program, door.to)),
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                }
                Some(()) = open.next() => {}
            }
        }
    }

    async fn connection(&self, mut program: TcpStream, to: Option<SocketAddr>) {
        match self.opened(&mut program, to).await {
            Ok(host) => pump(program, host, self.bounds.idle).await,
            Err(refused) => {
                // At a door that leads somewhere nobody waits for an answer of a proxy.
                let answer = if to.is_none() { refused.answer() } else { String::new() };
                let _ = timeout(LEAVE_WITHIN, leave(program, &answer)).await;
            }
        }
    }

    /// A connection to the host that the program wants, after what is said there first.
    async fn opened(
        &self,
        program: &mut TcpStream,
        to: Option<SocketAddr>,
    ) -> Result<TcpStream, Refused> {
        if let Some(address) = to {
            return self.reached(&address.into()).await;
        }
        let asked = timeout(self.bounds.head_within, self.asked(program)).await;
        let asked = asked.unwrap_or(Err(Refused::Slow)).inspect_err(|refused| {
            self.log.tell(Contact::Unread { why: refused.to_string() });
        });
        let (Request { to, head }, early) = asked?;
        let mut host = self.reached(&to).await?;
        let first = async {
            match &head {
                Some(head) => host.write_all(head).await?,
                None => program.write_all(CONNECTED).await?,
            }
            host.write_all(&early).await
        };
        let said = timeout(self.bounds.connect_within, first).await;
        said.map_err(|_| Refused::Late)?.map_err(unreachable)?;
        Ok(host)
    }

    /// What a program asks for, and what it said behind that already.
    async fn asked(&self, program: &mut TcpStream) -> Result<(Request, Vec<u8>), Refused> {
        let mut said = Vec::new();
        loop {
            if let Some(length) = request::head_length(&said) {
                let early = said.split_off(length);
                return Ok((request::read(&said)?, early));
            }
            if said.len() >= self.bounds.head_bytes {
                return Err(Refused::TooLong);
            }
            let room = self.bounds.head_bytes - said.len();
            let read = program.take(room as u64).read_buf(&mut said).await;
            if !matches!(read, Ok(1..)) {
                return Err(Refused::Malformed);
            }
        }
    }

    /// A connection to a host, if it is granted. What came of it is told.
    async fn reached(&self, to: &Target) -> Result<TcpStream, Refused> {
        let dialled = timeout(self.bounds.connect_within, self.dialled(to)).await;
        let dialled = dialled.unwrap_or(Err(Refused::Late));
        self.log.tell(match &dialled {
            Ok(_) => Contact::Reached { to: to.to_string() },
            Err(why) => Contact::Refused { to: to.to_string(), why: why.to_string() },
        });
        dialled
    }

    async fn dialled(&self, to: &Target) -> Result<TcpStream, Refused> {
        if !self.granted.iter().any(|granted| granted.is(to)) {
            return Err(Refused::NotGranted);
        }
        let addresses: Vec<SocketAddr> = match &to.host {
            Host::Address(address) => vec![(*address, to.port).into()],
            Host::Name(name) => lookup_host((name.as_str(), to.port))
                .await
                .map_err(|error| Refused::NoHost(error.to_string()))?
                .collect(),
        };
        let open = permitted(&self.granted, &addresses)?;
        TcpStream::connect(&*open).await.map_err(unreachable)
    }
}

/// Those of the addresses of a host that may be dialled; at least one.
fn permitted(
    granted: &[Destination],
    addresses: &[SocketAddr],
) -> Result<Vec<SocketAddr>, Refused> {
    /// More than these are not tried.
    const TRIED_MAX: usize = 8;
    let may = |address: &SocketAddr| {
        is_public(address.ip()) || granted.iter().any(|granted| granted.is_at(*address))
    };
    let open: Vec<_> = addresses.iter().copied().filter(may).take(TRIED_MAX).collect();
    match (&*open, addresses) {
        ([], []) => Err(Refused::NoHost("it has no address".to_owned())),
        ([], [first, ..]) => Err(Refused::NotPublic(first.ip())),
        _ => Ok(open),
    }
}

fn unreachable(error: std::io::Error) -> Refused {
    Refused::Unreachable(error.to_string())
}

/// Tells a program why it is not let in, without waiting for it.
fn turn_away(program: TcpStream, refused: &Refused) {
    // A connection that was made just now has room for it.
    let _ = program.try_write(refused.answer().as_bytes());
}

/// Says a last thing. What the program still says is read: otherwise it might never see the answer.
async fn leave(mut program: TcpStream, answer: &str) {
    let said = program.write_all(answer.as_bytes()).await;
    if said.and(program.shutdown().await).is_ok() {
        let _ = tokio::io::copy(&mut program.take(LEAVE_BYTES_MAX), &mut tokio::io::sink()).await;
    }
}

#[cfg(test)]
mod tests;
