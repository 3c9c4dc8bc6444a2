//! The command line: what can be asked for, and the refusal of what cannot be.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use videocall_types::{MeetingId, UserName};

use crate::load::LoadArguments;

/// The fastest camera sold for less than a laboratory.
const MAX_FPS: u32 = 240;
/// The largest side of a picture that VP8 can express (RFC 6386 §9.1: 14 bits).
const MAX_SIDE: u32 = 16_383;
/// The smallest side that leaves a picture.
const MIN_SIDE: u32 = 16;
/// What relays take of one session, minus the sound.
const MAX_BITRATE_KBPS: u32 = 19_000;
/// The lowest bitrate at which the encoders keep their promise.
const MIN_BITRATE_KBPS: u32 = 10;
/// Half of the sampling rate of 48 kHz, rounded down to what survives Opus.
const MAX_TONE_HZ: u32 = 20_000;

/// Streams a camera, a file or a test source into a meeting, without a screen.
#[derive(Debug, Parser)]
#[command(name = "videocall-cli", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  See which cameras there are:
      videocall-cli info --list-cameras
  Stream the first one into the meeting `demo` of a server on this machine:
      videocall-cli stream --user-id robot --meeting-id demo --video-device-index 0
  Try it without a camera:
      videocall-cli stream --user-id robot --meeting-id demo --source test
  See how a server bears 5 cameras and 50 who watch:
      videocall-cli load --publishers 5 --receivers 50";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Streams video and sound into a meeting until it is stopped.
    Stream(Box<StreamArguments>),
    /// Lists cameras, what they can do, and microphones.
    Info(InfoArguments),
    /// Puts many sessions on a server and measures how it bears them.
    Load(Box<LoadArguments>),
}

const STREAM_EXAMPLES: &str = "Examples:
  A camera:
      videocall-cli stream --url http://localhost:8081 --user-id robot --meeting-id demo \\
          --video-device-index 0 --resolution 1280x720 --fps 30 --frame-format NV12 --bitrate-kbps 500
  Moving colour bars and a tone of 1 kHz, for one minute, over WebSocket:
      videocall-cli stream --user-id robot --meeting-id demo --source test --tone-hz 1000 \\
          --duration 60 --transport websocket
  A film, over and over, without its sound:
      videocall-cli stream --user-id cinema --meeting-id demo --source file:film.mp4 --loop --no-audio
  With a token from elsewhere, kept out of the list of processes:
      VIDEOCALL_TOKEN=... videocall-cli stream --user-id robot --meeting-id demo --source test";

