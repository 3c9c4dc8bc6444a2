//! Addresses: from the page's URL to what is shown, and back.

use videocall_types::api::TransportKind;
use videocall_types::{IdError, MeetingId, UserName};

/// What an address shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`
    Home,
    /// `/meeting/<username>/<meeting-id>`
    Meeting(MeetingAddress),
    /// The address of a meeting with a name or an id that is not allowed.
    BadMeeting(AddressError),
    /// Anything else.
    NotFound,
}

/// Who wants to be in which meeting, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingAddress {
    /// The person's name.
    pub user: UserName,
    /// The meeting.
    pub meeting: MeetingId,
    /// `?join=now`: without the page that asks for devices first.
    pub join_now: bool,
    /// `?transport=`: this carrier and no other.
    pub transport: Option<TransportKind>,
}

/// The part of an address that is not allowed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// The person's name.
    Name(IdError),
    /// The meeting.
    Meeting(IdError),
}

impl Route {
    /// Reads the path and the query (with or without its question mark) of a URL.
    pub fn parse(path: &str, query: &str) -> Self {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match segments.as_slice() {
            [] | ["index.html"] => Self::Home,
            ["meeting", user, meeting] => match parse_ids(&decode(user), &decode(meeting)) {
                Ok((user, meeting)) => Self::Meeting(MeetingAddress {
                    user,
                    meeting,
                    join_now: parameter(query, "join") == Some("now"),
                    transport: parameter(query, "transport").and_then(parse_transport),
                }),
                Err(error) => Self::BadMeeting(error),
            },
            _ => Self::NotFound,
        }
    }
}

impl MeetingAddress {
    /// The path of the meeting's page for this person.
    pub fn path(&self) -> String {
        meeting_path(&self.user, &self.meeting)
    }
}

/// The address that others use to come to the same meeting: the home page with the meeting filled in.
pub fn invitation_path(meeting: &MeetingId) -> String {
    format!("/?meeting={meeting}")
}

/// The meeting that an invitation names.
pub fn invited_to(query: &str) -> Option<MeetingId> {
    parameter(query, "meeting")?.parse().ok()
}

/// The path of a meeting's page for a person. Ids hold no character that a path would have to escape.
pub fn meeting_path(user: &UserName, meeting: &MeetingId) -> String {
    format!("/meeting/{user}/{meeting}")
}

/// Checks what somebody typed or what an address holds.
pub fn parse_ids(user: &str, meeting: &str) -> Result<(UserName, MeetingId), AddressError> {
    let user = user.trim().parse().map_err(AddressError::Name)?;
    let meeting = meeting.trim().parse().map_err(AddressError::Meeting)?;
    Ok((user, meeting))
}

fn parse_transport(text: &str) -> Option<TransportKind> {
    [TransportKind::WebTransport, TransportKind::WebSocket]
        .into_iter()
        .find(|kind| kind.as_str() == text)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .trim_start_matches('?')
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Undoes percent encoding (RFC 3986 §2.1); a broken escape stays as it is and fails as an id later.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(path: &str, query: &str) -> MeetingAddress {
        match Route::parse(path, query) {
            Route::Meeting(address) => address,
            other => panic!("{path}{query} is {other:?}"),
        }
    }

    #[test]
    fn a_meeting_address_names_person_and_meeting() {
        let address = meeting("/meeting/ann.lee/demo-1", "");
        assert_eq!(address.user.as_str(), "ann.lee");
        assert_eq!(address.meeting.as_str(), "demo-1");
        assert!(!address.join_now);
        assert_eq!(address.transport, None);
        assert_eq!(address.path(), "/meeting/ann.lee/demo-1");
    }

    #[test]
    fn the_query_chooses_carrier_and_immediate_join() {
        let address = meeting("/meeting/a/b/", "?x=1&join=now&transport=websocket");
        assert!(address.join_now);
        assert_eq!(address.transport, Some(TransportKind::WebSocket));
        let address = meeting("/meeting/a/b", "?transport=webtransport&join=later");
        assert!(!address.join_now);
        assert_eq!(address.transport, Some(TransportKind::WebTransport));
        assert_eq!(meeting("/meeting/a/b", "?transport=pigeon").transport, None);
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let bad = |path| match Route::parse(path, "") {
            Route::BadMeeting(error) => error,
            other => panic!("{path} is {other:?}"),
        };
        assert!(matches!(bad("/meeting/ann%20lee/demo"), AddressError::Name(_)));
        assert!(matches!(bad("/meeting/ann/a.b"), AddressError::Meeting(_)));
        assert!(matches!(bad("/meeting/%zz/demo"), AddressError::Name(_)));
        let long = format!("/meeting/ann/{}", "x".repeat(65));
        assert!(matches!(bad(&long), AddressError::Meeting(IdError::TooLong(_))));
    }

    #[test]
    fn other_addresses() {
        assert_eq!(Route::parse("/", ""), Route::Home);
        assert_eq!(Route::parse("/meeting/ann", ""), Route::NotFound);
        assert_eq!(Route::parse("/elsewhere", ""), Route::NotFound);
    }

    #[test]
    fn an_invitation_survives_its_address() {
        let id: MeetingId = "demo".parse().expect("allowed");
        let path = invitation_path(&id);
        assert_eq!(invited_to(path.trim_start_matches('/')), Some(id));
        assert_eq!(invited_to("?meeting=a.b"), None);
        assert_eq!(invited_to(""), None);
    }
}
