//! Disks that refuse a write, are full, or do not confirm a sync: a clear error, and a node that still reads.

#[cfg(test)]
mod disk {
    mod faulty;
    mod small;
}
