//! The form of the home page.

use super::route::{AddressError, parse_ids};
use videocall_types::{MeetingId, UserName};

/// Letters and digits of suggested meeting ids: none that is taken for another when read aloud or copied by hand.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HomeForm {
    /// As typed.
    pub name: String,
    /// As typed.
    pub meeting: String,
    /// What was wrong when Join was pressed, until that field changes.
    pub error: Option<AddressError>,
}

impl HomeForm {
    /// Another name was typed.
    pub fn set_name(&mut self, name: String) {
        self.name = name;
        self.error = self.error.filter(|error| !matches!(error, AddressError::Name(_)));
    }

    /// Another meeting was typed or suggested.
    pub fn set_meeting(&mut self, meeting: String) {
        self.meeting = meeting;
        self.error = self
            .error
            .filter(|error| !matches!(error, AddressError::Meeting(_)));
    }

    /// Join was pressed.
    pub fn submit(&mut self) -> Option<(UserName, MeetingId)> {
        let ids = parse_ids(&self.name, &self.meeting);
        self.error = ids.as_ref().err().copied();
        ids.ok()
    }
}

/// A meeting id of three groups that can be said on the phone, from ten random bytes (50 bits of them count).
pub fn suggested_meeting(random: [u8; 10]) -> String {
    let letters: Vec<char> = random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect();
    [&letters[..3], &letters[3..7], &letters[7..]]
        .map(|group| group.iter().collect::<String>())
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_until_it_changes() {
        let mut form = HomeForm {
            name: "ann".into(),
            meeting: "a b".into(),
            error: None,
        };
        assert_eq!(form.submit(), None);
        assert!(matches!(form.error, Some(AddressError::Meeting(_))));
        form.set_name("ann.lee".into());
        assert!(form.error.is_some());
        form.set_meeting(" demo ".into());
        assert_eq!(form.error, None);
        let (user, meeting) = form.submit().expect("both allowed");
        assert_eq!((user.as_str(), meeting.as_str()), ("ann.lee", "demo"));
    }

    #[test]
    fn suggestions_are_meeting_ids() {
        let id = suggested_meeting([0, 1, 2, 3, 4, 5, 31, 32, 255, 100]);
        assert_eq!(id.len(), 12);
        assert!(id.parse::<MeetingId>().is_ok(), "{id}");
        assert_ne!(id, suggested_meeting([9; 10]));
    }
}
