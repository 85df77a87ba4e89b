//! Numbers, times and foreign text for people.

use std::fmt::Write as _;

use crate::calendar::{civil, days};

/// RFC 3339 in UTC with milliseconds: `2026-11-21T00:04:15.123Z`.
pub(super) fn rfc3339(unix_millis: u64) -> String {
    let (days, millis) = (unix_millis / 86_400_000, unix_millis % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The same for a column of a table: without the `T` and the `Z`.
pub(super) fn time(unix_millis: u64) -> String {
    rfc3339(unix_millis).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// The hybrid time of an event, as `spool db` takes it for a point in the history of a database.
pub(super) fn point(time: u64) -> String {
    format!("time:{time}")
}

/// Unix milliseconds of a date and time of RFC 3339, such as `2026-11-21T00:04:15.123Z`. Also as tables have it, with a space and without
/// an offset, which is UTC then. `None` for all else, and for times before 1970.
pub(super) fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked("2026-11-21".len())?;
    let [year, month, day] = digits(date, '-', [4, 2, 2])?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = time.split_at(time.find(['Z', 'z', '+', '-']).unwrap_or(time.len()));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = digits(clock, ':', [2, 2, 2])?;
    // A leap second is the first of the next minute.
    if hour > 23
        || minute > 59
        || second > 60
        || fraction.is_empty()
        || !fraction.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let local = ((days(year, month, day)? * 24 + hour) * 60 + minute) * 60 + second;
    let seconds = match offset.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => local,
        Some((sign, offset)) => {
            let [hours, minutes] = digits(offset, ':', [2, 2])?;
            let ahead = (hours * 60 + minutes) * 60;
            match sign {
                _ if hours > 23 || minutes > 59 => return None,
                "+" => local.checked_sub(ahead)?,
                "-" => local + ahead,
                _ => return None,
            }
        }
    };
    Some(seconds * 1000 + millis)
}

/// Numbers of so many digits with a separator between them.
fn digits<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part =
            parts.next().filter(|part| part.len() == width && part.bytes().all(|digit| digit.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// `1.5 MiB`
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1,707`
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`
pub(super) fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// `340 ms`, `2.5 s`, `3 min`, `7 h`, `12 d`
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{:.1} s", millis as f64 / 1000.0),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

/// The end of an id, where ids differ: log and peer ids all begin alike.
pub(super) fn short(id: &str) -> String {
    let from = id.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    id[from..].to_owned()
}

/// Text of others for a terminal: on one line, and nothing in it that a terminal obeys.
pub(super) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if is_obeyed(char) {
            write!(safe, "{}", char.escape_default()).expect("a String takes everything");
        } else {
            safe.push(char);
        }
    }
    safe
}

/// JSON text for a terminal: what a terminal would obey is escaped, in a way that is JSON still. Line breaks between values stay.
pub(super) fn shown_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if char != '\n' && is_obeyed(char) {
            write!(safe, "\\u{:04x}", u32::from(char)).expect("a String takes everything");
        } else {
            safe.push(char);
        }
    }
    safe
}

/// Whether a terminal may obey a character rather than show it. Overrides of the writing direction can make a line read as something else.
fn is_obeyed(char: char) -> bool {
    char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `width` characters, with a mark where something is missing.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_517_966_773_840), "2018-02-07T01:26:13.840Z");
        assert_eq!(rfc3339(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(rfc3339((1 << 48) - 1), "10889-08-02T05:31:50.655Z");
        assert_eq!(time(1_517_966_773_840), "2018-02-07 01:26:13.840");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for millis in [0, 951_782_400_000, 1_517_966_773_840, 4_107_542_399_999, 253_402_300_799_999] {
            assert_eq!(parse_rfc3339(&rfc3339(millis)), Some(millis));
            assert_eq!(parse_rfc3339(&time(millis)), Some(millis));
        }
        assert_eq!(parse_rfc3339("2018-02-07T02:26:13+01:00"), Some(1_517_966_773_000));
        assert_eq!(parse_rfc3339("2018-02-06t20:26:13.8409-05:00"), Some(1_517_966_773_840));
        assert_eq!(parse_rfc3339("2016-12-31T23:59:60Z"), parse_rfc3339("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2018-02-07",
            "2018-02-30T00:00:00Z",
            "2018-13-01T00:00:00Z",
            "2018-02-00T00:00:00Z",
            "2018-02-07T24:00:00Z",
            "2018-02-07T00:00Z",
            "2018-02-07T00:00:00.Z",
            "2018-02-07T00:00:00+1:00",
            "2018-02-07T00:00:00Zulu",
            "2018-2-7T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2018-02-07T00:00:+1Z",
            "2018-02-0ä00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_and_counts_read_well() {
        assert_eq!(
            ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"],
            [0, 1023, 1024, 1_572_864].map(bytes).each_ref().map(String::as_str)
        );
        assert_eq!(
            ["7", "999", "1,707", "1,234,567"],
            [7, 999, 1707, 1_234_567].map(number).each_ref().map(String::as_str)
        );
        assert_eq!(["1 log", "0 logs"], [1, 0].map(|n| plural(n, "log")).each_ref().map(String::as_str));
        assert_eq!(duration(u64::MAX), "213503982334 d");
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\nc\u{202e}d é"), "a\\u{1b}[2Jb\\nc\\u{202e}d é");
        let json = serde_json::json!({ "a": "\u{1b}[2J\n\u{9b}\u{202e}ä" });
        let safe = shown_json(&serde_json::to_string_pretty(&json).unwrap());
        assert_eq!(safe, "{\n  \"a\": \"\\u001b[2J\\n\\u009b\\u202eä\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), json);
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(short("12D3KooWabcdefgh"), "abcdefgh");
        assert_eq!(short("né"), "né");
    }
}
