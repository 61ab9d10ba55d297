//! This file keeps a server that asks without end, and takes no answer, from filling the memory: it is
//! heard no further until it has taken what it was answered.

use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::Semaphore;

/// How many messages may be on their way to a server while it is heard.
const UNDERWAY_MAX: usize = 64;

/// Carries messages as another does, and takes in none while too many wait to be sent.
pub(super) struct Paced<T> {
    inner: T,
    room: Arc<Semaphore>,
}

impl<T> Paced<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, room: Arc::new(Semaphore::new(UNDERWAY_MAX)) }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Paced<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        // What we ask ourselves does not wait for a server to behave.
        let room = Arc::clone(&self.room).try_acquire_owned();
        let sending = self.inner.send(message);
        async move {
            let _room = room;
            sending.await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        drop(self.room.acquire().await.ok()?);
        self.inner.receive().await
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.inner.close().await
    }
}
