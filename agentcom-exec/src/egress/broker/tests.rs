//! This file tests the broker over real sockets: what is granted passes, all else has an answer of its
//! own, and nothing goes on for ever.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// A broker, where it is found, and what it tells.
struct Place {
    broker: Broker,
    listener: std::net::TcpListener,
    at: SocketAddr,
    told: UnboundedReceiver<Contact>,
}

fn loopback() -> std::net::TcpListener {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

impl Place {
    fn granting(granted: &[&str], bounds: Bounds) -> Self {
        let (to, told) = unbounded_channel();
        let granted = granted.iter().map(|host| host.parse().unwrap()).collect();
        let (broker, listener) = (Broker::new(granted, to).within(bounds), loopback());
        let at = listener.local_addr().unwrap();
        Self { broker, listener, at, told }
    }

    /// Has `client` talk to it; what came of that, and what was told meanwhile.
    async fn with<T>(mut self, client: impl AsyncFnOnce(SocketAddr) -> T) -> (T, Vec<Contact>) {
        let came = tokio::select! {
            never = self.broker.serve([(self.listener, None)]) => match never {},
            came = client(self.at) => came,
        };
        (came, std::iter::from_fn(|| self.told.try_recv().ok()).collect())
    }
}

/// All that is answered to `bytes`.
async fn answer(at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    // It may be answered before all was said.
    let _ = stream.write_all(bytes).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The status of the answer to a request for `target`.
async fn status(at: SocketAddr, target: &str) -> String {
    let answer = answer(at, format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await;
    answer.get(9..12).unwrap_or_default().to_owned()
}

/// A server that answers with all that it is told, backwards, when it is told no more.
async fn backwards() -> (SocketAddr, impl Future<Output = ()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut told = Vec::new();
            stream.read_to_end(&mut told).await.unwrap();
            told.reverse();
            stream.write_all(&told).await.unwrap();
        }
    };
    (at, serving)
}

#[tokio::test]
async fn bytes_pass_both_ways_to_what_is_granted_also_when_one_end_says_no_more() {
    let (server, serving) = backwards().await;
    let place = Place::granting(&[&server.to_string()], Bounds::default());
    let client = async |at| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        // What is said before the answer came is not lost.
        let early = format!("CONNECT {server} HTTP/1.1\r\nHost: x\r\n\r\nabc");
        stream.write_all(early.as_bytes()).await.unwrap();
        stream.write_all(b"def").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let ((said, told), ()) = tokio::select! {
        done = place.with(client) => (done, ()),
        () = serving => unreachable!(),
    };
    assert_eq!(said, "HTTP/1.1 200 Connection established\r\n\r\nfedcba");
    assert_eq!(told, [Contact::Reached { to: server.to_string() }]);
}

#[tokio::test]
async fn a_plain_request_goes_to_the_host_of_its_address_whatever_its_headers_say() {
    let (server, serving) = backwards().await;
    let place = Place::granting(&[&server.to_string()], Bounds::default());
    let client = async |at| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let text = format!("POST http://{server}/x HTTP/1.1\r\nHost: evil.example\r\n\r\nbody");
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer.reverse();
        String::from_utf8(answer).unwrap()
    };
    let (said, _) = tokio::select! {
        done = place.with(client) => done,
        () = serving => unreachable!(),
    };
    let expected = format!("POST /x HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\nbody");
    assert_eq!(said, expected);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_told_and_not_dialled() {
    let (granted, other) = (loopback(), loopback());
    let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port();
    let (granted_port, other_port) = (port(&granted), port(&other));
    other.set_nonblocking(true).unwrap();
    let place = Place::granting(&[&format!("127.0.0.1:{granted_port}")], Bounds::default());
    let targets = [
        (format!("127.0.0.1:{other_port}"), "403"),
        (format!("localhost:{other_port}"), "403"),
        // The same address as the one that is granted, by a name that is not.
        (format!("localhost:{granted_port}"), "403"),
        ("evil.example:443".into(), "403"),
        (format!("0x7f.1:{granted_port}"), "400"),
        (format!("2130706433:{granted_port}"), "400"),
        (format!("127.1:{granted_port}"), "400"),
        (format!("0177.0.0.1:{granted_port}"), "400"),
        (format!("localhost.:{granted_port}"), "400"),
        (format!("127.0.0.1:{granted_port}@evil.example:443"), "400"),
        ("b\u{fc}cher.example:443".into(), "400"),
        ("a.example\0.evil.example:443".into(), "400"),
    ];
    let (all, expected): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
    let client = async |at| {
        let mut got = Vec::new();
        for target in &all {
            got.push(status(at, target).await);
        }
        got
    };
    let (got, told) = place.with(client).await;
    assert_eq!(got, expected, "{all:?}");
    assert!(other.accept().is_err(), "it was dialled");
    assert!(!told.iter().any(|contact| matches!(contact, Contact::Reached { .. })), "{told:?}");
    let why = "it is not granted".to_owned();
    assert!(told.contains(&Contact::Refused { to: "evil.example:443".into(), why }), "{told:?}");
}

#[tokio::test]
async fn a_granted_name_that_leads_to_this_machine_is_refused_unless_the_address_is_granted() {
    let server = loopback();
    let port = server.local_addr().unwrap().port();
    let (name, address) = (format!("localhost:{port}"), format!("127.0.0.1:{port}"));
    let by_name = Place::granting(&[&name], Bounds::default());
    let (got, told) = by_name.with(async |at| status(at, &name).await).await;
    assert_eq!(got, "403");
    let [Contact::Refused { why, .. }] = &*told else { panic!("{told:?}") };
    assert!(why.contains("not of the public Internet"), "{why}");
    let both = Place::granting(&[&name, &address], Bounds::default());
    let asked = format!("CONNECT {name} HTTP/1.1\r\n\r\n");
    let client = async |at: SocketAddr| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = vec![0; CONNECTED.len()];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    };
    assert_eq!(both.with(client).await.0, CONNECTED);
}

