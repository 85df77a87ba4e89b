//! Which pages may call.
//!
//! Programs on this machine may. But a browser on it also runs pages of strangers, and it lets them open a websocket to loopback: all
//! that tells them apart is the header `Origin`, which only browsers send.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Uri, header};

/// Pages that may call beside those of this machine.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// These, as browsers write them: `https://app.example.org`.
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self(origins.into_iter().collect())
    }

    /// Whether whoever sends this may call.
    pub(super) fn permit(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        self.0.iter().any(|known| known == origin) || is_this_machine(origin)
    }
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
    fn pages_of_this_machine_and_those_that_are_listed_may_call() {
        let origins = Origins::new(["https://app.example.org".to_owned()]);
        let permits = |origin: &str| origins.permit(&HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]));
        for origin in [
            "https://example.org",
            "http://app.example.org",
            "https://app.example.org:8443",
            "null",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "//localhost",
            "x",
        ] {
            assert!(!permits(origin), "{origin}");
        }
        for origin in [
            "https://app.example.org",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:8080",
            "https://app.localhost",
        ] {
            assert!(permits(origin), "{origin}");
        }
        assert!(origins.permit(&HeaderMap::new()), "programs send no origin");
    }
}
