//! This file lists requests whose end somebody could take to be elsewhere.

/// Head lines, and a body, behind a good request line with host, token and type. Each is followed by
/// the other request.
const BEHIND_A_GOOD_START: &[&str] = &[
    // two lengths
    "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
    "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "content-length: 2\r\ncontent-length: 200\r\n\r\n{}",
    "content-length: 200\r\ncontent-length: 2\r\n\r\n{}",
    "content-length: 2, 200\r\n\r\n{}",
    "content-length: 2, 2\r\n\r\n{}",
    "content-length: 2\r\ncontent-length: 0\r\n\r\n{}",
    "content-length: 2\r\nx: y\r\ncontent-length: 3\r\n\r\n{}",
    // lengths that are none
    "content-length: +2\r\n\r\n{}",
    "content-length: -2\r\n\r\n{}",
    "content-length: 0x2\r\n\r\n{}",
    "content-length: 2.0\r\n\r\n{}",
    "content-length: 2e0\r\n\r\n{}",
    "content-length: 2 0\r\n\r\n{}",
    "content-length: 2;\r\n\r\n{}",
    "content-length: \"2\"\r\n\r\n{}",
    "content-length: \r\n\r\n{}",
    "content-length: ,2\r\n\r\n{}",
    "content-length: 18446744073709551618\r\n\r\n{}",
    "content-length: \u{664}\r\n\r\n{}",
    "content-length\u{b}: 2\r\n\r\n{}",
    // codings that are none
    "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "transfer-encoding:\u{b}chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\u{b}\r\n\r\n0\r\n\r\n",
    "transfer-encoding: \r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: CHUNKED\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    // names that are not quite names
    "transfer-encoding : chunked\r\ncontent-length: 2\r\n\r\n{}",
    "transfer-encoding\t: chunked\r\ncontent-length: 2\r\n\r\n{}",
    " transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "transfer encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "content-length : 2\r\n\r\n{}",
    "x: y\0z\r\ncontent-length: 2\r\n\r\n{}",
    "x\0: y\r\ncontent-length: 2\r\n\r\n{}",
    "no colon\r\ncontent-length: 2\r\n\r\n{}",
    ": no name\r\ncontent-length: 2\r\n\r\n{}",
    // lines that go on, or end in other ways
    "x: y\r\n transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "x: y\r\n\tz\r\ncontent-length: 2\r\n\r\n{}",
    "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "content-length:\r\n 2\r\n\r\n{}",
    "x: y\rtransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    "x: y\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "content-length: 2\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding: chunked\ncontent-length: 2\n\n0\r\n\r\n",
    // chunks that are none
    "transfer-encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n2 2\r\n{}\r\n0\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n\r\n",
];

/// Whole beginnings of connections. Each is followed by the other request.
const BEGINNINGS: &[&str] = &[
    "GET /livez\r\n\r\n",
    "GET /livez HTTP/0.9\r\nhost: localhost\r\n\r\n",
    "GET /livez HTTP/2.0\r\nhost: localhost\r\n\r\n",
    "GET /livez HTTP/1.10\r\nhost: localhost\r\n\r\n",
    "GET /livez http/1.1\r\nhost: localhost\r\n\r\n",
    "GET  /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /livez  HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /livez HTTP/1.1 \r\nhost: localhost\r\n\r\n",
    "GET\t/livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /li vez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /livez\0 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "G@T\u{7f} /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    " GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "POST /api/tasks HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "\u{16}\u{3}\u{1}\r\n\r\n",
];

/// What a good request that queues a task begins with.
pub(crate) fn start_of_good(token: &str) -> String {
    format!(
        "POST /api/tasks HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\n"
    )
}

/// What somebody wants to have done by a request that nobody in front of the hub has seen: it stops all spending.
pub(crate) fn smuggled(token: &str) -> String {
    format!(
        "PUT /api/admin/estop HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    )
}

/// The beginnings of connections.
pub(crate) fn corpus(token: &str) -> impl Iterator<Item = String> {
    let start = start_of_good(token);
    let behind = BEHIND_A_GOOD_START.iter().map(move |rest| format!("{start}{rest}"));
    behind.chain(BEGINNINGS.iter().map(|&bytes| bytes.to_owned()))
}
