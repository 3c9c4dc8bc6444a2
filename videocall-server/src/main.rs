//! Starts everything with the settings of the command line, the environment and a file.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    relay_runtime::exit_code(&videocall_server::run(relay_runtime::config::parse()).await)
}
