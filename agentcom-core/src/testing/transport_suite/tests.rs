//! This file holds the transport within one process against the suite.

use alloc::boxed::Box;

use async_trait::async_trait;

use super::TransportFixture;
use crate::driver::local::{LocalConnector, LocalListener, local};
use crate::driver::queue::Capacity;
use crate::port::transport::Transport;
use crate::wire::Dialect;

struct Local(LocalListener, LocalConnector);

#[async_trait]
impl TransportFixture for Local {
    fn hub(&self) -> &dyn Transport {
        &self.0
    }

    fn agent(&self, dialect: Dialect) -> Box<dyn Transport> {
        Box::new(self.1.clone().speaking(dialect))
    }

    async fn stop_hub(&self) {
        self.0.shutdown();
    }

    fn in_flight_max(&self) -> usize {
        Capacity::default().bytes
    }
}

fn fixture() -> Local {
    let (listener, connector) = local(Capacity::default());
    Local(listener, connector)
}

crate::transport_conformance!(fixture());
