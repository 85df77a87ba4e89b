//! What this machine says: repository, disk, clock, files, ports.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime};

use spool_proto::Multiaddr;
use spool_proto::vault::State;

use super::Check;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::config::Config;
use crate::process;
use crate::repo::{Error, Repo};

/// Files that a busy node may have open: a few hundred connections and the tables of the store.
const FEW_FILES: u64 = 1_024;
/// A file that is newer than this clock by so much was written under another one.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The repository and its disk; the repository itself if it can be used.
pub(super) fn repository(context: &Context) -> Result<(Vec<Check>, Option<Repo>), Failure> {
    let dir = context.dir()?;
    let repo = match Repo::open(&dir) {
        Ok(repo) => repo,
        Err(error) => {
            let advice = match &error {
                Error::Missing(_) => "make one with `spool init`, or name another place with --repo".into(),
                Error::Io { .. } => format!("see who owns {} and may enter it", dir.display()),
                _ => "the message says what can be done".into(),
            };
            return Ok((vec![Check::broken("repository", crate::chain(&error), advice)], None));
        }
    };
    let mut repo = repo;
    let mut checks = vec![keys(context, &mut repo)?];
    let secrets = match repo.is_unlocked() {
        Ok(true) => repo.node_key().map(drop).and_then(|()| repo.identity().map(drop)),
        // The keys themselves are not looked at without the passphrase.
        Ok(false) | Err(_) => Ok(()),
    };
    match secrets.and_then(|()| repo.device().map(drop)) {
        Ok(()) => checks.insert(0, Check::good("repository", dir.display().to_string())),
        Err(error) => {
            checks.insert(0, Check::broken("repository", crate::chain(&error), "put the file back from a backup"));
        }
    }
    for (path, mode) in repo.exposed() {
        let found = format!("others on this machine can read {} (mode {mode:o})", path.display());
        checks.push(Check::broken("permissions", found, format!("chmod 600 {}", path.display())));
    }
    checks.push(disk(repo.dir()));
    Ok((checks, Some(repo)))
}

/// Whether the keys are under a passphrase, and under the one that was given, if one was: nobody is asked.
fn keys(context: &Context, repo: &mut Repo) -> Result<Check, Failure> {
    let file = match repo.key_file() {
        Ok(Some(file)) => file,
        Ok(None) => {
            let found =
                "in the open: whoever has the disk has them (`spool repo passphrase set` puts them under a passphrase)";
            return Ok(Check::good("keys", found));
        }
        Err(error) => {
            return Ok(Check::broken("keys", crate::chain(&error), "put repo.key back from a backup"));
        }
    };
    if file.state() != State::Sealed {
        let advice = "start the daemon, or run `spool repo passphrase set` with the same passphrase";
        return Ok(Check::doubtful("keys", "setting or removing the passphrase was interrupted", advice));
    }
    let cost = format!("Argon2id, {} MiB, {} passes", file.parameters().kib() / 1024, file.parameters().passes());
    let Some(passphrase) = context.given()? else {
        return Ok(Check::good("keys", format!("under a passphrase ({cost}), which was not given to look at them")));
    };
    Ok(match repo.unlock(&passphrase) {
        Ok(()) => Check::good("keys", format!("under the passphrase that was given ({cost})")),
        Err(error) => {
            Check::broken("keys", crate::chain(&error), "give the one that it has, or put repo.key back from a backup")
        }
    })
}

fn disk(directory: &Path) -> Check {
    match crate::node::disk(directory) {
        Err(fault) => Check::broken("disk", fault, "free some space, or let this user write there"),
        Ok(()) => {
            let free = fs4::available_space(directory).unwrap_or_default();
            Check::good("disk", format!("can be written, {} free", crate::cli::format::bytes(free)))
        }
    }
}

/// The clock on its own, and next to what was written before.
pub(super) fn clock(repo: Option<&Repo>) -> Check {
    let now = SystemTime::now();
    let advice = "set the clock, by NTP best: events are ordered by it";
    if let Some(fault) = process::clock_fault(now) {
        return Check::broken("clock", fault, advice);
    }
    let newest = repo.into_iter().flat_map(|repo| [repo.dir().to_owned(), repo.store_dir()]).filter_map(|place| {
        let entries = std::fs::read_dir(place).ok()?;
        entries.flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
    });
    match newest.max().and_then(|newest| newest.duration_since(now).ok()).filter(|ahead| *ahead > CLOCK_TOLERANCE) {
        Some(ahead) => {
            let ahead = crate::cli::format::duration(ahead.as_millis() as u64);
            Check::broken("clock", format!("it is {ahead} behind the time at which the repository was written"), advice)
        }
        None => Check::good("clock", "plausible"),
    }
}

/// How many files a process may have open.
pub(super) fn files() -> Option<Check> {
    let most = process::most_files()?;
    Some(match most < FEW_FILES {
        true => Check::doubtful("open files", format!("at most {most}"), "raise it: `ulimit -n 65536`, or LimitNOFILE"),
        false => Check::good("open files", format!("at most {most}")),
    })
}

/// Whether a process has the repository.
pub(super) fn is_held(repo: Option<&Repo>) -> bool {
    repo.is_some_and(|repo| matches!(repo.clone().lock(), Err(Error::InUse { .. })))
}

/// Whether a daemon could listen where it is told to.
pub(super) fn ports(config: &Config) -> Vec<Check> {
    let local = [("api", Some(config.api)), ("web", config.web), ("http", config.http)];
    let local = local
        .into_iter()
        .filter_map(|(setting, address)| Some((setting, address?.to_string(), TcpListener::bind(address?).map(drop))));
    let others = config.listen.iter().filter_map(|address| Some(("listen", address.to_string(), bind(address)?)));
    let mut checks: Vec<_> = local
        .chain(others)
        .filter_map(|(setting, address, bound)| {
            let error = bound.err()?;
            let advice = format!("end what listens there, or choose another address with --{setting}");
            Some(Check::broken("ports", format!("cannot listen on {address}: {error}"), advice))
        })
        .collect();
    if checks.is_empty() {
        checks.push(Check::good("ports", "all that are configured can be listened on"));
    }
    checks
}

/// Listens for a moment; none where the address is of a kind that is not tried here.
fn bind(address: &Multiaddr) -> Option<std::io::Result<()>> {
    let text = address.to_string();
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["", "ip4" | "ip6", ip, "tcp", port, ..] => {
            Some(TcpListener::bind((ip.parse::<std::net::IpAddr>().ok()?, port.parse().ok()?)).map(drop))
        }
        ["", "ip4" | "ip6", ip, "udp", port, ..] => {
            Some(UdpSocket::bind((ip.parse::<std::net::IpAddr>().ok()?, port.parse().ok()?)).map(drop))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_found_for_tcp_and_udp() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (tcp, udp) = (
            tcp.local_addr().map(|address| (address, tcp)).unwrap(),
            udp.local_addr().map(|address| (address, udp)).unwrap(),
        );
        let taken =
            [format!("/ip4/127.0.0.1/tcp/{}", tcp.0.port()), format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.0.port())];
        for address in &taken {
            assert!(bind(&address.parse().unwrap()).unwrap().is_err(), "{address}");
        }
        assert!(bind(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap().is_ok());
        assert!(bind(&"/dns4/localhost/tcp/0".parse().unwrap()).is_none());
        let config = Config {
            listen: taken.iter().map(|address| address.parse().unwrap()).collect(),
            api: tcp.0,
            web: None,
            http: None,
            ..Config::default()
        };
        assert_eq!(ports(&config).len(), 3);
    }
}
