//! From the command line to an exit status: 0 for success, 1 for a failure, 2 for wrong usage.
//! Whatever goes wrong becomes one line on standard error that says what to do next.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use clap::error::ErrorKind;

use crate::arguments::{Arguments, Command};
use crate::{info, load, logging, stream};

/// Wrong usage, after the convention of Unix tools.
const USAGE: u8 = 2;

/// Runs the program with these arguments, the first of which is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    match execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Stream(stream) => {
            logging::start(stream.log_format);
            runtime()?.block_on(stream::run(*stream))
        }
        Command::Info(info) => info::run(&info),
        Command::Load(load) => runtime()?.block_on(load::run_load(*load)),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("the system gives no threads to run on")
}

/// Help goes to standard output as it is; a mistake becomes one line.
fn refuse(error: &clap::Error) -> ExitCode {
    let wanted = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if wanted.contains(&error.kind()) {
        // Standard output may be closed; there is nobody left to tell then.
        let _ = error.print();
        return match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::from(USAGE),
            _ => ExitCode::SUCCESS,
        };
    }
    complain(&one_line(&error.to_string()));
    ExitCode::from(USAGE)
}

/// clap explains over several lines, of which those up to the usage text matter.
fn one_line(explanation: &str) -> String {
    let lines = explanation
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    format!("{text}; `videocall-cli --help` shows examples")
}

fn complain(message: &str) {
    let message = message.replace(['\n', '\r'], " ");
    // Standard error may be closed; the exit status still tells.
    let _ = writeln!(std::io::stderr(), "error: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        match Arguments::try_parse_from(line.split_whitespace()) {
            Ok(arguments) => panic!("accepted: {arguments:?}"),
            Err(error) => one_line(&error.to_string()),
        }
    }

    #[test]
    fn every_wrong_setting_is_one_line_that_names_it() {
        let cases = [
            ("--fps 0", "--fps"),
            ("--fps 241", "at most 240"),
            ("--fps fast", "--fps"),
            ("--frame-format NV99", "NV12"),
            ("--resolution 1280", "1280x720"),
            ("--resolution 0x720", "1280x720"),
            ("--resolution 1281x720", "even"),
            ("--bitrate-kbps 0", "--bitrate-kbps"),
            ("--codec h266", "vp8"),
            ("--source camera", "file:PATH"),
            ("--source file:", "file:PATH"),
            ("--transport carrier-pigeon", "websocket"),
            ("--certificate-hash 12", "64 hexadecimal digits"),
            ("--url ftp://example.org", "http"),
            ("--user-id a/b", "user name"),
            ("--meeting-id a.b", "meeting id"),
            ("--no-such-flag", "--no-such-flag"),
            ("--source test --video-device-index 0", "cannot be used with"),
        ];
        for (flags, expected) in cases {
            let mut line = format!("videocall-cli stream {flags}");
            for required in ["--user-id robot", "--meeting-id demo"] {
                if !flags.starts_with(&required[..8]) {
                    line = format!("{line} {required}");
                }
            }
            let message = refusal(&line);
            assert!(message.contains(expected), "{flags}: {message}");
            assert!(!message.contains('\n'), "{flags}: {message}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = refusal("videocall-cli stream --user-id robot");
        assert!(message.contains("--meeting-id"), "{message}");
        let message = refusal("videocall-cli info");
        assert!(message.contains("--list-cameras"), "{message}");
    }
}
