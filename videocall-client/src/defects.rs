//! Defects of browsers that make a call worse than a way around them, where no feature tells that they are there.
//!
//! Everything else about browsers is found out by looking for what is used ([`crate::support`], the capture ladder,
//! `isConfigSupported`). A line of this table goes when nobody uses the versions that it is about.

/// A defect, and what is to be avoided because of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Defect {
    /// Where it is reported, or how to see it.
    pub bug: &'static str,
    /// What happens, in words for people.
    pub effect: &'static str,
}

/// Streams and datagrams stop for good after some 16 MB or 7,000 streams have come in. The versions with it are those
/// that have the newer way to write datagrams and never had the older one; whether a later one is free of it cannot
/// be seen.
const CREDIT_RUNS_OUT: Defect = Defect {
    bug: "https://bugs.webkit.org/show_bug.cgi?id=319818",
    effect: "this browser's WebTransport stops after a while",
};

/// Of the streams that a relay has opened, one for each picture, only two arrive. Nothing that a page can look for
/// came with the version that mended it.
const TWO_STREAMS: Defect = Defect {
    bug: "https://bugzilla.mozilla.org/show_bug.cgi?id=2046262",
    effect: "this browser's WebTransport delivers two pictures at a time; Firefox 153 or later delivers all",
};

/// The page's thread asks the sound server for the latency and holds the audio graph's lock meanwhile. The server
/// answers once it has given the next samples to the sound system, the graph makes them once it gets the lock: the page
/// hangs for good, and with it all that Firefox does through its thread. It happens at the first question, mostly when
/// the graph has much to do. PulseAudio's thread is what the server waits for, so systems that have none are spared.
const LATENCY_HANGS: Defect = Defect {
    bug: "no report is known; e2e/browser/tools/output-latency.mjs shows it",
    effect: "this browser hangs when it is asked how late sound is heard",
};

/// The first version of Firefox without [`TWO_STREAMS`].
const FIREFOX_WITH_STREAMS: u32 = 153;

/// Why WebTransport had better not be used. `has` is asked for members of globals, whether they are there at all;
/// `user_agent` is `navigator.userAgent`.
pub fn web_transport(has: impl Fn(&str) -> bool, user_agent: &str) -> Option<&'static Defect> {
    let datagrams = |name| has(&format!("WebTransportDatagramDuplexStream.prototype.{name}"));
    if datagrams("createWritable") && !datagrams("writable") {
        return Some(&CREDIT_RUNS_OUT);
    }
    (firefox_version(user_agent)? < FIREFOX_WITH_STREAMS).then_some(&TWO_STREAMS)
}

/// Why an audio context must not be asked for `outputLatency`, nor for `getOutputTimestamp`.
pub fn output_latency(user_agent: &str) -> Option<&'static Defect> {
    let has_pulse_audio = user_agent.contains("X11") || user_agent.contains("Linux");
    (has_pulse_audio && firefox_version(user_agent).is_some()).then_some(&LATENCY_HANGS)
}

/// The major version of a Firefox, by `Firefox/` in the user agent's name.
fn firefox_version(user_agent: &str) -> Option<u32> {
    let (_, version) = user_agent.split_once("Firefox/")?;
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// [`web_transport`] in the browser that this runs in.
#[cfg(target_arch = "wasm32")]
pub(crate) fn web_transport_here() -> Option<&'static Defect> {
    web_transport(has_member, &user_agent())
}

/// [`output_latency`] in the browser that this runs in.
#[cfg(target_arch = "wasm32")]
pub(crate) fn output_latency_here() -> Option<&'static Defect> {
    output_latency(&user_agent())
}

#[cfg(target_arch = "wasm32")]
fn user_agent() -> String {
    use crate::media::web::js::get;

    let user_agent = get(&get(&js_sys::global(), "navigator"), "userAgent").as_string();
    user_agent.unwrap_or_default()
}

/// Whether the path leads to something. The last step does not read it: the members of a prototype cannot be read.
#[cfg(target_arch = "wasm32")]
fn has_member(path: &str) -> bool {
    let Some((owner, name)) = path.rsplit_once('.') else {
        return false;
    };
    let owner = owner.split('.').fold(js_sys::global().into(), |value, name| {
        crate::media::web::js::get(&value, name)
    });
    js_sys::Reflect::has(&owner, &name.into()).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
    const CHROME: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0";

    fn older(name: &str) -> bool {
        !name.ends_with("createWritable")
    }

    fn newer(name: &str) -> bool {
        !name.ends_with(".writable")
    }

    #[test]
    fn current_browsers_use_web_transport() {
        assert_eq!(web_transport(older, CHROME), None);
        assert_eq!(web_transport(older, FIREFOX), None);
        assert_eq!(
            web_transport(|_| true, FIREFOX),
            None,
            "both ways to write datagrams"
        );
    }

    #[test]
    fn one_whose_credit_runs_out_does_not() {
        assert_eq!(web_transport(newer, ""), Some(&CREDIT_RUNS_OUT));
    }

    #[test]
    fn a_firefox_that_delivers_two_streams_does_not() {
        let before = FIREFOX.replace("153", "152");
        assert_eq!(web_transport(older, &before), Some(&TWO_STREAMS));
        assert_eq!(web_transport(older, "Firefox/"), None, "no version, no judgement");
    }

    #[test]
    fn a_firefox_on_pulse_audio_is_not_asked_for_its_latency() {
        assert_eq!(output_latency(FIREFOX), Some(&LATENCY_HANGS));
        let windows = FIREFOX.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64");
        assert_eq!(output_latency(&windows), None);
        assert_eq!(output_latency(CHROME), None);
    }

    #[test]
    fn a_browser_without_it_has_no_defect_of_it() {
        assert_eq!(web_transport(|_| false, CHROME), None);
    }
}
