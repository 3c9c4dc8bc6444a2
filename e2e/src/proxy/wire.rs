//! A network of its own for unmodified programs: a network namespace whose only way out leads through a path with
//! conditions, packet by packet.
//!
//! What loss and a slow line do to TCP is decided by the TCP of both ends; a proxy that relays its bytes cannot make
//! it. So two TUN devices carry whole IP packets, TCP's and UDP's alike, between the namespace and the rest of the
//! machine. This needs root, for the devices and for the namespace; the kernel's own emulation (netem) is not needed.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_tun::Tun;

use super::conditions::Conditions;
use super::path::{Path, Way};
use super::report::Report;

/// Larger than any packet: what a TUN device hands over is at most its MTU.
const LARGEST: usize = 2048;

/// What TCP uses on both ends. It is what most computers use; what this machine uses otherwise does not matter.
const TCP_CONGESTION_CONTROL: &str = "cubic";

/// A namespace and the way to it. Both go with it.
#[derive(Debug)]
pub struct Wire {
    namespace: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
    path: Arc<Path<Bytes>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// Makes one; `number` tells several on one machine apart.
    ///
    /// # Errors
    /// When this is not allowed: it needs root.
    pub async fn new(number: u16, conditions: Conditions) -> anyhow::Result<Self> {
        let namespace = format!("videocall-{number}");
        let [near_name, far_name] = ["n", "f"].map(|side| format!("vc{side}{number}"));
        // RFC 2544 §C.2.2: for measuring networks; four addresses for each number.
        let [near, far] =
            [1, 2].map(|host| Ipv4Addr::from(0xc612_0000 + ((u32::from(number) % 0x7fff) << 2) + host));
        let near_device = device(&near_name)?;
        let far_device = device(&far_name)?;
        // A namespace that was left behind would stand in the way.
        let _there_was_none = ip(&format!("netns del {namespace}")).await;
        ip(&format!("netns add {namespace}")).await?;
        let path = Arc::new(Path::new(conditions));
        let mut wire = Self {
            namespace,
            near,
            far,
            path: path.clone(),
            _tasks: JoinSet::new(),
        };
        let inside = format!("-n {}", wire.namespace);
        ip(&format!("link set {far_name} netns {}", wire.namespace)).await?;
        ip(&format!("{inside} link set lo up")).await?;
        attach("", &near_name, near, far).await?;
        attach(&inside, &far_name, far, near).await?;
        let (near_device, far_device) = (Arc::new(near_device), Arc::new(far_device));
        wire._tasks.spawn(take(far_device.clone(), Way::Up, path.clone()));
        wire._tasks
            .spawn(take(near_device.clone(), Way::Down, path.clone()));
        wire._tasks.spawn(async move {
            loop {
                let (way, packet) = path.receive().await;
                let device = if way == Way::Up { &near_device } else { &far_device };
                // What a device does not take is lost, as on any network.
                let _sent = device.send(&packet).await;
            }
        });
        Ok(wire)
    }

    /// The name of the namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// This machine's address, as programs in the namespace reach it.
    pub fn near(&self) -> Ipv4Addr {
        self.near
    }

    /// The address inside.
    pub fn far(&self) -> Ipv4Addr {
        self.far
    }

    /// Other conditions from now on; nothing that was counted remains. Up is from the namespace.
    pub fn begin(&self, conditions: Conditions) {
        self.path.begin(conditions);
    }

    /// Forgets what was counted; the conditions go on.
    pub fn forget(&self) {
        self.path.forget();
    }

    /// What has passed since the conditions began, or since that.
    pub fn report(&self) -> Report {
        self.path.report()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The devices go with their files; what cannot be deleted is deleted by the next one of this number.
        let _gone = std::process::Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}

fn device(name: &str) -> anyhow::Result<Tun> {
    let made = Tun::builder().name(name).close_on_exec().build();
    let devices = made.with_context(|| format!("cannot make the network device {name}; run as root"))?;
    devices.into_iter().next().context("no device was made")
}

/// Gives a device its address and the route to the other end.
async fn attach(options: &str, name: &str, own: Ipv4Addr, other: Ipv4Addr) -> anyhow::Result<()> {
    // IPv6 would only add packets by which the ends look for one another.
    ip(&format!("{options} link set {name} addrgenmode none up")).await?;
    ip(&format!("{options} addr add {own} peer {other} dev {name}")).await?;
    let congestion = format!("congctl {TCP_CONGESTION_CONTROL}");
    ip(&format!(
        "{options} route replace {other} dev {name} src {own} {congestion}"
    ))
    .await
}

async fn ip(arguments: &str) -> anyhow::Result<()> {
    let run = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .await;
    let output = run.context("the program ip is missing (Debian: iproute2)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {}", said.trim());
    Ok(())
}

async fn take(device: Arc<Tun>, way: Way, path: Arc<Path<Bytes>>) {
    let mut buffer = [0; LARGEST];
    // The device ends with the program.
    while let Ok(length) = device.recv(&mut buffer).await {
        let packet = &buffer[..length];
        if packet.first().is_some_and(|first| first >> 4 == 4) {
            path.send(way, length as u64, Bytes::copy_from_slice(packet));
        }
    }
}
