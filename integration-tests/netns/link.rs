//! What a link does to packets.

use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

/// How long packets may queue before a link that is too slow for them: as long as in a cheap modem.
const MAX_QUEUE: Duration = Duration::from_millis(400);

/// The link between a host and the router, the same in both directions.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// One way.
    pub(crate) latency: Duration,
    /// Up to so much more, at random: packets overtake each other.
    pub(crate) jitter: Duration,
    /// Share of packets that are lost, each way.
    pub(crate) loss: f64,
    /// Bytes a second; none is as many as come.
    pub(crate) rate: Option<u64>,
    /// Whether it carries anything.
    pub(crate) is_up: bool,
    /// Hosts of different sides do not reach each other.
    pub(crate) side: u8,
}

impl Default for Link {
    fn default() -> Self {
        Self { latency: Duration::from_millis(1), jitter: Duration::ZERO, loss: 0.0, rate: None, is_up: true, side: 0 }
    }
}

/// A link in one direction, with what is on it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    free_at: Option<Instant>,
}

impl Lane {
    /// When a packet is through, which entered at `now`; `None`: it is lost.
    pub(crate) fn pass(&mut self, link: &Link, bytes: usize, now: Instant, rng: &mut StdRng) -> Option<Instant> {
        if !link.is_up || (link.loss > 0.0 && rng.random_bool(link.loss)) {
            return None;
        }
        let mut leaves = now;
        if let Some(rate) = link.rate {
            let begins = self.free_at.map_or(now, |free| free.max(now));
            if begins - now > MAX_QUEUE {
                return None;
            }
            leaves = begins + Duration::from_secs_f64(bytes as f64 / rate as f64);
            self.free_at = Some(leaves);
        }
        let jitter = link.jitter.mul_f64(rng.random::<f64>());
        Some(leaves + link.latency + jitter)
    }
}
