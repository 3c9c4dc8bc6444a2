//! Settings from flags, environment and file, and the page that documents them.
//!
//! A flag wins over an environment variable, that over the file given by `--config`, that over the
//! default. The file is TOML whose keys are the long names of flags: `max-sessions = 100`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, Args, Command, Parser};

/// The file of settings. Flatten it into the settings of a server.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigFile {
    /// File of settings (TOML): the long names of these flags and their values
    #[arg(long, env = "VIDEOCALL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The settings of this process. Prints help, or what is wrong, and ends the process when that is
/// what there is to do.
pub fn parse<T: Parser>() -> T {
    try_parse_from(std::env::args_os()).unwrap_or_else(|error| match error.downcast::<clap::Error>() {
        Ok(error) => error.exit(),
        Err(error) => T::command()
            .error(clap::error::ErrorKind::Io, format!("{error:#}"))
            .exit(),
    })
}

/// As [`parse`], from these arguments.
///
/// # Errors
/// [`clap::Error`] for arguments that are wrong or ask for help; others for the file.
pub fn try_parse_from<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<T> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = T::command();
    if let Some(path) = config_path(&command, &arguments) {
        command = with_file(command, &path)?;
    }
    let matches = command.try_get_matches_from(arguments)?;
    Ok(T::from_arg_matches(&matches)?)
}

/// The file that flags or environment name; found before everything else is parsed, because what is
/// parsed depends on it.
fn config_path(command: &Command, arguments: &[OsString]) -> Option<PathBuf> {
    let config = command
        .get_arguments()
        .find(|arg| arg.get_id() == "config")?
        .clone();
    Command::new("config")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .ignore_errors(true)
        .args(
            command
                .get_arguments()
                .filter(|arg| arg.get_id() != "config")
                .map(lenient),
        )
        .arg(config)
        .try_get_matches_from(arguments)
        .ok()?
        .get_one::<PathBuf>("config")
        .cloned()
}

/// An argument that takes anything, so that looking for the file does not stumble over another.
fn lenient(arg: &Arg) -> Arg {
    let lenient = Arg::new(arg.get_id().clone()).long(arg.get_long().unwrap_or_default().to_owned());
    match arg.get_action() {
        ArgAction::SetTrue => lenient.action(ArgAction::SetTrue),
        _ => lenient.action(ArgAction::Append),
    }
}

/// Makes what the file says the defaults of the command.
fn with_file(mut command: Command, path: &Path) -> anyhow::Result<Command> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the file of settings {} cannot be read", path.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("the file of settings {} is not TOML", path.display()))?;
    for (name, value) in table {
        let known = |arg: &&Arg| arg.get_long() == Some(name.as_str()) && name != "config";
        let Some(arg) = command.get_arguments().find(known) else {
            bail!(
                "{}: there is no setting named {name}; --help lists them",
                path.display()
            );
        };
        let (id, many) = (
            arg.get_id().clone(),
            matches!(arg.get_action(), ArgAction::Append),
        );
        let values = texts(value)
            .ok()
            .filter(|values| many || values.len() == 1)
            .with_context(|| format!("{}: {name} takes another kind of value", path.display()))?;
        command = command.mut_arg(id, |arg| arg.default_values(values).required(false));
    }
    Ok(command)
}

fn texts(value: toml::Value) -> anyhow::Result<Vec<String>> {
    Ok(match value {
        toml::Value::String(text) => vec![text],
        toml::Value::Integer(number) => vec![number.to_string()],
        toml::Value::Float(number) => vec![number.to_string()],
        toml::Value::Boolean(on) => vec![on.to_string()],
        toml::Value::Array(values) => {
            let values: anyhow::Result<Vec<_>> = values.into_iter().map(texts).collect();
            values?.concat()
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => {
            bail!("a text, number, true or false is expected")
        }
    })
}

/// The section of docs/configuration.md about one server.
pub fn markdown(command: &Command) -> String {
    let mut page = format!("## {}\n\n", command.get_name());
    if let Some(about) = command.get_about() {
        let _infallible = writeln!(page, "{about}.");
    }
    let mut heading = None;
    for arg in command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some() && !arg.is_hide_set())
    {
        let own = arg.get_help_heading().unwrap_or("General");
        if heading != Some(own) {
            heading = Some(own);
            let _infallible = write!(
                page,
                "\n### {own}\n\n| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n"
            );
        }
        let _infallible = writeln!(page, "{}", row(arg));
    }
    page
}

fn row(arg: &Arg) -> String {
    let flag = arg.get_long().unwrap_or_default();
    let value = match (arg.get_action().takes_values(), arg.get_value_names()) {
        (true, Some([name, ..])) => format!(" {name}"),
        _ => String::new(),
    };
    let environment = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let choices: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let choices = match choices.is_empty() {
        true => String::new(),
        false => format!(" ({})", choices.join(", ")),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    format!(
        "| `--{flag}{value}` | {} | {} | {}{choices} |",
        environment.unwrap_or_default(),
        defaults.join(", "),
        help.replace('|', "\\|").replace('\n', " "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RelaySettings, TokenSettings};

    #[derive(Parser, Debug)]
    #[command(name = "a-server", about = "Serves as an example")]
    struct Settings {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        relay: RelaySettings,
        #[command(flatten)]
        token: TokenSettings,
        /// Be loud
        #[arg(long)]
        loud: bool,
        /// Names
        #[arg(long, value_delimiter = ',', default_value = "x")]
        name: Vec<String>,
    }

    fn parsed(arguments: &[&str]) -> anyhow::Result<Settings> {
        try_parse_from(
            std::iter::once("a-server")
                .chain(arguments.iter().copied())
                .map(Into::into),
        )
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, text).expect("written");
        let path = path.to_str().expect("UTF-8").to_owned();
        (folder, path)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let (_folder, path) = file("max-sessions = 7\nmax-tracks = 2\nloud = true\nname = [\"a\", \"b\"]\n");
        let settings = parsed(&["--max-tracks", "3", "--config", &path]).expect("valid");
        assert_eq!(settings.relay.max_sessions, 7);
        assert_eq!(settings.relay.max_tracks, 3);
        assert!(settings.loud);
        assert_eq!(settings.name, ["a", "b"]);
        assert_eq!(settings.file.config, Some(path.into()));
        let plain = parsed(&[]).expect("valid");
        assert!(!plain.loud);
        assert_eq!(plain.name, ["x"]);
    }

    #[test]
    fn mistakes_are_named() {
        let (_folder, path) = file("max-session = 7\n");
        let error = parsed(&["--config", &path]).expect_err("a typo");
        assert!(error.to_string().contains("max-session"), "{error}");
        let (_folder, path) = file("max-tracks = 900\n");
        assert!(parsed(&["--config", &path]).is_err());
        let (_folder, path) = file("max-tracks = {}\n");
        assert!(parsed(&["--config", &path]).is_err());
        assert!(parsed(&["--config", "/nowhere/at/all.toml"]).is_err());
        assert!(parsed(&["--token-secret", "short"]).is_err());
    }

    #[test]
    fn the_page_lists_flags_without_secrets() {
        use clap::CommandFactory as _;
        let page = markdown(&Settings::command());
        assert!(
            page.contains("| `--token-secret SECRET` | `VIDEOCALL_TOKEN_SECRET` |  |"),
            "{page}"
        );
        assert!(page.contains("### Relay"), "{page}");
        assert!(page.contains("`8`"), "{page}");
    }
}
