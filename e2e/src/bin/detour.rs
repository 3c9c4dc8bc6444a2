//! A way to a server that changes, for clients that are other programs: `detour udp HOST:PORT` or `detour tcp HOST:PORT`.
//!
//! Says in a line of JSON where it begins, and then takes a line of JSON at a time. Of UDP, `"change"` gives every client
//! another address, as when a telephone goes from one network to another, and is answered with their number, and
//! `{"begin": {"up": …, "down": …}}` begins conditions; of TCP, `"change"` cuts every connection. Each line is answered
//! with one. It ends with its input.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use e2e::proxy::{Conditions, UdpProxy};
use e2e::{Cable, dialogue};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Command {
    Begin(Box<Conditions>),
    Change,
}

enum Way {
    Udp(UdpProxy),
    Tcp(Cable),
}

impl Way {
    async fn open(kind: &str, target: SocketAddr) -> anyhow::Result<Self> {
        Ok(match kind {
            "udp" => Self::Udp(UdpProxy::to(target, Conditions::default()).await?),
            "tcp" => Self::Tcp(Cable::to(&target.to_string()).await?),
            _ => bail!("'{kind}' is neither udp nor tcp"),
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Udp(proxy) => proxy.address(),
            Self::Tcp(cable) => cable.address(),
        }
    }

    async fn obey(&self, command: Command) -> anyhow::Result<Value> {
        match (self, command) {
            (Self::Udp(proxy), Command::Begin(conditions)) => proxy.begin(*conditions),
            (Self::Udp(proxy), Command::Change) => return Ok(json!({ "changed": proxy.rebind().await? })),
            (Self::Tcp(cable), Command::Change) => cable.cut(),
            (Self::Tcp(_), Command::Begin(_)) => bail!("a cable has no conditions"),
        }
        Ok(json!({ "done": true }))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: detour udp|tcp HOST:PORT";
    let kind = arguments.next().context(usage)?;
    let target = arguments.next().context(usage)?;
    let target = target
        .parse()
        .with_context(|| format!("'{target}' is no address with a port"))?;
    let way = Way::open(&kind, target).await?;
    dialogue::say(&json!({ "address": way.address() }));
    dialogue::answer_each(async |command| way.obey(command).await).await
}
