//! Places for connections.
//!
//! When all are taken, whoever comes new gets the place of a connection that has no request in work: of the address that has the most
//! connections, the one that has had none for the longest. A request is in work once it is there as a whole. So neither silence nor
//! trickling keeps anybody out, from wherever it comes, and who asks at once when it is let in is the last to go. Requests in work
//! and streams of events are fewer than places, so there is always one to give way.
//!
//! Answers that clients do not read have some room together, too: where it is full, the oldest of them goes with its connection.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_crypto::fast::FastMap;
use tokio::sync::Notify;

use crate::client::{Address, Client};

/// Bytes of all answers that are handed over and not yet sent. A single longer one is sent all the same.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    state: Mutex<State>,
    /// Something has changed for whoever waits for a place, or for the end.
    changed: Notify,
    places_max: usize,
}

#[derive(Debug, Default)]
struct State {
    addresses: FastMap<Address, OfAddress>,
    taken: usize,
    /// Of these, how many were told to go and have not yet gone.
    leaving: usize,
    /// Bytes of answers that are not yet sent.
    unsent_bytes: usize,
    /// Those who are still to get an answer's bytes, by the moment since which.
    unsent: BTreeMap<u64, Client>,
    /// Numbers connections and moments.
    numbers: u64,
}

#[derive(Debug, Default)]
struct OfAddress {
    connections: FastMap<u64, Standing>,
    /// Those without a request in work, by the moment since which.
    idle: BTreeMap<u64, u64>,
}

/// How one connection stands.
#[derive(Debug)]
struct Standing {
    busy: usize,
    idle_since: Option<u64>,
    /// Since when it has an answer that is not yet sent, and of how many bytes.
    unsent: Option<(u64, usize)>,
    leaving: bool,
    displaced: Arc<Notify>,
}

/// A connection's place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    client: Client,
    displaced: Arc<Notify>,
    has_unsent: AtomicBool,
}

/// Something in work on a connection; dropping it ends that.
#[derive(Debug)]
pub(super) struct Busy(Arc<Place>);

impl Places {
    /// So many.
    pub(super) fn new(places_max: usize) -> Arc<Places> {
        Arc::new(Places { state: Mutex::default(), changed: Notify::new(), places_max })
    }

