//! Addresses as proxies write them into headers, and which of them to believe.

use std::net::IpAddr;

/// The last address that is not trusted, or the first when all are; `lines` are the header's, in order.
/// What cannot be read ends the search: whatever stands before it was not written by a trusted proxy.
pub(crate) fn last_untrusted<'a>(
    lines: impl DoubleEndedIterator<Item = &'a str>,
    address: fn(&str) -> Option<IpAddr>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let mut nearest = None;
    for element in lines.rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(element) else {
            return nearest;
        };
        nearest = Some(address);
        if !trusted(address) {
            return nearest;
        }
    }
    nearest
}

/// The address in an element of `Forwarded` (RFC 7239 §4).
pub(crate) fn element(text: &str) -> Option<IpAddr> {
    text.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| node(value.trim().trim_matches('"'))).flatten()
    })
}

/// An address that is bare, has a port, or is in brackets (RFC 7239 §6).
pub(crate) fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = |text: &str| text.parse::<IpAddr>().ok();
    let address = match text.strip_prefix('[') {
        Some(rest) => bare(rest.split_once(']')?.0)?,
        None => bare(text).or_else(|| bare(text.split_once(':')?.0))?,
    };
    Some(address.to_canonical())
}
