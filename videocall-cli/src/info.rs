//! `videocall-cli info`: what this machine can capture, for people and for programs.

use std::collections::BTreeSet;
use std::io::Write as _;

use anyhow::Context as _;
use gstreamer as gst;
use serde::Serialize;

use crate::arguments::InfoArguments;
use crate::devices::{self, Camera, Microphone};

/// Answers all questions that were asked, in one document when it is JSON.
#[derive(Default, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    cameras: Option<Vec<Camera>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    formats: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolutions: Option<Vec<Mode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_devices: Option<Vec<Microphone>>,
}

/// A size at which a camera offers a format.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Mode {
    format: String,
    width: i32,
    height: i32,
    /// Frames per second, rounded down.
    fps: Vec<i32>,
}

/// Prints the answers.
///
/// # Errors
/// When a camera is asked about that is not there.
pub(crate) fn run(arguments: &InfoArguments) -> anyhow::Result<()> {
    let mut answer = Answer::default();
    if arguments.list_cameras {
        answer.cameras = Some(devices::cameras()?);
    }
    if let Some(index) = arguments.list_formats {
        answer.formats = Some(
            modes(&devices::camera(index)?)
                .into_iter()
                .map(|m| m.format)
                .collect(),
        );
    }
    if let Some(index) = arguments.list_resolutions {
        answer.resolutions = Some(modes(&devices::camera(index)?));
    }
    if arguments.list_audio_devices {
        answer.audio_devices = Some(devices::microphones()?);
    }
    let text = if arguments.json {
        serde_json::to_string_pretty(&answer).context("the answer has no JSON form")? + "\n"
    } else {
        answer.to_text()
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("nobody reads the answer")
}

impl Answer {
    fn to_text(&self) -> String {
        let mut lines = Vec::new();
        let mut section = |title: &str, nothing: &str, entries: Vec<String>| {
            lines.push(title.to_owned());
            if entries.is_empty() {
                lines.push(format!("  {nothing}"));
            }
            lines.extend(entries.into_iter().map(|entry| format!("  {entry}")));
        };
        if let Some(cameras) = &self.cameras {
            let line = |c: &Camera| format!("{}  {}  {}", c.index, c.name, c.path);
            let nothing = "none; --source test streams without one";
            section("Cameras:", nothing, cameras.iter().map(line).collect());
        }
        if let Some(formats) = &self.formats {
            section("Formats:", "none", formats.iter().cloned().collect());
        }
        if let Some(modes) = &self.resolutions {
            section("Resolutions:", "none", modes.iter().map(Mode::to_line).collect());
        }
        if let Some(microphones) = &self.audio_devices {
            let line = |m: &Microphone| format!("{}  {}", m.index, m.name);
            section("Microphones:", "none", microphones.iter().map(line).collect());
        }
        lines.join("\n") + "\n"
    }
}

impl Mode {
    fn to_line(&self) -> String {
        let rates: Vec<String> = self.fps.iter().map(i32::to_string).collect();
        format!(
            "{} {}x{} at {} fps",
            self.format,
            self.width,
            self.height,
            rates.join(", ")
        )
    }
}

/// Everything a camera offers, in order. A range of sizes becomes its two ends.
fn modes(camera: &Camera) -> Vec<Mode> {
    let mut modes: Vec<Mode> = camera.caps.iter().flat_map(modes_of).collect();
    modes.sort();
    modes.dedup();
    modes
}

fn modes_of(structure: &gst::StructureRef) -> Vec<Mode> {
    let formats = match structure.name().as_str() {
        "video/x-raw" => texts(structure, "format"),
        "image/jpeg" => vec!["MJPG".to_owned()],
        _ => return Vec::new(),
    };
    let sizes = || {
        integers(structure, "width")
            .into_iter()
            .zip(integers(structure, "height"))
    };
    let fps = rates(structure);
    formats
        .into_iter()
        .flat_map(|format| sizes().map(move |(width, height)| (format.clone(), width, height)))
        .map(|(format, width, height)| Mode {
            format,
            width,
            height,
            fps: fps.clone(),
        })
        .collect()
}

/// A field that is a text or a list of them.
fn texts(structure: &gst::StructureRef, field: &str) -> Vec<String> {
    if let Ok(list) = structure.get::<gst::List>(field) {
        return list.iter().filter_map(|value| value.get().ok()).collect();
    }
    structure.get(field).into_iter().collect()
}

/// A field that is a number, a list of them, or a range, of which the ends are taken.
fn integers(structure: &gst::StructureRef, field: &str) -> Vec<i32> {
    if let Ok(list) = structure.get::<gst::List>(field) {
        return list.iter().filter_map(|value| value.get().ok()).collect();
    }
    if let Ok(range) = structure.get::<gst::IntRange<i32>>(field) {
        return vec![range.min(), range.max()];
    }
    structure.get(field).into_iter().collect()
}

/// Frames per second, fastest first.
fn rates(structure: &gst::StructureRef) -> Vec<i32> {
    let whole = |fraction: gst::Fraction| fraction.numer() / fraction.denom();
    let field = "framerate";
    let mut rates: Vec<i32> = if let Ok(list) = structure.get::<gst::List>(field) {
        list.iter()
            .filter_map(|value| value.get().ok())
            .map(whole)
            .collect()
    } else if let Ok(range) = structure.get::<gst::FractionRange>(field) {
        vec![whole(range.min()), whole(range.max())]
    } else {
        structure.get(field).ok().into_iter().map(whole).collect()
    };
    rates.sort_unstable_by(|a, b| b.cmp(a));
    rates.dedup();
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_come_from_all_ways_to_write_them() {
        gst::init().expect("GStreamer starts");
        let caps = "video/x-raw, format=(string){ YUY2, NV12 }, width=640, height=480, \
                    framerate=(fraction){ 30/1, 15/1 }; \
                    image/jpeg, width=[ 320, 1280 ], height=[ 240, 720 ], framerate=[ 0/1, 60/1 ]";
        let camera = Camera {
            index: 0,
            name: "test".into(),
            path: "/dev/video0".into(),
            caps: caps.parse().expect("capabilities"),
        };
        let lines: Vec<String> = modes(&camera).iter().map(Mode::to_line).collect();
        assert_eq!(
            lines,
            [
                "MJPG 320x240 at 60, 0 fps",
                "MJPG 1280x720 at 60, 0 fps",
                "NV12 640x480 at 30, 15 fps",
                "YUY2 640x480 at 30, 15 fps",
            ]
        );
    }

    #[test]
    fn no_devices_is_an_answer() {
        let answer = Answer {
            cameras: Some(Vec::new()),
            ..Default::default()
        };
        assert!(answer.to_text().contains("--source test"));
        assert_eq!(serde_json::to_string(&answer).expect("JSON"), r#"{"cameras":[]}"#);
    }
}
