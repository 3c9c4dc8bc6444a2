//! docs/configuration.md says what the servers' settings are. `VIDEOCALL_WRITE_DOCS=1` in front of
//! this test writes it anew.

use std::path::Path;

use clap::CommandFactory as _;
use relay_runtime::config::markdown;

const INTRODUCTION: &str = "\
# Configuration

Every server takes its settings from, in this order: a flag, an environment variable, the file given by
`--config`, the default. The file is TOML whose keys are the long names of flags:

```toml
max-sessions = 2000
log-format = \"json\"
nats-url = \"nats://nats:4222\"
```

`--help` shows the same as this page. It is written from the programs themselves by
`VIDEOCALL_WRITE_DOCS=1 cargo test -p videocall-server --test configuration` and compared in every test run.

";

#[test]
fn the_page_is_what_the_programs_say() {
    let sections = [
        videocall_server::Settings::command(),
        actix_api::Settings::command(),
        webtransport_server::Settings::command(),
    ];
    let sections: Vec<_> = sections.iter().map(markdown).collect();
    let expected = format!("{INTRODUCTION}{}", sections.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("VIDEOCALL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page is writable");
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "docs/configuration.md is not what the programs say; run this test with VIDEOCALL_WRITE_DOCS=1"
    );
}
