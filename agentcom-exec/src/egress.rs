//! This file introduces the broker: the one way out of a sandbox to which hosts are granted by name.
//!
//! ```text
//! program in a network namespace of its own ──CONNECT host:port──▶ broker ──▶ the host, if it is granted
//!                                                                    └──▶ a Contact: reached, or refused
//! ```
//!
//! The sockets at which programs find the broker are made inside of the namespace and handed out of
//! it, so that nothing of ours stays inside, and nothing but the broker can be reached from there. It
//! lives in the guard, and ends with the program.
//!
//! A host is named once, in the request line. Its name is resolved here and dialled at the address
//! that was looked at, so that nobody can swap it between the two. An address that is not of the
//! public Internet is dialled only where that very address is granted, whatever name leads to it.
//!
//! | what is asked | answer |
//! |---|---|
//! | `CONNECT` to what is granted | 200, and bytes both ways |
//! | `http://` of what is granted | the request, with its `Host` and `Connection` written anew; one for each connection |
//! | what is not granted, or leads to an address that is not | 403 |
//! | what cannot be resolved or reached | 502, in time 504 |
//! | no request that can be read | 400, 405, 408, 431 |
//! | more connections than there may be | 503 |
//!
//! What is said within a connection is not looked at: whoever has an account at a host that is granted
//! can be handed what a program reads.

mod address;
mod broker;
mod contact;
mod destination;
mod pump;
mod request;

pub(crate) use broker::Broker;
pub use contact::Contact;
pub use destination::{BadDestination, Destination};
