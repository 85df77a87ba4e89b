//! The first message of a call over a websocket: its metadata, as lines of text like the head of an HTTP request.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::limits::{METADATA_BYTES, METADATA_ENTRIES};

/// What belongs to the connection or to grpc-web, and not to the call. `host` is the address that the client was given.
const NOT_OF_THE_CALL: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-grpc-web",
];

/// Why it is not metadata.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Error {
    #[error("the metadata has more than {METADATA_BYTES} bytes")]
    TooLarge,
    #[error("the metadata has more than {METADATA_ENTRIES} entries")]
    TooMany,
    #[error("line {0} of the metadata is not of the form `name: value`")]
    Line(usize),
}

/// The headers of the call. What is of the connection is left out.
pub(super) fn parse(block: &[u8]) -> Result<HeaderMap, Error> {
    if block.len() > METADATA_BYTES {
        return Err(Error::TooLarge);
    }
    let mut headers = HeaderMap::new();
    for (number, line) in block.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (name, value) = entry(line).ok_or(Error::Line(number + 1))?;
        if NOT_OF_THE_CALL.contains(&name.as_str()) {
            continue;
        }
        if headers.len() == METADATA_ENTRIES {
            return Err(Error::TooMany);
        }
        headers.append(name, value);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    Ok(headers)
}

fn entry(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_client_sends_is_read() {
        let block = b"host: http://127.0.0.1:6007\r\nauthorization: bearer tok\r\nX-Textile-Thread-Name: my db\r\n\
            content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\nx: 1, 2\r\nx: 3\r\n";
        let headers = parse(block).unwrap();
        assert_eq!(headers["authorization"], "bearer tok");
        assert_eq!(headers["x-textile-thread-name"], "my db");
        assert_eq!(headers.get_all("x").iter().collect::<Vec<_>>(), ["1, 2", "3"]);
        assert_eq!(headers["content-type"], "application/grpc");
        assert!(!headers.contains_key("host") && !headers.contains_key("x-grpc-web"));
    }

    #[test]
    fn what_is_no_metadata_is_refused_with_its_line() {
        assert_eq!(parse(b"a: 1\r\nno colon\r\n"), Err(Error::Line(2)));
        assert_eq!(parse(b"\x00\x00\x00\x00\x00\x00"), Err(Error::Line(1)));
        assert_eq!(parse(b"a b: 1\r\n"), Err(Error::Line(1)));
        assert_eq!(parse(b"a: \x01\r\n"), Err(Error::Line(1)));
        assert_eq!(parse("a: b\r\n".repeat(METADATA_BYTES).as_bytes()), Err(Error::TooLarge));
        assert_eq!(parse("a: b\n".repeat(METADATA_ENTRIES + 1).as_bytes()), Err(Error::TooMany));
        assert!(parse("a: b\n".repeat(METADATA_ENTRIES).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(block in proptest::collection::vec(any::<u8>(), 0..1024)) {
            let _ = parse(&block);
        }
    }
}
