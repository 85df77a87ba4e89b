/// A key space of its own with its own tuning: a column family in RocksDB. What the keys look like is specified in [`crate::keys`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Schema version, counters, the node's settings.
    Meta,
    /// Threads: their local number and state; removals under way.
    Threads,
    /// Logs: their local number and state.
    Logs,
    /// Records of main chains.
    Records,
    /// Records kept beside the main chain of a forked log.
    Inert,
    /// From a digest to what has it: a record's place, a block's size.
    Index,
    /// Blocks.
    Blocks,
    /// Which thread refers to which block, and which blocks are wanted.
    References,
    /// The address book.
    Addresses,
    /// What was folded from threads' events, and can be folded again.
    Views,
}

impl Space {
    /// All of them, in declaration order.
    pub const ALL: [Space; 10] = [
        Space::Meta,
        Space::Threads,
        Space::Logs,
        Space::Records,
        Space::Inert,
        Space::Index,
        Space::Blocks,
        Space::References,
        Space::Addresses,
        Space::Views,
    ];

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Space::Meta => "meta",
            Space::Threads => "threads",
            Space::Logs => "logs",
            Space::Records => "records",
            Space::Inert => "inert",
            Space::Index => "index",
            Space::Blocks => "blocks",
            Space::References => "references",
            Space::Addresses => "addresses",
            Space::Views => "views",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_space_at_its_index() {
        for (index, space) in Space::ALL.into_iter().enumerate() {
            assert_eq!(space as usize, index);
        }
    }
}
