//! This file holds the bounds of connections and of servers.

use core::time::Duration;

use agentcom_core::driver::queue::Capacity;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The bounds of one connection, on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame that is taken, in bytes; longer ones close the connection (1009).
    pub frame_bytes_max: usize,
    /// In how many fragments a frame may come to a hub; one in more closes the connection (1009).
    pub fragments_max: u32,
    /// What may wait to be written before `send` says
    /// [`Full`](agentcom_core::port::transport::SendError::Full).
    pub queue: Capacity,
    /// Frames that may wait to be received; then the socket is left alone, so that TCP slows the
    /// other side down.
    pub received_max: usize,
    /// The buffer that a connection reads into, in bytes.
    pub read_buffer: usize,
    /// How long a write may take before the other side is too slow.
    pub write_within: Duration,
    /// How long a connection may take to end once it is closed, with what is still queued.
    pub close_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 20,
            fragments_max: 1_000,
            queue: Capacity::default(),
            received_max: 64,
            read_buffer: 4 << 10,
            write_within: Duration::from_secs(10),
            close_within: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Frames are handed to the library in batches of about this many bytes.
    pub(crate) const BATCH: usize = 16 << 10;

    pub(crate) fn websocket(&self) -> WebSocketConfig {
        // A batch ends with the frame that reaches its size, and a frame has a header.
        let write_max = Self::BATCH * 2 + self.queue.bytes;
        WebSocketConfig::default()
            .read_buffer_size(self.read_buffer)
            .write_buffer_size(Self::BATCH)
            .max_write_buffer_size(write_max)
            .max_message_size(Some(self.frame_bytes_max))
            .max_frame_size(Some(self.frame_bytes_max))
    }

    /// What may wait to be received. Whenever a frame is read the longest one fits, so that none
    /// has to be dropped.
    pub(crate) fn received(&self) -> Capacity {
        Capacity { frames: self.received_max, bytes: self.frame_bytes_max.saturating_mul(2) }
    }
}

/// The bounds of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// The bounds of each connection.
    pub link: Limits,
    /// The most connections at once.
    pub connections_max: u32,
    /// The most connections at once from one address (IPv6: from one /64).
    pub per_address_max: u32,
    /// Refused handshakes per second and address that get an answer with a reason. Only refused
    /// ones count, and beyond this they get a bare 429: a client that does everything right is
    /// never punished for a neighbour on the same host.
    pub refusals_per_second: u32,
    /// Connections that may wait for the hub to take them.
    pub backlog: usize,
    /// How long a client may take to read the answer to its handshake.
    pub upgrade_within: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            link: Limits::default(),
            connections_max: 20_000,
            per_address_max: 10_000,
            refusals_per_second: 20,
            backlog: 1024,
            upgrade_within: Duration::from_secs(10),
        }
    }
}
