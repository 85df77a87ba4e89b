//! Power cuts, in process, on a disk that forgets what was not synced. A node never contradicts what it had sent.

#[cfg(test)]
mod power {
    mod follower;
    mod writer;
}
