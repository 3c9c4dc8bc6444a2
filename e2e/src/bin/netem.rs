//! A network with conditions for other programs: `netem NUMBER`.
//!
//! Makes a namespace (`ip netns exec videocall-NUMBER PROGRAM` runs a program in it), says its name and the addresses
//! of both sides in a line of JSON, and then takes a line of JSON at a time: conditions begin anew with
//! `{"begin": {"up": …, "down": …}}`, `"forget"` lets them go on and counts anew, and `"report"` is answered with what
//! has passed since. Each line is answered with one. It ends with its input.

use anyhow::Context as _;
use e2e::dialogue;
use e2e::proxy::{Conditions, Wire};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Command {
    Begin(Box<Conditions>),
    Forget,
    Report,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let number = std::env::args().nth(1).context("usage: netem NUMBER")?;
    let number = number
        .parse()
        .with_context(|| format!("'{number}' is no number up to 65535"))?;
    let wire = Wire::new(number, Conditions::default()).await?;
    dialogue::say(&json!({ "namespace": wire.namespace(), "near": wire.near(), "far": wire.far() }));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = dialogue::answer_each(async |command| obey(&wire, command)) => ended,
        // The namespace goes in an orderly way.
        _ = terminate.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn obey(wire: &Wire, command: Command) -> anyhow::Result<Value> {
    Ok(match command {
        Command::Begin(conditions) => {
            wire.begin(*conditions);
            json!({ "begun": true })
        }
        Command::Forget => {
            wire.forget();
            json!({ "forgotten": true })
        }
        Command::Report => serde_json::to_value(wire.report())?,
    })
}