#[test]
fn of_the_addresses_of_a_host_only_those_are_dialled_that_may_be() {
    let of = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let granted = ["10.0.0.7:443".parse::<Destination>().unwrap()];
    let all = of(&["10.0.0.8:443", "1.1.1.1:443", "10.0.0.7:443", "10.0.0.7:80", "[::1]:443"]);
    assert_eq!(permitted(&granted, &all), Ok(of(&["1.1.1.1:443", "10.0.0.7:443"])));
    let private = of(&["169.254.169.254:80"]);
    assert_eq!(permitted(&[], &private), Err(Refused::NotPublic(private[0].ip())));
    assert!(matches!(permitted(&[], &[]), Err(Refused::NoHost(_))));
}

#[tokio::test]
async fn what_drips_or_is_too_long_or_says_nothing_ends_with_an_answer() {
    let short =
        Bounds { head_bytes: 200, head_within: Duration::from_millis(50), ..Bounds::default() };
    let told_by = async |bytes: &[u8]| {
        let place = Place::granting(&[], short);
        place.with(async |at| answer(at, bytes).await).await.0
    };
    assert!(told_by(b"").await.starts_with("HTTP/1.1 408 "));
    assert!(told_by(b"CONNECT a.example:443 HTTP/1.1\r\n").await.starts_with("HTTP/1.1 408 "));
    assert!(told_by(&[b'a'; 100_000]).await.starts_with("HTTP/1.1 431 "));
    let long = format!("CONNECT a.example:443 HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(200));
    assert!(told_by(long.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    // A byte now and then does not begin the time anew.
    let drips = async |at| {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let mut piece = [0; 13];
        let mut wait = tokio::time::interval(Duration::from_millis(5));
        loop {
            tokio::select! {
                read = stream.read_exact(&mut piece) => {
                    read.unwrap();
                    return piece;
                }
                _ = wait.tick() => {}
            }
            let _ = stream.write_all(b"x").await;
        }
    };
    assert_eq!(Place::granting(&[], short).with(drips).await.0, *b"HTTP/1.1 408 ");
}

#[tokio::test]
async fn a_connection_over_which_nothing_is_said_ends() {
    let server = loopback();
    let to = server.local_addr().unwrap().to_string();
    let bounds = Bounds { idle: Duration::from_millis(20), ..Bounds::default() };
    let place = Place::granting(&[&to], bounds);
    let asked = format!("CONNECT {to} HTTP/1.1\r\n\r\n");
    let (said, _) = place.with(async |at| answer(at, asked.as_bytes()).await).await;
    assert_eq!(said.as_bytes(), CONNECTED);
}

#[tokio::test]
async fn there_are_no_more_connections_than_may_be_and_the_next_is_let_in_when_one_ends() {
    let (server, serving) = backwards().await;
    let bounds = Bounds { connections: 2, ..Bounds::default() };
    let place = Place::granting(&[&server.to_string()], bounds);
    let asked = format!("CONNECT {server} HTTP/1.1\r\n\r\n");
    let client = async |at: SocketAddr| {
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(asked.as_bytes()).await.unwrap();
            let mut answer = vec![0; CONNECTED.len()];
            stream.read_exact(&mut answer).await.unwrap();
            open.push(stream);
        }
        let mut third = TcpStream::connect(at).await.unwrap();
        let mut busy = [0; 13];
        third.read_exact(&mut busy).await.unwrap();
        let mut first = open.remove(0);
        first.shutdown().await.unwrap();
        assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
        // It may take a moment until that is seen.
        loop {
            let mut next = TcpStream::connect(at).await.unwrap();
            let mut answer = [0; 13];
            let _ = next.write_all(asked.as_bytes()).await;
            if next.read_exact(&mut answer).await.is_ok() && answer == *b"HTTP/1.1 200 " {
                return busy;
            }
        }
    };
    let (busy, _) = tokio::select! {
        done = place.with(client) => done,
        () = serving => unreachable!(),
    };
    assert_eq!(busy, *b"HTTP/1.1 503 ");
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_so() {
    let gone = loopback();
    let to = gone.local_addr().unwrap().to_string();
    drop(gone);
    let place = Place::granting(&[&to], Bounds::default());
    let (got, told) = place.with(async |at| status(at, &to).await).await;
    assert_eq!(got, "502");
    assert!(matches!(&*told, [Contact::Refused { .. }]), "{told:?}");
}
