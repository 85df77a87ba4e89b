//! Skip links: any older record of a log can be certified from its head in O(log n) hops.
//!
//! The scheme is that of Bamboo (<https://github.com/AljoschaMeyer/bamboo>), after Buldas, Laud and Lipmaa's
//! "anti-monotone binary linking": complete trees T₁ = one record, Tₖ₊₁ = three Tₖ and a root; the root of Tₖ₊₁ links
//! past its second and third subtree, the root of a whole log's first such tree too, every other end of a tree links past that tree.

/// The counter that record `n` links to besides its predecessor; 0 for the first record. Where it equals `n - 1` the
/// record carries no skip link.
pub fn lipmaa(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    // The least power of three such that the complete tree (3^k - 1) / 2 holds n.
    let mut power: u128 = 3;
    let target = u128::from(n);
    while (power - 1) / 2 < target {
        power *= 3;
    }
    if (power - 1) / 2 == target {
        return (target - power / 3) as u64;
    }
    // Descend to the subtree that ends at n and jump past it.
    let mut rest = target;
    let mut size = 0;
    power /= 3;
    while rest != 0 {
        size = (power - 1) / 2;
        power /= 3;
        rest %= size;
    }
    (target - size) as u64
}

/// The counters whose CIDs a log of `n` records has to remember so that it can link from every record to come, newest first.
pub fn frontier(n: u64) -> Vec<u64> {
    let mut needed = vec![n];
    // In 128 bits: the tree that holds the greatest counters is larger than those are.
    let target = u128::from(n);
    let mut size: u128 = 1;
    while size < target {
        size = size * 3 + 1;
    }
    if n <= 1 || size == target {
        return needed;
    }
    // The root of the log's first tree links past its second and third subtree, any other root past its whole tree.
    needed.push(((size - 1) / 3) as u64);
    let mut start = 0;
    while size > 1 {
        let subtree = (size - 1) / 3;
        start += (target - start - 1) / subtree * subtree;
        if target == start + subtree {
            break;
        }
        needed.push(start as u64);
        size = subtree;
    }
    needed.sort_unstable_by(|a, b| b.cmp(a));
    needed.dedup();
    needed.retain(|counter| *counter > 0);
    needed
}

/// The counters on the shortest way from record `from` down to record `to`, both included, by links and skip links.
pub fn path(from: u64, to: u64) -> Vec<u64> {
    let mut at = from;
    let mut path = vec![at];
    while at > to {
        let skip = lipmaa(at);
        at = if skip >= to && skip > 0 { skip } else { at - 1 };
        path.push(at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence() {
        // The links drawn in the Bamboo specification, and the ends of some larger trees.
        let expected = [
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 1),
            (5, 4),
            (6, 5),
            (7, 6),
            (8, 4),
            (9, 8),
            (10, 9),
            (11, 10),
            (12, 8),
            (13, 4),
            (14, 13),
            (15, 14),
            (16, 15),
            (17, 13),
            (21, 17),
            (25, 21),
            (26, 13),
            (39, 26),
            (40, 13),
            (121, 40),
        ];
        for (n, link) in expected {
            assert_eq!(lipmaa(n), link, "lipmaa({n})");
        }
    }

    #[test]
    fn the_frontier_is_what_later_records_link_to() {
        let horizon = 9841; // (3^9 - 1) / 2: later records link to nothing below it but to 1093 and more
        let links: Vec<u64> = (0..=horizon).map(lipmaa).collect();
        for n in 1..=1093 {
            let mut expected: Vec<u64> =
                links[n as usize + 1..].iter().copied().filter(|to| (1..=n).contains(to)).collect();
            // Record n + 1 links to n as the record before, whatever its skip link.
            expected.push(n);
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.dedup();
            assert_eq!(frontier(n), expected, "frontier({n})");
        }
    }

    #[test]
    fn a_log_that_keeps_only_the_frontier_can_always_link() {
        let mut kept: Vec<u64> = Vec::new();
        for n in 1..=100_000u64 {
            let link = lipmaa(n);
            assert!(link == 0 || kept.contains(&link), "{n} needs {link}");
            let needed = frontier(n);
            kept.push(n);
            kept.retain(|counter| needed.contains(counter));
            assert_eq!(kept.len(), needed.len());
            assert!(needed.len() <= 24, "{n}");
        }
    }

    #[test]
    fn every_record_is_reached_in_logarithmic_steps() {
        for to in (1..=100_000u64).step_by(997) {
            let path = path(100_000, to);
            assert_eq!((path[0], path[path.len() - 1]), (100_000, to));
            assert!(path.len() < 80, "{} hops to {to}", path.len());
            assert!(path.windows(2).all(|pair| pair[1] == pair[0] - 1 || pair[1] == lipmaa(pair[0])));
        }
    }

    #[test]
    fn the_greatest_counters_do_not_overflow() {
        for n in [u64::MAX, u64::MAX - 1, u64::MAX / 2] {
            assert!(lipmaa(n) < n);
            assert!(frontier(n).len() <= 82);
        }
    }
}