#[derive(Debug, Args)]
#[command(after_help = STREAM_EXAMPLES)]
pub(crate) struct StreamArguments {
    /// Address of the server, as opened in a browser.
    #[arg(long, env = "VIDEOCALL_URL", default_value = "http://localhost:8081")]
    pub(crate) url: ServerUrl,
    /// Who streams: 1 to 64 letters, digits, `_`, `-` and `.`.
    #[arg(long, value_name = "NAME")]
    pub(crate) user_id: UserName,
    /// The meeting: 1 to 64 letters, digits, `_` and `-`.
    #[arg(long, value_name = "ID")]
    pub(crate) meeting_id: MeetingId,
    /// The name that others see [default: the user id].
    #[arg(long, value_name = "NAME")]
    pub(crate) display_name: Option<String>,
    /// A join token from elsewhere; without one the server is asked for it.
    #[arg(long, env = "VIDEOCALL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<Secret>,
    /// How to connect; `auto` tries WebTransport first.
    #[arg(long, value_enum, default_value_t = TransportChoice::Auto)]
    pub(crate) transport: TransportChoice,
    /// SHA-256 of a certificate to accept for WebTransport besides those the server announces;
    /// may be repeated.
    #[arg(long, value_name = "HEX")]
    pub(crate) certificate_hash: Vec<CertificateHash>,
    #[command(flatten)]
    pub(crate) video: VideoArguments,
    #[command(flatten)]
    pub(crate) audio: AudioArguments,
    /// Stop after so many seconds in the meeting.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duration: Option<u64>,
    /// Say nothing while all is well.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// How logs are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Pretty)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VideoArguments {
    /// Which camera, as `info --list-cameras` numbers them [default: 0].
    #[arg(long, value_name = "INDEX", conflicts_with = "source")]
    pub(crate) video_device_index: Option<u32>,
    /// `test` for moving colour bars and a tone, or `file:PATH` for a film, instead of a camera.
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<Source>,
    /// Start a file again when it ends.
    #[arg(long = "loop")]
    pub(crate) repeat: bool,
    /// Size of the picture.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720")]
    pub(crate) resolution: Resolution,
    /// Pictures per second.
    #[arg(long, default_value_t = 30, value_parser = parse_fps)]
    pub(crate) fps: u32,
    /// Pixel format asked of the camera.
    #[arg(long, value_enum, ignore_case = true, default_value_t = FrameFormat::Nv12)]
    pub(crate) frame_format: FrameFormat,
    /// Bitrate of the video.
    #[arg(
        long,
        value_name = "KBPS",
        default_value_t = 500,
        value_parser = clap::value_parser!(u32)
            .range(i64::from(MIN_BITRATE_KBPS)..=i64::from(MAX_BITRATE_KBPS))
    )]
    pub(crate) bitrate_kbps: u32,
    /// Video codec.
    #[arg(long, value_enum, default_value_t = Codec::Vp8)]
    pub(crate) codec: Codec,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AudioArguments {
    /// Which microphone, by number or name as in `info --list-audio-devices` [default: the first].
    #[arg(long, value_name = "DEVICE", conflicts_with_all = ["no_audio", "source"])]
    pub(crate) audio_device: Option<String>,
    /// Send no sound.
    #[arg(long)]
    pub(crate) no_audio: bool,
    /// Frequency of the test source's tone.
    #[arg(
        long,
        value_name = "HZ",
        default_value_t = 440,
        value_parser = clap::value_parser!(u32).range(20..=i64::from(MAX_TONE_HZ))
    )]
    pub(crate) tone_hz: u32,
}

const INFO_EXAMPLES: &str = "Examples:
      videocall-cli info --list-cameras
      videocall-cli info --list-formats 0 --list-resolutions 0
      videocall-cli info --list-cameras --list-audio-devices --json";

#[derive(Debug, Args)]
#[command(after_help = INFO_EXAMPLES)]
#[command(group(
    ArgGroup::new("question")
        .required(true)
        .multiple(true)
        .args(["list_cameras", "list_formats", "list_resolutions", "list_audio_devices"])
))]
pub(crate) struct InfoArguments {
    /// The cameras of this machine.
    #[arg(long)]
    pub(crate) list_cameras: bool,
    /// The pixel formats of a camera.
    #[arg(long, value_name = "INDEX")]
    pub(crate) list_formats: Option<u32>,
    /// The sizes and rates of a camera, per format.
    #[arg(long, value_name = "INDEX")]
    pub(crate) list_resolutions: Option<u32>,
    /// The microphones of this machine.
    #[arg(long)]
    pub(crate) list_audio_devices: bool,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportChoice {
    Auto,
    #[value(name = "webtransport")]
    WebTransport,
    #[value(name = "websocket")]
    WebSocket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    Vp8,
    Vp9,
    H264,
}

/// Pixel formats of cameras, by the names their makers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrameFormat {
    #[value(name = "NV12")]
    Nv12,
    #[value(name = "I420", alias = "YU12")]
    I420,
    #[value(name = "YUY2", alias = "YUYV")]
    Yuy2,
    #[value(name = "UYVY")]
    Uyvy,
    #[value(name = "RGB", alias = "RGB3")]
    Rgb,
    #[value(name = "BGR", alias = "BGR3")]
    Bgr,
    #[value(name = "GRAY8", alias = "GREY")]
    Gray8,
    /// Motion JPEG, decoded before it is encoded again.
    #[value(name = "MJPG", alias = "MJPEG")]
    Mjpg,
}

