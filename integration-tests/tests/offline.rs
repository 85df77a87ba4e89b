//! Being away is normal: whoever comes back gets what it missed from anybody who has it.

#[cfg(test)]
mod offline {
    mod away;
    mod bodies;
    mod many;
    mod membership;
    mod places;
    mod support;
}
