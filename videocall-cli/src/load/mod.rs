//! `videocall-cli load`: many raw sessions at once, and how the relay bears them.

mod arguments;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use videocall_load::{Progress, rows, run, summary};

pub(crate) use arguments::LoadArguments;

/// Between two lines about how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Puts the load on, and prints and writes what came of it.
///
/// # Errors
/// When nobody gets in, or the figures cannot be written.
pub(crate) async fn run_load(arguments: LoadArguments) -> anyhow::Result<()> {
    let load = arguments.load()?;
    let (progress, watched) = watch::channel(Progress::default());
    let pace = arguments.pace();
    let running = run(&load, &pace, arguments.door(), &arguments.pid, progress);
    let figures = tokio::select! {
        figures = running => figures?,
        () = report(watched, load.sessions(), arguments.quiet) => unreachable!("it reports without end"),
    };
    let carrier = load.transport.as_str();
    say(&format!("{}, {carrier}", arguments.name))?;
    say(summary(&figures).trim_end())?;
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows(&arguments.name, carrier, &figures, None))?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Writes how far it is, without end.
async fn report(progress: watch::Receiver<Progress>, sessions: usize, quiet: bool) {
    let began = Instant::now();
    let mut ticks = interval(PROGRESS_INTERVAL);
    let mut last = Progress::default();
    loop {
        ticks.tick().await;
        let now = *progress.borrow();
        if now == last || quiet {
            continue;
        }
        let seconds = began.elapsed().as_secs();
        // Standard output may be closed; the load goes on.
        let _ = say(&format!("{seconds:>5} s  {}", describe(now, last, sessions)));
        last = now;
    }
}

fn describe(now: Progress, last: Progress, sessions: usize) -> String {
    let lost = match now.lost {
        0 => String::new(),
        lost => format!(", {lost} lost"),
    };
    let state = if now.measuring {
        format!(
            "measuring, {} packets/s",
            now.received.saturating_sub(last.received)
        )
    } else if now.complete {
        "warming up".to_owned()
    } else {
        format!("{} of {sessions} sessions are in", now.inside)
    };
    format!("{state}{lost}")
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("nobody reads the figures")
}
