//! How much work a regular expression can be, read off its text.

/// What matching pays for a class of characters by property, such as `\p{L}`: many ranges of them.
const PROPERTY: u64 = 64;
/// Groups within one another. More than anybody writes.
const MAX_GROUPS: usize = 64;

/// Why a regular expression is none that can be bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    /// Needs backtracking.
    #[error("look-around and back-references cannot be matched in bounded time: write it without")]
    Backtracking,
    /// Changes how the rest is to be read.
    #[error("flags such as (?i) are not part of the regular expressions of JSON Schema")]
    Flags,
    /// Groups within groups.
    #[error("its groups are more than {MAX_GROUPS} deep")]
    Groups,
}

/// The atoms of a pattern, those in counted repetitions as often as they may be repeated.
///
/// An upper bound up to a constant factor; what is no regular expression at all has some weight, too, and fails later.
pub(super) fn weight(pattern: &str) -> Result<u64, Unbounded> {
    let mut reader = Reader { rest: pattern };
    // Per open group: what it weighs so far, and its last atom, which a repetition multiplies.
    let mut groups: Vec<(u64, u64)> = vec![(0, 0)];
    while let Some(character) = reader.next() {
        let atom = match character {
            '(' => {
                let begins = |with: &[&str]| with.iter().any(|begin| reader.rest.starts_with(begin));
                if begins(&["?=", "?!", "?<=", "?<!"]) {
                    return Err(Unbounded::Backtracking);
                }
                if begins(&["?"]) && !begins(&["?:", "?<"]) {
                    return Err(Unbounded::Flags);
                }
                if groups.len() > MAX_GROUPS {
                    return Err(Unbounded::Groups);
                }
                groups.push((0, 0));
                continue;
            }
            ')' if groups.len() > 1 => {
                let (sum, last) = groups.pop().unwrap_or_default();
                sum.saturating_add(last)
            }
            '{' => {
                if let Some(times) = reader.repetition()
                    && let Some((_, last)) = groups.last_mut()
                {
                    *last = last.saturating_mul(times);
                    continue;
                }
                1
            }
            // What they repeat is still the last atom: a count may follow.
            '*' | '+' | '?' => continue,
            '[' => reader.class(),
            '\\' => match reader.next() {
                Some('1'..='9' | 'k') => return Err(Unbounded::Backtracking),
                Some('p' | 'P') => reader.property(),
                Some(_) | None => 1,
            },
            _ => 1,
        };
        if let Some((sum, last)) = groups.last_mut() {
            *sum = sum.saturating_add(*last);
            *last = atom;
        }
    }
    // Groups that nobody has closed are counted as if they were.
    Ok(groups.into_iter().fold(1, |total: u64, (sum, last)| total.saturating_add(sum).saturating_add(last)))
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next()?;
        self.rest = characters.as_str();
        Some(character)
    }

    /// After a brace: how often at most, if it is a repetition.
    fn repetition(&mut self) -> Option<u64> {
        let (inner, rest) = self.rest.split_once('}')?;
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let least = number(least);
        let most = number(most);
        // `{3,}` is three and then a star; `{,3}` is at most three to some engines.
        let times = least.max(most)?;
        self.rest = rest;
        Some(times.saturating_add(1))
    }

    /// After `\p`.
    fn property(&mut self) -> u64 {
        if self.rest.starts_with('{')
            && let Some((_, rest)) = self.rest.split_once('}')
        {
            self.rest = rest;
        }
        PROPERTY
    }

    /// After a bracket, to the first that may close it: what is read as outside although it is within only adds weight.
    fn class(&mut self) -> u64 {
        let mut weight = 1;
        while let Some(character) = self.next() {
            match character {
                ']' => break,
                '\\' if matches!(self.next(), Some('p' | 'P')) => weight = PROPERTY,
                character if !character.is_ascii() => weight = PROPERTY,
                _ => {}
            }
        }
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_multiply_only_what_they_repeat() {
        let weight = |pattern: &str| weight(pattern).unwrap();
        assert_eq!(weight("abc"), 4);
        assert_eq!(weight("^[0-9a-f]{8}-[0-9a-f]{4}$"), 1 + 1 + 9 + 1 + 5 + 1);
        assert_eq!(weight("(ab){9}c"), 1 + 20 + 1);
        assert_eq!(weight("(a{9}){9}"), 1 + 100);
        for pattern in ["(a{9})*{9}", "(a{9})+{9}", "(a{9})?{9}", "(a{9})??{9}"] {
            assert_eq!(weight(pattern), 1 + 100, "repetitions of repetitions: {pattern}");
        }
        assert_eq!(weight("[[]a{9}"), 1 + 1 + 10);
        assert_eq!(weight(r"\{9}"), 1 + 3);
        assert_eq!(weight(r"\p{L}{9}"), 1 + 640);
        assert!(weight("((((a{1000}){1000}){1000}){1000})") > 1_000_000_000_000);
        assert_eq!(weight("a{99999999999999999999}{9}"), u64::MAX);
    }

    #[test]
    fn what_needs_backtracking_is_refused() {
        for pattern in ["(?=a)", "x(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", r"(?<n>a)\k<n>"] {
            assert_eq!(weight(pattern), Err(Unbounded::Backtracking), "{pattern}");
        }
        assert_eq!(weight(&"(".repeat(100)), Err(Unbounded::Groups));
        assert_eq!(weight("(?x)a {9}"), Err(Unbounded::Flags));
        assert!(weight(r"(?<name>a)(?:b)[(?=]\\1").is_ok());
    }
}
