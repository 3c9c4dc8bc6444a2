//! Headers of proxies: whatever a client has put in front of what a trusted proxy wrote, it is the proxy
//! that is believed.

#![no_main]

// Its crate is a whole web server; this part of it stands alone.
#[path = "../../actix-api/src/forwarded.rs"]
mod forwarded;

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;

use forwarded::{element, last_untrusted, node};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let trusted = |address| address == PROXY;
    for address in [node, element] {
        let lines: Vec<&str> = text.lines().collect();
        let _whatever = last_untrusted(lines.into_iter(), address, trusted);
    }
    let seen = format!("{CLIENT}, {PROXY}");
    let lines = [text, seen.as_str()];
    assert_eq!(last_untrusted(lines.into_iter(), node, trusted), Some(CLIENT));
    let seen = format!("For=\"{CLIENT}:4711\";proto=https, for={PROXY}");
    let lines = [text, seen.as_str()];
    assert_eq!(last_untrusted(lines.into_iter(), element, trusted), Some(CLIENT));
});