impl FrameFormat {
    /// GStreamer's name of the raw format; `None` where pictures come compressed.
    pub(crate) const fn raw_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Nv12 => "NV12",
            Self::I420 => "I420",
            Self::Yuy2 => "YUY2",
            Self::Uyvy => "UYVY",
            Self::Rgb => "RGB",
            Self::Bgr => "BGR",
            Self::Gray8 => "GRAY8",
            Self::Mjpg => return None,
        })
    }
}

/// Where pictures come from when not from a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Test,
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "test" => Ok(Self::Test),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("give `test` or `file:PATH`".into()),
        }
    }
}

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resolution {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Resolution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = || "give width and height in pixels, for example 1280x720".to_owned();
        let (width, height) = text.split_once(['x', 'X']).ok_or_else(example)?;
        let side = |text: &str| match text.parse::<u32>() {
            Ok(side) if (MIN_SIDE..=MAX_SIDE).contains(&side) => Ok(side),
            Ok(_) => Err(format!(
                "sides have {MIN_SIDE} to {MAX_SIDE} pixels, for example 1280x720"
            )),
            Err(_) => Err(example()),
        };
        let (width, height) = (side(width)?, side(height)?);
        if width % 2 == 1 || height % 2 == 1 {
            return Err("sides must be even, for example 1280x720".into());
        }
        Ok(Self { width, height })
    }
}

fn parse_fps(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(fps) if (1..=MAX_FPS).contains(&fps) => Ok(fps),
        _ => Err(format!(
            "give at least 1 and at most {MAX_FPS} pictures per second"
        )),
    }
}

/// `http://host[:port]` or `https://host[:port]`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

impl ServerUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .unwrap_or_default()
            .trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(
                "give the server's address, for example http://localhost:8081 or https://meet.example.org"
                    .into(),
            );
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// 64 hexadecimal digits, colons between them allowed; kept without them and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateHash(String);

impl CertificateHash {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace(':', "").to_ascii_lowercase();
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("a SHA-256 hash has 64 hexadecimal digits".into());
        }
        Ok(Self(digits))
    }
}

/// A text that no log and no error message shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl FromStr for Secret {
    /// Any text will do here: clap repeats what it refuses, and a secret must not be repeated.
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(flags: &str) -> StreamArguments {
        let line = format!("videocall-cli stream --user-id robot --meeting-id demo {flags}");
        match Arguments::try_parse_from(line.split_whitespace()) {
            Ok(Arguments {
                command: Command::Stream(stream),
            }) => *stream,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_call_is_understood() {
        let parsed = stream(
            "--url http://localhost:8081/ --video-device-index 0 --resolution 1280x720 --fps 30 \
             --frame-format NV12 --bitrate-kbps 500",
        );
        assert_eq!(parsed.url.as_str(), "http://localhost:8081");
        assert_eq!(parsed.video.video_device_index, Some(0));
        assert_eq!(parsed.video.resolution.to_string(), "1280x720");
        assert_eq!((parsed.video.fps, parsed.video.bitrate_kbps), (30, 500));
        assert_eq!(parsed.video.frame_format, FrameFormat::Nv12);
    }

    #[test]
    fn names_of_formats_are_those_people_know() {
        for name in ["nv12", "YUYV", "yuy2", "MJPG", "mjpeg", "YU12", "GREY"] {
            let parsed = stream(&format!("--frame-format {name}"));
            assert_eq!(
                parsed.video.frame_format.raw_name().is_none(),
                name.starts_with(['m', 'M'])
            );
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        let parsed = stream("--token abc.def.ghi");
        assert_eq!(parsed.token.as_ref().map(Secret::reveal), Some("abc.def.ghi"));
        assert!(!format!("{parsed:?}").contains("abc.def"));
    }

    #[test]
    fn hashes_may_have_colons() {
        let hash = ["AB"; 32].join(":").parse::<CertificateHash>().expect("a hash");
        assert_eq!(hash.as_str(), "ab".repeat(32));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
