//! This file reads a store into a hub.

use alloc::boxed::Box;

use crate::change::Genesis;
use crate::config::HubConfig;
use crate::hub::Hub;
use crate::hub::schedule::{FairPolicy, Policy};
use crate::id::Incarnation;
use crate::port::clock::Clock;
use crate::port::store::{Store, StoreError, StoreErrorKind};
use crate::state::{Loader, State, rows_of};

/// A hub over what `store` holds; if that is nothing, over the data set that `genesis` makes.
pub(super) async fn open(
    store: &dyn Store,
    clock: &dyn Clock,
    config: HubConfig,
    policy: Box<dyn Policy>,
    genesis: &Genesis,
) -> Result<Hub, StoreError> {
    let state = read(store, clock).await?;
    let founded = state.head().is_none();
    let mut hub = Hub::new(state, config, policy);
    if founded {
        let step = hub.found(clock.now(), genesis);
        store.commit(rows_of(hub.state(), &step.dirty, &step.events)).await?;
    }
    let step = hub.resume(clock.now());
    debug_assert!(step.dirty.is_empty(), "nobody is connected, so nothing can move");
    Ok(hub)
}

/// Begins another life of what `store` holds.
pub(super) async fn renew(
    store: &dyn Store,
    clock: &dyn Clock,
    incarnation: Incarnation,
) -> Result<(), StoreError> {
    let state = read(store, clock).await?;
    if state.head().is_none() {
        return Err(StoreError::new(StoreErrorKind::Corrupt, "there is no data set"));
    }
    let mut hub = Hub::new(state, HubConfig::default(), Box::new(FairPolicy));
    let resumed = hub.resume(clock.now());
    debug_assert!(resumed.dirty.is_empty(), "nobody is connected, so nothing can move");
    let step = hub.renew(clock.now(), incarnation);
    store.commit(rows_of(hub.state(), &step.dirty, &step.events)).await
}

/// The state that the rows of `store` add up to.
pub(super) async fn read(store: &dyn Store, clock: &dyn Clock) -> Result<State, StoreError> {
    let mut state = State::default();
    let mut loader = Loader::default();
    state.tick(clock.now());
    let seq = store
        .load(&mut |table, key, bytes| {
            if let Some(change) = loader.row(&state, table, key, bytes)? {
                state.apply(change);
            }
            Ok(())
        })
        .await?;
    loader.finish()?;
    match (seq, state.head()) {
        (Some(seq), Some(head)) if head.seq != seq => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            format_args!("the head speaks of event {}, the store of {seq}", head.seq),
        )),
        (Some(_), None) => {
            Err(StoreError::new(StoreErrorKind::Corrupt, "the store has batches but no head"))
        }
        _ => Ok(state),
    }
}
