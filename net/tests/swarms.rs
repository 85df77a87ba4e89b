//! Real swarms on the loopback interface. No test sleeps: each waits for what must happen, with a generous timeout.

#[cfg(test)]
mod swarms {
    mod connections;
    mod discovery;
    mod gossip;
    mod misbehaviour;
    mod queues;
    mod raw;
    mod requests;
    mod support;
}
