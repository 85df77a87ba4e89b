//! Which pages may call what.
//!
//! Whoever is on this machine may do everything. But a browser on it also runs pages of strangers, and it lets them open a websocket to loopback: all
//! that tells them apart is the header `Origin`, which only browsers send.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};

/// Services that any page may call, as with the reference implementation: apps that were written for it are served from anywhere.
const FOR_ANY_PAGE: [&str; 2] = ["/threads.pb.API/", "/threads.net.pb.API/"];

/// Whether whoever sends this may call the method. Everything else than the interfaces of Textile Threads is for this machine.
pub(super) fn may_call(path: &str, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    FOR_ANY_PAGE.iter().any(|service| path.starts_with(service)) || origin.to_str().is_ok_and(is_this_machine)
}

/// Whether an origin such as `http://localhost:3000` is on this machine. `null`, which is any page that hides its origin, is not.
fn is_this_machine(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let Some(host) = uri.host().filter(|_| uri.scheme().is_some()) else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_strangers_reach_the_textile_interfaces_and_nothing_else() {
        let from = |origin: &str| HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        for origin in [
            "https://example.org",
            "null",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "//localhost",
            "x",
        ] {
            assert!(!may_call("/spool.v1.Spool/GetNode", &from(origin)), "{origin}");
            assert!(may_call("/threads.pb.API/ListDBs", &from(origin)), "{origin}");
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080", "https://app.localhost"] {
            assert!(may_call("/spool.v1.Spool/GetNode", &from(origin)), "{origin}");
        }
        assert!(may_call("/spool.v1.Spool/GetNode", &HeaderMap::new()), "programs send no origin");
    }
}
