//! Following as a service: nodes that were asked to keep threads which they cannot read.

#[cfg(test)]
mod following {
    mod asked;
    mod ended;
    mod quotas;
    mod retention;
    mod standing;
    mod support;
}
