//! Everything a person can read, one catalogue per language.
//!
//! A language is one value of [`Text`] in a file of its own and one line in [`CATALOGUES`]; the compiler sees to it
//! that nothing is left untranslated.

mod en;

use videocall_types::api::TransportKind;

use crate::state::call::Phase;
use crate::state::chart::Chart;
use crate::state::history::Line;
use crate::state::lacking::Lacking;
use crate::state::notice::Notice;
use crate::state::quality::Reason;
use crate::state::route::AddressError;

/// The languages, by their primary subtag (RFC 5646 §2.2.1).
const CATALOGUES: [(&str, &Text); 1] = [("en", &en::TEXT)];

/// A catalogue.
pub struct Text {
    /// For the page's `lang`.
    pub language: &'static str,
    /// What the product is called.
    pub product: &'static str,
    /// The home page.
    pub home: HomeText,
    /// The page before joining.
    pub lobby: LobbyText,
    /// The call.
    pub call: CallText,
    /// The figures of a call.
    pub statistics: StatisticsText,
    /// What can be set.
    pub settings: SettingsText,
    /// Pages that say one thing.
    pub page: PageText,
    /// What stands in a notice.
    pub notice: fn(&Notice) -> String,
    /// Button in a notice that does what the notice asks for.
    pub notice_action: fn(&Notice) -> Option<&'static str>,
    /// Why a name or meeting id is not allowed.
    pub address_error: fn(AddressError) -> String,
}

/// The home page.
pub struct HomeText {
    /// Heading.
    pub title: &'static str,
    /// Below the heading.
    pub lead: &'static str,
    /// Label.
    pub name: &'static str,
    /// What may be typed.
    pub name_hint: &'static str,
    /// Label.
    pub meeting: &'static str,
    /// What may be typed.
    pub meeting_hint: &'static str,
    /// Button that fills in a new meeting id.
    pub suggest: &'static str,
    /// Button.
    pub join: &'static str,
    /// Below the form.
    pub footnote: &'static str,
}

/// The page before joining.
pub struct LobbyText {
    /// Heading, with the meeting's id.
    pub title: fn(&str) -> String,
    /// Below the heading, with the person's name.
    pub joining_as: fn(&str) -> String,
    /// Button.
    pub join: &'static str,
    /// While devices are asked for.
    pub asking: &'static str,
    /// In place of the preview.
    pub camera_off: &'static str,
    /// In place of the preview.
    pub no_picture: &'static str,
    /// For another name or meeting.
    pub change: &'static str,
    /// Label of the preview.
    pub preview: &'static str,
}

/// The call.
pub struct CallText {
    /// Label of a choice.
    pub camera: &'static str,
    /// Label of a choice.
    pub microphone: &'static str,
    /// Label of a button.
    pub screen: &'static str,
    /// Button, where there is little room.
    pub leave_short: &'static str,
    /// A device without a name.
    pub unnamed_camera: fn(usize) -> String,
    /// A device without a name.
    pub unnamed_microphone: fn(usize) -> String,
    /// No device of a kind.
    pub no_device: &'static str,
    /// Button, with its key.
    pub mute: &'static str,
    /// Button, with its key.
    pub unmute: &'static str,
    /// Button, with its key.
    pub camera_stop: &'static str,
    /// Button, with its key.
    pub camera_start: &'static str,
    /// Button, with its key.
    pub screen_start: &'static str,
    /// Button, with its key.
    pub screen_stop: &'static str,
    /// Button where the browser cannot share.
    pub screen_unsupported: &'static str,
    /// Button, with its key.
    pub people: &'static str,
    /// Button.
    pub copy_link: &'static str,
    /// After copying.
    pub link_copied: &'static str,
    /// Button.
    pub leave: &'static str,
    /// Button.
    pub close: &'static str,
    /// Label of the control bar.
    pub controls: &'static str,
    /// Label of all the pictures.
    pub stage: &'static str,
    /// Heading of the list of people.
    pub people_title: fn(usize) -> String,
    /// After one's own name.
    pub you: &'static str,
    /// Alone in a meeting.
    pub alone: &'static str,
    /// Alone in a meeting, second line.
    pub alone_hint: &'static str,
    /// While the picture of somebody has not arrived.
    pub waiting: &'static str,
    /// In a tile whose pictures the browser cannot decode.
    pub undecodable: &'static str,
    /// Label of a microphone that is closed.
    pub muted: &'static str,
    /// Label of a microphone that is open.
    pub unmuted: &'static str,
    /// Label of a camera that is off.
    pub camera_is_off: &'static str,
    /// Label of a camera that is on.
    pub camera_is_on: &'static str,
    /// Label of somebody who is heard.
    pub speaking: &'static str,
    /// Label of a shared screen.
    pub screen_of: fn(&str) -> String,
    /// Button that makes somebody's picture large, with their name.
    pub pin: fn(&str) -> String,
    /// Button that makes it as large as the others again.
    pub unpin: fn(&str) -> String,
    /// Tile for those who are not shown, with how many they are.
    pub more: fn(usize) -> String,
    /// What that tile does.
    pub more_hint: &'static str,
    /// Label of the buttons that turn the pages of tiles.
    pub pages: &'static str,
    /// Button, with its key.
    pub page_after: &'static str,
    /// Button, with its key.
    pub page_before: &'static str,
    /// Which page of how many is looked at.
    pub page_of: fn(usize, usize) -> String,
    /// Label of the state of somebody's connection who gives no cause for a remark.
    pub quality_good: &'static str,
    /// Why one's own call is not better.
    pub quality_own: fn(Reason) -> &'static str,
    /// Why somebody else's picture or sound is not better, with their name.
    pub quality_of: fn(Reason, &str) -> String,
    /// Label of a shared screen that is heard.
    pub screen_sound: &'static str,
    /// While the person shares.
    pub sharing: &'static str,
    /// Button beside it.
    pub stop: &'static str,
    /// The state of the connection.
    pub connection: fn(Phase) -> &'static str,
    /// The state of the connection in full.
    pub connection_detail: fn(Phase, Option<TransportKind>, Option<u32>) -> String,
    /// Somebody came, for those who cannot see it.
    pub joined: fn(&str) -> String,
    /// Somebody went, for those who cannot see it.
    pub left: fn(&str) -> String,
}

