//! Relays for a long time: `soak [SECONDS]`, ten minutes unless told otherwise.

use std::time::Duration;

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = match std::env::args().nth(1) {
        Some(text) => text
            .parse()
            .with_context(|| format!("'{text}' is no number of seconds"))?,
        None => 600,
    };
    e2e::bench::soak(Duration::from_secs(seconds), say).await
}

#[expect(
    clippy::print_stdout,
    reason = "the memory over time is what this program is for"
)]
fn say(text: &str) {
    println!("{text}");
}
