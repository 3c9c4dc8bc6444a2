//! Starts everything with the settings of the command line, the environment and a file.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    videocall_server::run(relay_runtime::config::parse()).await
}