/// The figures of a call.
pub struct StatisticsText {
    /// Heading.
    pub title: &'static str,
    /// Button that opens them, with its key.
    pub open: &'static str,
    /// Button.
    pub copy: &'static str,
    /// After copying.
    pub copied: &'static str,
    /// Heading of the connection's.
    pub connection: &'static str,
    /// Heading of what is sent.
    pub own: &'static str,
    /// In place of what is sent.
    pub nothing_sent: &'static str,
    /// Heading of what is received.
    pub people: &'static str,
    /// In place of what is received.
    pub nobody: &'static str,
    /// While there is nothing to draw yet.
    pub no_values: &'static str,
    /// Below a graph: how far it goes back.
    pub span: &'static str,
    /// Title of a graph.
    pub chart: fn(Chart) -> &'static str,
    /// What a line of a graph with two is.
    pub line: fn(Line) -> &'static str,
    /// A value with its unit.
    pub value: fn(Line, f32) -> String,
    /// A graph in words: title, now, at most.
    pub described: fn(&str, &str, &str) -> String,
    /// One's own camera or screen, by whether it is the screen.
    pub source: fn(bool) -> &'static str,
    /// Pixels, and the spatial and temporal layer.
    pub layer: fn(u32, Option<(u8, u8)>) -> String,
    /// How much later a picture is seen than its sound is heard, milliseconds.
    pub behind_sound: fn(f64) -> String,
}

/// What can be set.
pub struct SettingsText {
    /// Heading.
    pub title: &'static str,
    /// Button, with its key in a call.
    pub open: &'static str,
    /// Heading of what is done to the microphone's sound.
    pub sound: &'static str,
    /// Choice.
    pub echo_cancellation: &'static str,
    /// Choice.
    pub noise_suppression: &'static str,
    /// Choice.
    pub auto_gain_control: &'static str,
    /// Below these choices.
    pub sound_hint: &'static str,
    /// Choice: whether the operator learns how calls are.
    pub reports: &'static str,
    /// Below the choice.
    pub reports_hint: &'static str,
}

/// Pages that say one thing.
pub struct PageText {
    /// After leaving.
    pub left_title: &'static str,
    /// After leaving, with the meeting's id.
    pub left_lead: fn(&str) -> String,
    /// When the call was ended or lost.
    pub closed_title: &'static str,
    /// When it never began.
    pub refused_title: &'static str,
    /// Button.
    pub rejoin: &'static str,
    /// Button.
    pub retry: &'static str,
    /// Button.
    pub home: &'static str,
    /// No such page.
    pub not_found_title: &'static str,
    /// No such page.
    pub not_found_lead: &'static str,
    /// A name or id that is not allowed.
    pub bad_address_title: &'static str,
    /// A browser without what a call needs.
    pub unsupported_title: &'static str,
    /// Above the list of what is missing.
    pub unsupported_lead: &'static str,
    /// Below the list, where another browser would help.
    pub unsupported_hint: &'static str,
    /// What is missing.
    pub lacking: fn(Lacking) -> &'static str,
}

impl Text {
    /// The catalogue for the first of the person's languages that has one; English where none has.
    pub fn for_languages<'a>(languages: impl IntoIterator<Item = &'a str>) -> &'static Self {
        languages
            .into_iter()
            .find_map(|language| {
                let primary = language.split('-').next().unwrap_or_default();
                CATALOGUES
                    .iter()
                    .find_map(|(tag, text)| tag.eq_ignore_ascii_case(primary).then_some(*text))
            })
            .unwrap_or(&en::TEXT)
    }
}

/// A catalogue is what its language is.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.language == other.language
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::{IdError, MeetingId};

    use super::*;

    #[test]
    fn a_language_without_a_catalogue_is_english() {
        for languages in [
            vec!["en-GB"],
            vec!["EN"],
            vec!["xx", "en"],
            vec!["xx"],
            vec![],
            vec![""],
        ] {
            assert_eq!(Text::for_languages(languages).language, "en");
        }
    }

    #[test]
    fn an_id_that_is_not_allowed_is_explained() {
        let error = "a b"
            .parse::<MeetingId>()
            .map_err(AddressError::Meeting)
            .expect_err("a space");
        let said = (en::TEXT.address_error)(error);
        assert!(said.contains("a space") && said.contains("letters"), "{said}");
        let long = (en::TEXT.address_error)(AddressError::Name(IdError::TooLong("")));
        assert!(long.contains("64"), "{long}");
    }
}
