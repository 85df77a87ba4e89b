//! Ids for documents whose writer names none: lower-case ULIDs, which sort by the time of their making.

/// Crockford's base32.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;
const RANDOM_BITS: u32 = 80;
const MAX_RANDOM: u128 = (1 << RANDOM_BITS) - 1;
/// A ULID has 48 bits for the time, until the year 10889.
const MAX_MILLIS: u64 = (1 << 48) - 1;

/// The ULID of a time, in milliseconds since 1970, and random bytes: 26 characters. See <https://github.com/ulid/spec>.
///
/// A time that a ULID has no room for becomes the last one.
pub fn new_id(millis: u64, random: [u8; 10]) -> String {
    encode(millis, number(random))
}

fn number(random: [u8; 10]) -> u128 {
    random.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

fn encode(millis: u64, random: u128) -> String {
    let value = (u128::from(millis.min(MAX_MILLIS)) << RANDOM_BITS) | random;
    let digit = |place: usize| ALPHABET[((value >> (5 * (LENGTH - 1 - place))) & 31) as usize] as char;
    (0..LENGTH).map(digit).collect()
}

/// Makes ids that sort in the order of their making, also within a millisecond and when the clock is set back.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    last: Option<(u64, u128)>,
}

impl Ids {
    /// The next id. The random bytes are taken when the millisecond is a new one; within it the last id is counted up.
    pub fn next(&mut self, millis: u64, random: [u8; 10]) -> String {
        let millis = millis.min(MAX_MILLIS);
        let next = match self.last {
            Some((last, number)) if millis <= last && number < MAX_RANDOM => (last, number + 1),
            // The random part is used up: the next millisecond comes early.
            Some((last, _)) if millis <= last => ((last + 1).min(MAX_MILLIS), number(random)),
            Some(_) | None => (millis, number(random)),
        };
        self.last = Some(next);
        encode(next.0, next.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_specification() {
        let random = [0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b];
        assert_eq!(new_id(1_469_922_850_259, random), "01arz3ndektsv4rrffq69g5fav");
        assert!(new_id(1_469_918_176_385, [0; 10]).starts_with("01aryz6s41"));
        assert_eq!(new_id(MAX_MILLIS, [0xff; 10]), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(new_id(u64::MAX, [0xff; 10]), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(new_id(0, [0; 10]), "0".repeat(26));
    }

    #[test]
    fn ids_sort_as_they_were_made() {
        let mut ids = Ids::default();
        let full = [0xff; 10];
        let made = [
            (5, [7; 10]),
            (5, [1; 10]),
            (4, [1; 10]),
            (6, full),
            (6, [0; 10]),
            (6, [0; 10]),
            (7, [0; 10]),
            (9, [0; 10]),
        ]
        .map(|(millis, random)| ids.next(millis, random));
        assert!(made.is_sorted_by(|one, two| one < two), "{made:?}");
        assert_eq!(made[1], new_id(5, [7, 7, 7, 7, 7, 7, 7, 7, 7, 8]), "counted up within a millisecond");
        assert_eq!(made[4], new_id(7, [0; 10]), "the random part was used up");
        assert_eq!(made[7], new_id(9, [0; 10]));
    }
}
