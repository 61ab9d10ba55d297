//! This file holds the transport over real sockets against the contract of the port.

agentcom_core::transport_conformance!(
    #[tokio::test]
    crate::served::served()
);
