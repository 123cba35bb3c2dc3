//! Who may have a connection: a limit for all, one for each address, and a reserve that only gets answers about
//! the server's health, so that a probe is answered however many connections there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connections one address may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerAddress {
    /// No limit.
    Unlimited,
    /// So many each, whatever the address.
    OfEach(usize),
    /// So many each, for addresses of the public internet. A private or loopback address may be a proxy with
    /// everybody behind it.
    OfPublic(usize),
}

impl PerAddress {
    /// A limit for every address; 0 means none.
    pub fn of_each(limit: usize) -> Self {
        match limit {
            0 => Self::Unlimited,
            limit => Self::OfEach(limit),
        }
    }

    fn of(self, address: IpAddr) -> usize {
        match self {
            Self::OfEach(limit) => limit,
            Self::OfPublic(limit) if is_public(address) => limit,
            Self::OfPublic(_) | Self::Unlimited => usize::MAX,
        }
    }
}

/// The limits of the listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections of every kind but those in the reserve.
    pub(crate) connections: usize,
    /// Of them, from one address.
    pub(crate) per_address: PerAddress,
    /// Connections on top that only get answers about health.
    pub(crate) reserve: usize,
    /// Of them, from one address, so that nobody takes the whole reserve.
    pub(crate) reserve_per_address: usize,
}

/// Why a connection does not get what it came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many as there may be.
    Connections,
    /// Its address has as many as one may have.
    Address,
    /// The server is stopping.
    ShuttingDown,
    /// The reserve is used up as well; the connection is closed without a word.
    Reserve,
}

impl Refusal {
    /// The label in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Address => "address",
            Self::ShuttingDown => "shutting_down",
            Self::Reserve => "reserve",
        }
    }
}

/// What a new connection gets.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Everything.
    Served(Place),
    /// Answers about health; for all else it is told why not.
    HealthOnly(Place, Refusal),
    /// Nothing.
    Closed(Refusal),
}

/// The places of all connections; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    limits: Limits,
    // Held for a few map operations, never across an await.
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    served: Count,
    reserve: Count,
    closed: bool,
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    /// One entry for each address that has a connection, so no more than there are connections.
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; it is free again when this value is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    address: IpAddr,
    is_reserve: bool,
}

impl Places {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    /// Decides about a new connection from `address`.
    pub(crate) fn admit(&self, address: IpAddr) -> Admission {
        let address = network_of(address);
        let mut taken = self.taken();
        let refusal = if taken.closed {
            Refusal::ShuttingDown
        } else if taken.served.all >= self.limits.connections {
            Refusal::Connections
        } else if taken.served.of(address) >= self.limits.per_address.of(address) {
            Refusal::Address
        } else {
            taken.served.add(address);
            return Admission::Served(self.place(address, false));
        };
        if taken.reserve.all >= self.limits.reserve
            || taken.reserve.of(address) >= self.limits.reserve_per_address
        {
            return Admission::Closed(Refusal::Reserve);
        }
        taken.reserve.add(address);
        Admission::HealthOnly(self.place(address, true), refusal)
    }

    /// From here on new connections only get answers about health.
    pub(crate) fn close(&self) {
        self.taken().closed = true;
    }

    /// How many connections there are, the reserve included.
    pub(crate) fn len(&self) -> usize {
        let taken = self.taken();
        taken.served.all + taken.reserve.all
    }

    fn place(&self, address: IpAddr, is_reserve: bool) -> Place {
        Place {
            places: self.clone(),
            address,
            is_reserve,
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    fn add(&mut self, address: IpAddr) {
        self.all += 1;
        *self.by_address.entry(address).or_default() += 1;
    }

    fn remove(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        if let Entry::Occupied(mut entry) = self.by_address.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let count = if self.is_reserve {
            &mut taken.reserve
        } else {
            &mut taken.served
        };
        count.remove(self.address);
    }
}

/// What counts as one address: the address itself, or for IPv6 the /64 that one customer has.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Whether an address of [`network_of`] is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let is_shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64;
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared)
        }
        // The /64 of the loopback address is that of ::.
        IpAddr::V6(v6) => {
            !(v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_address: PerAddress) -> Places {
        Places::new(Limits {
            connections,
            per_address,
            reserve: 3,
            reserve_per_address: 2,
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn served(places: &Places, address: &str) -> Place {
        match places.admit(ip(address)) {
            Admission::Served(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn health_only(places: &Places, address: &str, why: Refusal) -> Place {
        match places.admit(ip(address)) {
            Admission::HealthOnly(place, refusal) if refusal == why => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn past_the_limit_only_health_is_served_until_a_place_is_free_again() {
        let places = places(2, PerAddress::Unlimited);
        let first = served(&places, "10.0.0.1");
        let _second = served(&places, "10.0.0.1");
        let third = health_only(&places, "10.0.0.1", Refusal::Connections);
        assert_eq!(places.len(), 3);
        drop(first);
        let _first = served(&places, "10.0.0.1");
        drop(third);
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn one_address_can_take_neither_all_places_nor_the_whole_reserve() {
        let places = places(10, PerAddress::OfEach(1));
        let _places = [
            served(&places, "192.0.2.1"),
            health_only(&places, "192.0.2.1", Refusal::Address),
            health_only(&places, "192.0.2.1", Refusal::Address),
            served(&places, "192.0.2.2"),
            health_only(&places, "192.0.2.2", Refusal::Address),
        ];
        for address in ["192.0.2.1", "192.0.2.2"] {
            assert!(matches!(
                places.admit(ip(address)),
                Admission::Closed(Refusal::Reserve)
            ));
        }
        drop(served(&places, "192.0.2.3"));
    }

    #[test]
    fn addresses_that_may_be_a_proxy_have_no_limit_by_default() {
        let places = places(100, PerAddress::OfPublic(1));
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "172.16.0.9",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            let _two = [served(&places, private), served(&places, private)];
        }
        for public in ["203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9"] {
            let _one = served(&places, public);
            drop(health_only(&places, public, Refusal::Address));
        }
    }

    #[test]
    fn the_addresses_of_one_ipv6_customer_count_as_one() {
        let places = places(100, PerAddress::OfEach(1));
        let _one = served(&places, "2001:db8:0:1::1");
        drop(health_only(
            &places,
            "2001:db8:0:1:ffff::2",
            Refusal::Address,
        ));
        drop(served(&places, "2001:db8:0:2::1"));
    }

    #[test]
    fn a_server_that_stops_serves_only_health() {
        let places = places(5, PerAddress::Unlimited);
        let _before = served(&places, "10.0.0.1");
        places.close();
        drop(health_only(&places, "10.0.0.1", Refusal::ShuttingDown));
    }

    #[test]
    fn nothing_is_remembered_of_addresses_that_have_gone() {
        let places = places(5, PerAddress::OfEach(5));
        drop([served(&places, "10.0.0.1"), served(&places, "10.0.0.2")]);
        assert!(places.taken().served.by_address.is_empty());
    }
}
