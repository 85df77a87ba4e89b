//! The opening of a websocket (RFC 6455, section 4.2). Extensions are declined.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What a call over a websocket is called.
const PROTOCOL: &str = "grpc-websockets";
/// Characters of a key: 16 bytes in base64.
const KEY_CHARACTERS: usize = 24;

/// Whether this asks for a websocket that carries a call.
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
}

/// The headers that accept it, or the status and headers that do not.
pub(super) fn accept(asked: &HeaderMap) -> Result<HeaderMap, (StatusCode, HeaderMap)> {
    let version = HeaderValue::from_static("13");
    if asked.get(SEC_WEBSOCKET_VERSION) != Some(&version) {
        return Err((StatusCode::UPGRADE_REQUIRED, HeaderMap::from_iter([(SEC_WEBSOCKET_VERSION, version)])));
    }
    let key = asked.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_CHARACTERS);
    let Some(key) = key.filter(|_| has_token(asked, &CONNECTION, "upgrade")) else {
        return Err((StatusCode::BAD_REQUEST, HeaderMap::new()));
    };
    let proof = HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("base64 is a header value");
    Ok(HeaderMap::from_iter([
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (SEC_WEBSOCKET_ACCEPT, proof),
        (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL)),
    ]))
}

/// Whether a header that is a list of tokens has this one, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}
