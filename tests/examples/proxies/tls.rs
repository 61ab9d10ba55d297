//! This file speaks with a proxy over TLS, byte for byte.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::proxy::{CERTIFICATE, KEY};

/// How long nothing may come that has to.
const WITHIN: Duration = Duration::from_secs(20);
/// How long nothing comes from a proxy that waits for more of a request.
const AWHILE: Duration = Duration::from_secs(1);

/// A certificate for `localhost`, and its key.
pub(crate) struct Identity {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Identity {
    pub(crate) fn of_localhost() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Self { certificate, key, der: made.cert.der().clone() }
    }

    /// Writes it to where a proxy reads it, and returns a client that trusts it.
    pub(crate) fn written_to(self, dir: &Path) -> Client {
        for (file, text) in [(CERTIFICATE, &self.certificate), (KEY, &self.key)] {
            fs::write(dir.join(file), text).expect("the directory can be written");
        }
        let mut roots = RootCertStore::empty();
        roots.add(self.der).expect("a certificate that was just made is well formed");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what the versions need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client(Arc::new(config))
    }
}

/// Connects to proxies that show this certificate.
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    pub(crate) fn connect(&self, port: u16) -> Talk {
        self.connect_for(port, WITHIN)
    }

    fn connect_for(&self, port: u16, within: Duration) -> Talk {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the proxy listens");
        socket.set_read_timeout(Some(within)).expect("a socket has a timeout");
        let name = ServerName::try_from("localhost").expect("it is a name");
        let connection = ClientConnection::new(self.0.clone(), name);
        Talk(StreamOwned::new(connection.expect("the configuration is whole"), socket))
    }

    /// All that is answered to these bytes, until the proxy hangs up or waits for more.
    ///
    /// Who asks does not hang up first: then Caddy asks nobody, and answers 200 and nothing.
    pub(crate) fn ask(&self, port: u16, bytes: &str) -> String {
        let mut talk = self.connect_for(port, AWHILE);
        // The proxy may hang up before it has read all of it, and without a farewell.
        let _ = talk.0.write_all(bytes.as_bytes());
        let _ = talk.0.flush();
        let mut answer = Vec::new();
        let _ = talk.0.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A connection to a proxy.
pub(crate) struct Talk(StreamOwned<ClientConnection, TcpStream>);

impl Talk {
    pub(crate) fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("the proxy reads");
    }

    /// Reads until `word` has come.
    pub(crate) fn hear(&mut self, word: &str) {
        let (mut heard, mut some) = (String::new(), [0; 4096]);
        let until = Instant::now() + WITHIN;
        while !heard.contains(word) {
            match self.0.read(&mut some) {
                // A feed says now and then that it is there.
                Ok(read) if read > 0 && Instant::now() < until => {
                    heard.push_str(&String::from_utf8_lossy(&some[..read]))
                }
                other => panic!("{other:?} before `{word}`: {heard}"),
            }
        }
    }
}
