//! Networks: which address counts as one client, and lists of networks in settings.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Stands for no network at all in settings.
const NONE: &str = "none";

/// One connection to the internet: an IPv4 address, or the /64 of an IPv6 address, within which a
/// device has as many addresses as it likes (RFC 7934).
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// A list of networks: `10.0.0.0/8,2001:db8::/32`, single addresses among them, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// This machine itself.
    pub fn loopback() -> Self {
        let networks = [
            IpNet::new(IpAddr::from([127, 0, 0, 0]), 8),
            IpNet::new(Ipv6Addr::LOCALHOST.into(), 128),
        ];
        Self(networks.into_iter().flatten().collect())
    }

    /// These and the others.
    #[must_use]
    pub fn with(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Whether the address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A text that is no list of networks.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no network; write them like 10.0.0.0/8,2001:db8::/32, or none")]
pub struct BadNetwork(String);

impl FromStr for Networks {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let text = text.trim();
        if text.is_empty() || text == NONE {
            return Ok(Self::default());
        }
        let network = |part: &str| {
            let part = part.trim();
            let single = || {
                part.parse::<IpAddr>()
                    .map(|address| IpNet::from(address.to_canonical()))
            };
            part.parse()
                .or_else(|_| single())
                .map_err(|_| BadNetwork(part.to_owned()))
        };
        text.split(',').map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(NONE);
        }
        let networks: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_subscriber_is_an_address_or_a_network_of_64_bits() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ] {
            assert_eq!(
                subscriber(address(one)) == subscriber(address(other)),
                same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn lists_are_read_and_written_alike() {
        for text in ["none", "10.0.0.0/8,2001:db8::/32", "192.0.2.1/32"] {
            let networks: Networks = text.parse().expect("a list");
            assert_eq!(networks.to_string(), text);
        }
        let networks: Networks = " 10.1.2.3 , fd00::/8 ".parse().expect("a list");
        assert!(networks.contain(address("10.1.2.3")));
        assert!(networks.contain(address("::ffff:10.1.2.3")));
        assert!(networks.contain(address("fd00::1")));
        assert!(!networks.contain(address("10.1.2.4")));
        assert_eq!(
            "".parse::<Networks>().expect("an empty list"),
            Networks::default()
        );
        assert!(Networks::loopback().contain(address("127.0.0.66")));
        assert!(Networks::loopback().contain(address("::1")));
        for bad in ["10.0.0.0/33", "example.org", "10.0.0.0/8,,"] {
            assert!(bad.parse::<Networks>().is_err(), "{bad}");
        }
    }
}
