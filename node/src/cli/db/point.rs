//! Points in the history of a database, as people write them.

use std::str::FromStr;

use spool_db::history::VersionId;

use super::super::exit::Failure;
use super::super::format;
use crate::api::pb;

/// What `--help` says about them.
pub(super) const HELP: &str = "\
A POINT is one of
  tag:NAME                   what `spool db tag` has named
  time:N                     the time of an event, as `--json` has it in `point`
  version:V                  a version of one document, see `spool db history`
  2026-11-21T12:00:00Z       a date and time of RFC 3339; also as tables have it, in UTC
  @1795262400                seconds since 1970";

/// When.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Point {
    Tag(String),
    /// A hybrid time.
    Time(u64),
    UnixMillis(u64),
    /// Of one document.
    Version(VersionId),
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("tag:") {
            return if name.is_empty() { Err("a tag has a name".into()) } else { Ok(Self::Tag(name.into())) };
        }
        if let Some(time) = text.strip_prefix("time:") {
            return time.parse().map(Self::Time).map_err(|_| "time: is followed by a number".into());
        }
        if let Some(version) = text.strip_prefix("version:") {
            return version.parse().map(Self::Version).map_err(|error: spool_db::history::Malformed| error.to_string());
        }
        if let Some(seconds) = text.strip_prefix('@') {
            return unix_millis(seconds)
                .map(Self::UnixMillis)
                .ok_or_else(|| "@ is followed by seconds since 1970".into());
        }
        let millis = format::parse_rfc3339(text).map(Self::UnixMillis);
        millis.ok_or_else(|| {
            "expected tag:NAME, time:N, version:V, a date and time such as 2026-11-21T12:00:00Z, or @SECONDS".into()
        })
    }
}

/// Milliseconds of `1795262400` or `1795262400.5`.
fn unix_millis(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(millis)
}

impl Point {
    /// Refuses a version, where more than one document is meant.
    pub(super) fn of_many(self) -> Result<Self, Failure> {
        match self {
            Self::Version(_) => {
                Err(Failure::usage("a version is a point of one document; name a tag or a time for more than one"))
            }
            other => Ok(other),
        }
    }
}

impl From<Point> for pb::Point {
    fn from(point: Point) -> Self {
        use pb::point::Point as Kind;
        let kind = match point {
            Point::Tag(name) => Kind::Tag(name),
            Point::Time(time) => Kind::Time(time),
            Point::UnixMillis(millis) => Kind::UnixMs(millis),
            Point::Version(version) => Kind::Version(version.to_string()),
        };
        Self { point: Some(kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_written_in_five_ways() {
        let version = "00112233445566778899aabbccddeeff";
        for (text, point) in [
            ("tag:first draft", Point::Tag("first draft".into())),
            ("tag:time:3", Point::Tag("time:3".into())),
            ("time:99485131570413568", Point::Time(99_485_131_570_413_568)),
            ("version:00112233445566778899aabbccddeeff", Point::Version(version.parse().unwrap())),
            ("2018-02-07T01:26:13.840Z", Point::UnixMillis(1_517_966_773_840)),
            ("2018-02-07 01:26:13.840", Point::UnixMillis(1_517_966_773_840)),
            ("@1517966773", Point::UnixMillis(1_517_966_773_000)),
            ("@1517966773.84", Point::UnixMillis(1_517_966_773_840)),
        ] {
            assert_eq!(text.parse(), Ok(point), "{text}");
        }
        assert_eq!(format::point(7).parse(), Ok(Point::Time(7)));
    }

    #[test]
    fn other_texts_are_refused_with_the_choices() {
        for text in ["", "yesterday", "2018-02-07", "1517966773", "Tag:x"] {
            assert!(text.parse::<Point>().unwrap_err().contains("expected tag:NAME, time:N"), "{text}");
        }
        for text in [
            "tag:",
            "time:",
            "time:-1",
            "time:18446744073709551616",
            "version:12",
            "@",
            "@-1",
            "@1.",
            "@1e3",
            "@18446744073709551615",
        ] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_version_is_of_one_document() {
        let version = Point::Version("00112233445566778899aabbccddeeff".parse().unwrap());
        assert!(version.of_many().is_err());
        assert_eq!(Point::Time(1).of_many().unwrap(), Point::Time(1));
    }
}
