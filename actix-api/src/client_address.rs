//! Where a request comes from, also behind a proxy.
//!
//! A header with an address can be sent by anybody. It is believed from proxies that the settings name,
//! and of the addresses in it the last one that is no such proxy: what stands before it was written by
//! the client.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use clap::ValueEnum;
use relay_runtime::Networks;

use crate::forwarded;

/// The header in which a proxy says for whom it asks. One and not the other: proxies pass on the one
/// that they do not know as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeader {
    /// Addresses separated by commas, the nearest last; most proxies have it.
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ProxyHeader {
    const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    const fn reader(self) -> fn(&str) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => forwarded::node,
            Self::Forwarded => forwarded::element,
        }
    }
}

/// Finds out where requests come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientAddresses {
    proxies: Networks,
    header: ProxyHeader,
}

impl ClientAddresses {
    pub(crate) fn new(proxies: Networks, header: ProxyHeader) -> Self {
        Self { proxies, header }
    }

    /// The client's address; `None` for a request that came over no network.
    pub(crate) fn of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        Some(self.behind(peer, request.headers()))
    }

    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.proxies.contain(peer) {
            return peer;
        }
        let lines: Vec<&str> = headers
            .get_all(self.header.name())
            .filter_map(|line| line.to_str().ok())
            .collect();
        let trusted = |address| self.proxies.contain(address);
        forwarded::last_untrusted(lines.into_iter(), self.header.reader(), trusted).unwrap_or(peer)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn of(header: ProxyHeader, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let addresses = ClientAddresses::new("10.0.0.0/8,fd00::/8".parse().expect("networks"), header);
        let mut request =
            TestRequest::default().peer_addr((peer.parse::<IpAddr>().expect("an address"), 1).into());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        addresses
            .of(&request.to_http_request())
            .expect("a peer")
            .to_string()
    }

    #[test]
    fn strangers_are_who_they_are_whatever_they_say() {
        let headers = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
            assert_eq!(of(header, "198.51.100.7", &headers), "198.51.100.7");
        }
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1,192.0.2.1, 10.0.0.7", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
            ("192.0.2.1, unknown, 10.0.0.7", "10.0.0.7"),
            ("nonsense", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            let headers = [("x-forwarded-for", value)];
            assert_eq!(
                of(ProxyHeader::XForwardedFor, "10.0.0.1", &headers),
                expected,
                "{value}"
            );
        }
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(of(ProxyHeader::XForwardedFor, "10.0.0.1", &lines), "192.0.2.1");
    }

    #[test]
    fn the_standard_header_is_read_when_it_is_chosen() {
        for (value, expected) in [
            ("for=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"),
            ("for=1.1.1.1, FOR=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("proto=https;For=\"192.0.2.1:80\"", "192.0.2.1"),
            ("for=_hidden", "10.0.0.1"),
        ] {
            let headers = [("forwarded", value), ("x-forwarded-for", "203.0.113.9")];
            assert_eq!(
                of(ProxyHeader::Forwarded, "10.0.0.1", &headers),
                expected,
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_anything(value in "[ -~]{0,200}") {
            for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
                let _any = of(header, "10.0.0.1", &[(header.name(), &value)]);
            }
        }

        #[test]
        fn what_a_client_writes_before_does_not_count(value in "[ -+.-~]{0,100}") {
            let value = format!("{value},192.0.2.1");
            let headers = [("x-forwarded-for", value.as_str())];
            prop_assert_eq!(of(ProxyHeader::XForwardedFor, "10.0.0.1", &headers), "192.0.2.1");
        }
    }
}
