//! A network with conditions for other programs: `netem NUMBER`.
//!
//! Makes a namespace (`ip netns exec videocall-NUMBER PROGRAM` runs a program in it), says its name and the addresses
//! of both sides in a line of JSON, and then takes a line of JSON at a time: conditions begin anew with
//! `{"begin": {"up": …, "down": …}}`, `"forget"` lets them go on and counts anew, and `"report"` is answered with what
//! has passed since. Each line is answered with one. It ends with its input.

use anyhow::Context as _;
use e2e::proxy::{Conditions, Wire};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
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
    say(&json!({ "namespace": wire.namespace(), "near": wire.near(), "far": wire.far() }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            // The namespace goes in an orderly way.
            _ = terminate.recv() => None,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else {
            return Ok(());
        };
        match serde_json::from_str(&line) {
            Ok(Command::Begin(conditions)) => {
                wire.begin(*conditions);
                say(&json!({ "begun": true }));
            }
            Ok(Command::Forget) => {
                wire.forget();
                say(&json!({ "forgotten": true }));
            }
            Ok(Command::Report) => say(&serde_json::to_value(wire.report())?),
            Err(error) => say(&json!({ "error": error.to_string() })),
        }
    }
}

#[expect(clippy::print_stdout, reason = "what it prints is read by another program")]
fn say(answer: &serde_json::Value) {
    println!("{answer}");
}
