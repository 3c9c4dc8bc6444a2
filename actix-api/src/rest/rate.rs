//! How often one address may ask for something that costs the server more than an answer.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::HttpRequest;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use relay_runtime::{Networks, subscriber};
use tokio::time::Instant;

use crate::client_address::ClientAddresses;

/// Addresses remembered: about 1 MB. When there are more that were active within the last minute, they
/// share [`CROWDS`] rates.
const MAX_REMEMBERED: usize = 10_000;

/// Looking through all of them takes about a millisecond; that happens no more often.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// Rates that addresses share which are too many to be remembered.
const CROWDS: u64 = 256;

/// So many a minute from each address; as many may come at once.
pub(crate) struct AddressRate {
    limiter: Option<DefaultKeyedRateLimiter<IpAddr>>,
    clients: Clients,
    crowds: RandomState,
    forgotten_at: Mutex<Option<Instant>>,
}

/// Who asks, and for whom there is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    pub(crate) addresses: ClientAddresses,
    pub(crate) unlimited: Networks,
}

/// Too often; it is worth another try after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    pub(crate) retry_after: Duration,
}

impl AddressRate {
    /// No limit when `per_minute` is 0.
    pub(crate) fn new(per_minute: u32, clients: Clients) -> Self {
        let quota = NonZeroU32::new(per_minute).map(Quota::per_minute);
        Self {
            limiter: quota.map(RateLimiter::keyed),
            clients,
            crowds: RandomState::new(),
            forgotten_at: Mutex::new(None),
        }
    }

    /// Counts one more request of this client.
    ///
    /// # Errors
    /// When it was too often.
    pub(crate) fn take(&self, request: &HttpRequest) -> Result<(), TooOften> {
        match self.clients.addresses.of(request) {
            Some(address) if !self.clients.unlimited.contain(address) => self.count(address),
            Some(_) | None => Ok(()),
        }
    }

    fn count(&self, address: IpAddr) -> Result<(), TooOften> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let key = match self.is_crowded(limiter) {
            true => self.crowd(subscriber(address)),
            false => subscriber(address),
        };
        limiter.check_key(&key).map_err(|not_until| TooOften {
            retry_after: not_until.wait_time_from(DefaultClock::default().now()),
        })
    }

    /// Whether no more addresses can be remembered, not even after those were forgotten that have been
    /// quiet.
    fn is_crowded(&self, limiter: &DefaultKeyedRateLimiter<IpAddr>) -> bool {
        if limiter.len() < MAX_REMEMBERED {
            return false;
        }
        let now = Instant::now();
        let mut forgotten_at = self.forgotten_at.lock();
        if forgotten_at.is_none_or(|at| now.saturating_duration_since(at) >= FORGET_INTERVAL) {
            *forgotten_at = Some(now);
            limiter.retain_recent();
        }
        limiter.len() >= MAX_REMEMBERED
    }

    /// A key of nobody: an address that is not routed (RFC 6666).
    fn crowd(&self, address: IpAddr) -> IpAddr {
        let number = self.crowds.hash_one(address) % CROWDS;
        Ipv6Addr::from_bits((0x0100_u128 << 112) | u128::from(number)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn each_address_has_its_own_rate() {
        let rate = AddressRate::new(3, Clients::default());
        for number in [1, 2] {
            assert!((0..3).all(|_| rate.count(address(number)).is_ok()));
            let refused = rate.count(address(number)).expect_err("the fourth of a minute");
            let seconds = refused.retry_after.as_secs();
            assert!((15..=20).contains(&seconds), "{seconds}");
        }
        let off = AddressRate::new(0, Clients::default());
        assert!((0..1000).all(|_| off.count(address(1)).is_ok()));
    }

    #[test]
    fn a_flood_of_addresses_is_held_in_bounded_memory_and_slowed_down() {
        let rate = AddressRate::new(2, Clients::default());
        let taken = (0..100_000).filter(|number| rate.count(address(*number)).is_ok());
        let most = MAX_REMEMBERED + 3 * CROWDS as usize;
        let taken = taken.count();
        assert!(taken <= most, "{taken}");
        let limiter = rate.limiter.as_ref().expect("there is a limit");
        assert!(
            limiter.len() <= MAX_REMEMBERED + CROWDS as usize,
            "{}",
            limiter.len()
        );
    }
}
