//! This file starts proxies as the files in `contrib` set them up, on free ports.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use agentcom_tests::real::process::{Process, eventually};

/// The file of the certificate that proxies show, beside that of its key.
pub(crate) const CERTIFICATE: &str = "cert.pem";
/// The file of its key.
pub(crate) const KEY: &str = "key.pem";

/// Starts a proxy for a hub, with all that it writes in a directory.
pub(crate) type Start = fn(dir: &Path, hub: &str) -> Proxy;

/// The proxies, by name.
pub(crate) const PROXIES: [(&str, Start); 2] = [("nginx", nginx), ("caddy", caddy)];

/// A proxy at work.
#[derive(Debug)]
pub(crate) struct Proxy {
    _process: Process,
    pub(crate) port: u16,
}

impl Proxy {
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

fn nginx(dir: &Path, hub: &str) -> Proxy {
    let (port, at) = (free_port(), dir.display());
    let server = set(
        include_str!("../../../contrib/nginx/agentcom.conf"),
        &[
            ("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl")),
            ("server_name hub.example.com", "server_name localhost"),
            ("/etc/ssl/hub.example.com.pem", &format!("{at}/{CERTIFICATE}")),
            ("/etc/ssl/private/hub.example.com.key", &format!("{at}/{KEY}")),
            ("127.0.0.1:4000", hub),
        ],
    );
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log {at}/proxy.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{server}}}\n"
    );
    fs::write(dir.join("nginx.conf"), whole).expect("the directory can be written");
    let mut command = Command::new("nginx");
    command.arg("-e").arg(dir.join("proxy.log")).arg("-c").arg(dir.join("nginx.conf"));
    started(command, dir, port)
}

fn caddy(dir: &Path, hub: &str) -> Proxy {
    let (port, at) = (free_port(), dir.display());
    let name = format!(
        "https://localhost:{port} {{\n\ttls {at}/{CERTIFICATE} {at}/{KEY}\n\tbind 127.0.0.1"
    );
    let site = set(
        include_str!("../../../contrib/caddy/Caddyfile"),
        &[("hub.example.com {", &name), ("127.0.0.1:4000", hub)],
    );
    let whole = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}");
    fs::write(dir.join("Caddyfile"), whole).expect("the directory can be written");
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(dir.join("Caddyfile"));
    started(command, dir, port)
}

/// A text with other words in the place of some, all of which are in it.
fn set(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, other)| {
        assert!(text.contains(word), "the file does not say `{word}` any more");
        text.replace(word, other)
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

fn started(mut command: Command, dir: &Path, port: u16) -> Proxy {
    let log = fs::File::create(dir.join("said.log")).expect("the directory can be written");
    command.current_dir(dir).env("HOME", dir).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(log).spawn().expect("the proxy is installed");
    let mut process = Process(child);
    eventually("the proxy listens", || {
        let ended = process.0.try_wait().expect("a child is waited for");
        let said = || fs::read_to_string(dir.join("said.log")).unwrap_or_default();
        assert!(ended.is_none(), "the proxy has ended, and said: {}", said());
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Proxy { _process: process, port }
}
