//! The `videocall-cli` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    videocall_cli::run(std::env::args_os())
}
