//! Headers and trailers as grpc-web frames: the flag 0x80, a length, and lines of text.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tonic::Status;

/// The bit that tells a block from a message.
const FLAG: u8 = 0x80;
/// Flag and length.
const PREFIX_BYTES: usize = 5;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether these headers already have the status, and so are all of the answer.
pub(super) fn is_final(headers: &HeaderMap) -> bool {
    headers.contains_key(GRPC_STATUS)
}

/// The headers of an answer.
pub(super) fn headers(mut headers: HeaderMap) -> Bytes {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
    encode(&headers)
}

/// Its trailers. They always have a status: clients fail on a block without one.
pub(super) fn trailers(trailers: &HeaderMap) -> Bytes {
    if is_final(trailers) { encode(trailers) } else { status(&Status::unknown("the call ended without a status")) }
}

/// A status that is not the service's.
pub(super) fn status(status: &Status) -> Bytes {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(GRPC_STATUS, HeaderValue::from(i32::from(status.code())));
    }
    encode(&trailers)
}

/// Values that are not ASCII are left out: the client would refuse the whole block. `grpc-message` is percent-encoded and never is one.
fn encode(headers: &HeaderMap) -> Bytes {
    let entries = headers.iter().filter(|(_, value)| value.to_str().is_ok());
    let mut block = BytesMut::from(&[FLAG, 0, 0, 0, 0][..]);
    for (name, value) in entries {
        block.extend_from_slice(name.as_str().as_bytes());
        block.extend_from_slice(b": ");
        block.extend_from_slice(value.as_bytes());
        block.extend_from_slice(b"\r\n");
    }
    let length = u32::try_from(block.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    (&mut block[1..PREFIX_BYTES]).put_u32(length);
    block.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_any_language_is_ascii_on_the_wire() {
        let block = status(&Status::not_found("Straße nicht gefunden: 100 %\r\ngrpc-status: 0"));
        assert_eq!(block[0], 0x80);
        assert_eq!(u32::from_be_bytes(block[1..5].try_into().unwrap()) as usize, block.len() - 5);
        let text = std::str::from_utf8(&block[5..]).unwrap();
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("grpc-status: 5\r\n") && text.contains("Stra%C3%9Fe"), "{text}");
        assert_eq!(text.matches("grpc-status").count(), 2, "{text}");
        assert_eq!(text.lines().count(), 2, "a line break in a message is not one in the block: {text}");
    }

    #[test]
    fn trailers_are_never_empty() {
        let block = trailers(&HeaderMap::new());
        assert!(std::str::from_utf8(&block[5..]).unwrap().starts_with("grpc-status: 2\r\n"));
    }

    #[test]
    fn what_is_not_ascii_is_left_out() {
        let value = HeaderValue::from_bytes(b"gr\xfcn").unwrap();
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("colour"), value),
            (GRPC_STATUS, HeaderValue::from_static("0")),
        ]);
        assert_eq!(&trailers(&headers)[5..], b"grpc-status: 0\r\n");
    }
}
