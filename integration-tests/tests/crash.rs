//! Real daemons that are killed at random moments, in the middle of their work. What was acknowledged is there afterwards, and nobody ever
//! sees a fork.

#[cfg(test)]
mod crash {
    mod follower;
    mod moments;
    mod transactions;
    mod writer;
}
