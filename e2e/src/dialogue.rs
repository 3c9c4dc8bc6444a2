//! How other programs tell one of ours what to do while it runs: a line of JSON to it, a line of JSON from it
//! (`e2e/browser/lib/dialogue.mjs`).

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Answers each line of the standard input with one, until there are no more. What cannot be read or done is answered
/// with why.
///
/// # Errors
/// When the standard input breaks.
pub async fn answer_each<C: DeserializeOwned>(
    mut answer: impl AsyncFnMut(C) -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answered = match serde_json::from_str(&line) {
            Ok(command) => answer(command).await,
            Err(error) => Err(error.into()),
        };
        say(&answered.unwrap_or_else(|error| json!({ "error": error.to_string() })));
    }
    Ok(())
}

/// Says something in a line of its own.
#[expect(clippy::print_stdout, reason = "what is printed is read by another program")]
pub fn say(answer: &Value) {
    println!("{answer}");
}