    /// A place for a connection from `address`, as soon as there is one. One at a time may wait.
    pub(super) async fn take(self: &Arc<Places>, address: Address) -> Arc<Place> {
        loop {
            if let Some(place) = self.try_take(address) {
                return place;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until all have gone.
    pub(super) async fn empty(&self) {
        while self.lock().taken > 0 {
            self.changed.notified().await;
        }
    }

    /// A place, if there is one; otherwise somebody is told to go, if somebody can.
    fn try_take(self: &Arc<Places>, address: Address) -> Option<Arc<Place>> {
        let mut state = self.lock();
        if state.taken >= self.places_max {
            if state.leaving == 0 {
                state.displace();
            }
            return None;
        }
        let client = Client { address, connection: state.number() };
        let displaced = Arc::new(Notify::new());
        let standing =
            Standing { busy: 0, idle_since: None, unsent: None, leaving: false, displaced: Arc::clone(&displaced) };
        state.addresses.entry(address).or_default().connections.insert(client.connection, standing);
        state.taken += 1;
        state.idle(client);
        drop(state);
        Some(Arc::new(Place { places: Arc::clone(self), client, displaced, has_unsent: AtomicBool::new(false) }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn displace(&mut self) {
        let with_idle = self.addresses.values_mut().filter(|of_address| !of_address.idle.is_empty());
        let Some(of_address) = with_idle.max_by_key(|of_address| of_address.connections.len()) else { return };
        let Some((_, connection)) = of_address.idle.pop_first() else { return };
        if let Some(standing) = of_address.connections.get_mut(&connection) {
            standing.idle_since = None;
            self.leaving += standing.leave();
        }
    }

    fn standing(&mut self, client: Client) -> Option<&mut Standing> {
        self.addresses.get_mut(&client.address)?.connections.get_mut(&client.connection)
    }

    /// The connection has an answer of so many bytes to send. Where all together have too many, the oldest go, but not this one.
    fn owe(&mut self, client: Client, bytes: usize) {
        self.sent(client);
        let now = self.number();
        let Some(standing) = self.standing(client) else { return };
        standing.unsent = Some((now, bytes));
        self.unsent.insert(now, client);
        self.unsent_bytes += bytes;
        while self.unsent_bytes > UNSENT_BYTES_MAX
            && self.unsent.len() > 1
            && let Some((_, oldest)) = self.unsent.first_key_value()
        {
            let oldest = *oldest;
            self.sent(oldest);
            let Some(of_address) = self.addresses.get_mut(&oldest.address) else { return };
            let Some(standing) = of_address.connections.get_mut(&oldest.connection) else { return };
            if let Some(since) = standing.idle_since.take() {
                of_address.idle.remove(&since);
            }
            self.leaving += standing.leave();
        }
    }

    /// The connection has nothing left to send.
    fn sent(&mut self, client: Client) {
        let unsent = self.standing(client).and_then(|standing| standing.unsent.take());
        if let Some((since, bytes)) = unsent {
            self.unsent.remove(&since);
            self.unsent_bytes -= bytes;
        }
    }

    /// The connection has nothing in work from now on.
    fn idle(&mut self, client: Client) {
        let now = self.number();
        let Some(of_address) = self.addresses.get_mut(&client.address) else { return };
        let Some(standing) = of_address.connections.get_mut(&client.connection) else { return };
        if standing.busy == 0 && !standing.leaving {
            standing.idle_since = Some(now);
            of_address.idle.insert(now, client.connection);
        }
    }

    fn begin(&mut self, client: Client) {
        let Some(of_address) = self.addresses.get_mut(&client.address) else { return };
        let Some(standing) = of_address.connections.get_mut(&client.connection) else { return };
        standing.busy += 1;
        if let Some(since) = standing.idle_since.take() {
            of_address.idle.remove(&since);
        }
    }

    fn end(&mut self, client: Client) {
        let of_address = self.addresses.get_mut(&client.address);
        if let Some(standing) = of_address.and_then(|of_address| of_address.connections.get_mut(&client.connection)) {
            standing.busy -= 1;
        }
        self.idle(client);
    }

    fn leave(&mut self, client: Client) {
        self.sent(client);
        let Some(of_address) = self.addresses.get_mut(&client.address) else { return };
        let Some(standing) = of_address.connections.remove(&client.connection) else { return };
        if let Some(since) = standing.idle_since {
            of_address.idle.remove(&since);
        }
        if of_address.connections.is_empty() {
            self.addresses.remove(&client.address);
        }
        self.leaving -= usize::from(standing.leaving);
        self.taken -= 1;
    }
}

impl Standing {
    /// Tells the connection to go; returns how many leave by that.
    fn leave(&mut self) -> usize {
        let is_first = !std::mem::replace(&mut self.leaving, true);
        self.displaced.notify_one();
        usize::from(is_first)
    }
}

impl Place {
    /// Whose it is.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// Something is in work on this connection from now on: it keeps its place.
    pub(super) fn begin(self: &Arc<Place>) -> Busy {
        self.places.lock().begin(self.client);
        Busy(Arc::clone(self))
    }

    /// There is an answer of so many bytes, which is not yet sent.
    pub(super) fn owe(&self, bytes: usize) {
        self.has_unsent.store(true, Ordering::Relaxed);
        self.places.lock().owe(self.client, bytes);
    }

    /// Whatever there was to be sent is sent.
    pub(super) fn sent(&self) {
        if self.has_unsent.swap(false, Ordering::Relaxed) {
            self.places.lock().sent(self.client);
        }
    }

    /// Waits until somebody else gets the place.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let places = &self.0.places;
        let mut state = places.lock();
        state.end(self.0.client);
        let is_full = state.taken >= places.places_max;
        drop(state);
        if is_full {
            places.changed.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().leave(self.client);
        self.places.changed.notify_one();
    }
}

/// Places for tests.
#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use futures::FutureExt;

    use super::*;

    /// A place at 192.0.2.`address`.
    pub(in crate::http) fn place(places: &Arc<Places>, address: u8) -> Arc<Place> {
        take(places, address).expect("a free place")
    }

    fn take(places: &Arc<Places>, address: u8) -> Option<Arc<Place>> {
        places.take(Address::from(IpAddr::from([192, 0, 2, address]))).now_or_never()
    }

    fn is_displaced(place: &Place) -> bool {
        place.displaced().now_or_never().is_some()
    }

    #[test]
    fn a_newcomer_gets_the_place_of_the_one_that_has_been_idle_for_the_longest() {
        let places = Places::new(3);
        let [first, second, third] = [1, 1, 1].map(|address| place(&places, address));
        // The first asks and is answered, the second is still at work.
        drop(first.begin());
        let busy = second.begin();
        assert!(take(&places, 1).is_none(), "the place is free only when the other has gone");
        assert!(!is_displaced(&first) && !is_displaced(&second) && is_displaced(&third));
        assert!(take(&places, 1).is_none() && !is_displaced(&first), "one has to go, not two");
        drop(third);
        let third = place(&places, 1);
        assert!(take(&places, 1).is_none() && is_displaced(&first) && !is_displaced(&third));
        drop(busy);
        assert!(!is_displaced(&second), "one is going already");
    }

    #[test]
    fn the_address_with_the_most_connections_gives_way() {
        let places = Places::new(5);
        let quiet = place(&places, 1);
        let many: Vec<_> = (0..4).map(|_| place(&places, 2)).collect();
        assert!(take(&places, 3).is_none());
        assert!(!is_displaced(&quiet) && is_displaced(&many[0]));
        drop(many);
        assert!(take(&places, 3).is_some());
    }

    #[test]
    fn where_all_are_at_work_a_newcomer_waits_until_one_is_not() {
        let places = Places::new(2);
        let [first, second] = [1, 2].map(|address| place(&places, address));
        let busy = [first.begin(), second.begin()];
        let mut waiting = Box::pin(places.take(Address::from(IpAddr::from([192, 0, 2, 3]))));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(!is_displaced(&first) && !is_displaced(&second));
        let [_, of_second] = busy;
        drop(of_second);
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(is_displaced(&second));
        drop(second);
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn the_oldest_answer_that_nobody_reads_goes_when_there_are_too_many() {
        let places = Places::new(10);
        let [first, second, third] = [1, 1, 1].map(|address| place(&places, address));
        first.owe(2 * UNSENT_BYTES_MAX);
        assert!(!is_displaced(&first), "it is alone");
        second.owe(1);
        assert!(is_displaced(&first) && !is_displaced(&second));
        second.sent();
        second.owe(UNSENT_BYTES_MAX / 2);
        third.owe(UNSENT_BYTES_MAX / 2);
        assert!(!is_displaced(&second) && !is_displaced(&third), "there is room for both");
        second.sent();
        first.owe(UNSENT_BYTES_MAX / 2 + 1);
        assert!(!is_displaced(&second) && is_displaced(&third), "whoever reads stays");
        drop((first, second, third));
        let state = places.lock();
        assert_eq!((state.unsent_bytes, state.unsent.len(), state.leaving), (0, 0, 0));
    }

    #[test]
    fn nothing_is_left_of_those_who_have_gone() {
        let places = Places::new(2);
        let all = [place(&places, 1), place(&places, 2)];
        assert!(take(&places, 3).is_none() && places.empty().now_or_never().is_none());
        drop(all);
        assert!(places.empty().now_or_never().is_some());
        let state = places.lock();
        assert!(state.addresses.is_empty() && (state.taken, state.leaving) == (0, 0));
    }
}
