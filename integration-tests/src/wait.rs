//! Waiting for what must happen.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How long a test waits for what must happen: far longer than it takes, because machines that build and test at once are slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` was waited for.
pub async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits for a future.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}
