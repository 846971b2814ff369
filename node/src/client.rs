//! Who asks, and how much of what all share one of them may have.
//!
//! Before its signature is verified, nothing is known of a client but the connection that it speaks on and the address that it comes
//! from. Connections cost little to open and addresses much, so what is shared is divided among the addresses first, and what an
//! address has among its connections. A proxy, and the loopback, are one address: there only the shares of connections divide.

use std::net::{IpAddr, Ipv6Addr};

use quorate_crypto::fast::FastMap;

/// Where clients come from: an IPv4 address, or the first 64 bits of an IPv6 address, the rest of which a client chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Address {
        Address(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

/// One connection of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where it comes from.
    pub address: Address,
    /// Its number; none comes twice.
    pub connection: u64,
}

/// Why a client gets no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// It has its share, or its address has.
    Share,
    /// All have taken everything together.
    Full,
}

/// Room that all clients share. An address may have as much as it leaves free, so half where it is alone, a third where another does
/// as it does; and of what an address may have, each of its connections may have as much as it leaves free. So whoever comes new
/// finds something, unless very many are greedy, and one that is alone has a quarter.
#[derive(Debug)]
pub struct Shares {
    room: usize,
    taken: usize,
    addresses: FastMap<Address, usize>,
    connections: FastMap<u64, usize>,
}

impl Shares {
    /// Shares of `room`, in whatever unit.
    pub fn new(room: usize) -> Shares {
        Shares { room, taken: 0, addresses: FastMap::default(), connections: FastMap::default() }
    }

    /// What all have taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether `client` may take so much more.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, client: Client, amount: usize) -> Result<(), NoRoom> {
        let of_address = self.addresses.get(&client.address).copied().unwrap_or(0);
        let of_connection = self.connections.get(&client.connection).copied().unwrap_or(0);
        let address_max = part(self.room, self.taken - of_address);
        let connection_max = part(address_max, of_address - of_connection);
        if of_address + amount <= address_max && of_connection + amount <= connection_max {
            return Ok(());
        }
        Err(if self.taken + amount > self.room { NoRoom::Full } else { NoRoom::Share })
    }

    /// Takes so much, if `client` may.
    ///
    /// # Errors
    /// Why not; nothing is taken then.
    pub fn take(&mut self, client: Client, amount: usize) -> Result<(), NoRoom> {
        self.check(client, amount)?;
        if amount > 0 {
            self.taken += amount;
            *self.addresses.entry(client.address).or_default() += amount;
            *self.connections.entry(client.connection).or_default() += amount;
        }
        Ok(())
    }

    /// Gives back what `client` has taken.
    pub fn give_back(&mut self, client: Client, amount: usize) {
        self.taken -= amount;
        subtract(&mut self.addresses, &client.address, amount);
        subtract(&mut self.connections, &client.connection, amount);
    }
}

/// How much one may have where others have `others`: as much as remains free then. The odd one is its own.
fn part(room: usize, others: usize) -> usize {
    room.saturating_sub(others).div_ceil(2)
}

fn subtract<K: std::hash::Hash + Eq>(taken: &mut FastMap<K, usize>, who: &K, amount: usize) {
    let Some(has) = taken.get_mut(who) else { return };
    *has -= amount;
    if *has == 0 {
        taken.remove(who);
    }
}

/// Clients for tests.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Connection `connection` of address 192.0.2.`address`.
    pub(crate) fn client(address: u8, connection: u64) -> Client {
        Client { address: Address::from(IpAddr::from([192, 0, 2, address])), connection }
    }

    /// Takes one by one until there is no more; returns how many, and why not more.
    fn take_all(shares: &mut Shares, client: Client) -> (usize, NoRoom) {
        (0..).find_map(|count| shares.take(client, 1).err().map(|why| (count, why))).unwrap()
    }

    #[test]
    fn one_that_is_greedy_leaves_others_what_it_takes_itself() {
        let mut shares = Shares::new(1_000);
        assert_eq!(take_all(&mut shares, client(1, 1)), (250, NoRoom::Share), "of the address's half");
        assert_eq!(take_all(&mut shares, client(1, 2)), (125, NoRoom::Share), "of the rest of that half");
        assert_eq!(take_all(&mut shares, client(2, 3)), (157, NoRoom::Share), "another address has its own part");
        assert_eq!(shares.taken(), 532);
    }

    #[test]
    fn many_connections_of_one_address_have_half_together_and_many_addresses_leave_some_for_the_next() {
        let mut shares = Shares::new(1_000);
        let of_one: usize = (0..500).map(|connection| take_all(&mut shares, client(1, connection)).0).sum();
        assert!((498..=500).contains(&of_one), "{of_one}");
        assert_eq!(shares.check(client(2, 1_000), 125), Ok(()));
        let mut shares = Shares::new(10_000);
        for address in 0..10 {
            take_all(&mut shares, client(address, u64::from(address)));
        }
        assert!(shares.taken() < 9_500);
        assert_eq!(shares.check(client(200, 200), 100), Ok(()));
    }

    #[test]
    fn what_cannot_fit_is_full_and_what_is_given_back_can_be_taken_again() {
        let mut shares = Shares::new(2);
        assert_eq!(shares.take(client(1, 1), 3), Err(NoRoom::Full));
        assert_eq!(shares.take(client(1, 1), 1), Ok(()));
        assert_eq!(shares.take(client(1, 1), 1), Err(NoRoom::Share));
        assert_eq!(shares.take(client(2, 2), 1), Ok(()), "the odd one is the newcomer's");
        assert_eq!(shares.take(client(3, 3), 1), Err(NoRoom::Full));
        shares.give_back(client(1, 1), 1);
        assert_eq!(shares.take(client(3, 3), 1), Ok(()));
        for (address, connection) in [(2, 2), (3, 3)] {
            shares.give_back(client(address, connection), 1);
        }
        assert!(shares.taken() == 0 && shares.addresses.is_empty() && shares.connections.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_ipv4_is_the_same_in_both_forms() {
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1:2:3"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
