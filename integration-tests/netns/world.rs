//! Namespaces with their devices and addresses, and their end.

use std::{
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{
        OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tun_rs::DeviceBuilder;

use super::{host::Host, link::Link, router::Router};

/// Worlds exist side by side, except for one in which time is measured.
static QUIET: RwLock<()> = RwLock::new(());
/// What the janitor reads; it closes when this process ends, however that happens.
static JANITOR: OnceLock<Option<ChildStdin>> = OnceLock::new();
/// Devices made by this process, so that all have names of their own.
static DEVICES: AtomicU32 = AtomicU32::new(0);
/// The same for namespaces.
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// Hosts, and the router between them.
pub(crate) struct World {
    namespaces: Vec<String>,
    router: Router,
    runtime: Runtime,
    directory: TempDir,
    seed: u64,
    hosts: u8,
    _guard: Guard,
}

/// How long others are kept out, and whom.
#[expect(dead_code, reason = "held, not read")]
enum Guard {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl World {
    /// A world for one scenario, beside others; `None`, and a word about it, where there can be none.
    pub(crate) fn new(scenario: &str) -> Option<Self> {
        Self::guarded(scenario, || Guard::Shared(QUIET.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The same, with no other world beside it: for what is measured.
    pub(crate) fn alone(scenario: &str) -> Option<Self> {
        Self::guarded(scenario, || Guard::Alone(QUIET.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn guarded(scenario: &str, guard: impl FnOnce() -> Guard) -> Option<Self> {
        static POSSIBLE: OnceLock<Result<(), String>> = OnceLock::new();
        if let Err(why) = POSSIBLE.get_or_init(possible) {
            say(&format!("left out: {scenario}: {why}"));
            return None;
        }
        let guard = guard();
        JANITOR.get_or_init(janitor);
        let seed = std::env::var("SPOOL_NETNS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(rand::random::<u64>);
        say(&format!("{scenario}: SPOOL_NETNS_SEED={seed}"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (namespaces, router) = (Vec::new(), Router::new(seed));
        Some(Self { namespaces, router, runtime, directory, seed, hosts: 0, _guard: guard })
    }

    /// A host of its own that the others reach.
    pub(crate) fn host(&mut self, name: &str, link: Link) -> Host {
        let (namespace, address) = self.attached(name, link);
        self.inhabit(name, namespace, address)
    }

    /// A host behind a router that translates addresses and lets nothing in that was not asked for. Its address is that of the router.
    pub(crate) fn host_behind_nat(&mut self, name: &str, link: Link) -> Host {
        let (outside, address) = self.attached(&format!("{name}nat"), link);
        let inside = self.namespace(name);
        let (near, far) = (device(), device());
        ip(&["-n", &outside, "link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &inside]);
        for (namespace, device, address) in [(&outside, &near, "192.168.0.1/24"), (&inside, &far, "192.168.0.2/24")] {
            ip(&["-n", namespace, "addr", "add", address, "dev", device]);
            ip(&["-n", namespace, "link", "set", device, "up"]);
        }
        ip(&["-n", &inside, "route", "add", "default", "via", "192.168.0.1"]);
        let rules = format!(
            "table ip nat {{
                 chain out {{
                     type nat hook postrouting priority 100
                     iifname \"{near}\" masquerade
                 }}
             }}
             table ip guard {{
                 chain here {{
                     type filter hook input priority 0
                     iifname != \"{near}\" ct state != {{ established, related }} drop
                 }}
                 chain through {{
                     type filter hook forward priority 0
                     iifname != \"{near}\" ct state != {{ established, related }} drop
                 }}
             }}"
        );
        let shell = "echo 1 > /proc/sys/net/ipv4/ip_forward && printf '%s\\n' \"$1\" | nft -f -";
        run("ip", &["netns", "exec", &outside, "sh", "-c", shell, "sh", &rules]);
        self.inhabit(name, inside, address)
    }

    /// A namespace that the others reach, for whoever is to act in it.
    pub(crate) fn visitor(&mut self, name: &str, link: Link) -> String {
        self.attached(name, link).0
    }

    /// What is random here follows from it.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Changes the link of a host.
    pub(crate) fn set(&self, host: &Host, change: impl FnOnce(&mut Link)) {
        self.router.set(host.address, change);
    }

    fn inhabit(&self, name: &str, namespace: String, address: Ipv4Addr) -> Host {
        Host::new(name, namespace, address, self.directory.path())
    }

    /// A namespace that the router reaches.
    fn attached(&mut self, name: &str, link: Link) -> (String, Ipv4Addr) {
        let namespace = self.namespace(name);
        self.hosts += 1;
        let address = Ipv4Addr::new(10, 77, 0, self.hosts);
        let device = device();
        let _runtime = self.runtime.enter();
        let tun = DeviceBuilder::new().name(&device).build_async().expect("a TUN device");
        // The end that is a file stays here.
        ip(&["link", "set", &device, "netns", &namespace]);
        ip(&["-n", &namespace, "addr", "add", &format!("{address}/16"), "dev", &device]);
        ip(&["-n", &namespace, "link", "set", &device, "multicast", "on", "mtu", "1400", "up"]);
        ip(&["-n", &namespace, "route", "add", "default", "dev", &device]);
        self.router.connect(address, tun, link);
        (namespace, address)
    }

    fn namespace(&mut self, name: &str) -> String {
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{}{number}{name}", own_prefix());
        ip(&["netns", "add", &namespace]);
        self.namespaces.push(namespace.clone());
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        namespace
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            remove(namespace);
        }
    }
}

/// Removes the namespaces of this process when it has ended, also where it was killed. Devices go with the namespaces that they are in.
fn janitor() -> Option<ChildStdin> {
    let script = "cat > /dev/null; for name in $(ip netns list | cut -d ' ' -f 1); do
        case $name in \"$1\"*) ip netns del \"$name\" ;; esac
    done";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &own_prefix()]);
    // In a group of its own: it outlives what ends this one.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok()?.stdin
}

/// How the namespaces of this process begin.
fn own_prefix() -> String {
    format!("spool-test-{}-", std::process::id())
}

fn remove(namespace: &str) {
    let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
}

/// Why there can be no worlds here.
fn possible() -> Result<(), String> {
    if std::env::var_os("SPOOL_NETNS").is_some_and(|wish| wish == "off") {
        return Err("SPOOL_NETNS is off".into());
    }
    let works = |program: &str, args: &[&str]| {
        let run = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    if !works("sh", &["-c", "test \"$(id -u)\" = 0"]) {
        return Err("it needs root".into());
    }
    DeviceBuilder::new()
        .name(device())
        .build_sync()
        .map_err(|error| format!("there are no TUN devices here: {error}"))?;
    let probe = format!("{}probe", own_prefix());
    let made =
        works("ip", &["netns", "add", &probe]) && works("ip", &["netns", "exec", &probe, "nft", "list", "ruleset"]);
    remove(&probe);
    made.then_some(()).ok_or_else(|| "`ip netns` and `nft` do not work here".into())
}

fn device() -> String {
    let number = DEVICES.fetch_add(1, Ordering::Relaxed);
    format!("sp{}x{number}", std::process::id())
}

fn ip(args: &[&str]) {
    run("ip", args);
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A line for whoever runs the tests, whether they fail or not.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    // Straight to standard error: the test runner keeps what goes through macros.
    let _ = writeln!(std::io::stderr().lock(), "netns: {text}");
}

/// Where a host keeps its files.
pub(crate) fn place(directory: &Path, name: &str) -> PathBuf {
    directory.join(name)
}
