//! Cross-origin resource sharing for plain grpc-web: any page may call what `origin` lets it. Websockets do not need it.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request};

/// Seconds for which a browser need not ask again; the longest that all of them keep.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The answer to a browser that asks whether it may send a grpc-web request; `None` if this is nothing of the kind.
pub(super) fn preflight<B>(request: &Request<B>) -> Option<HeaderMap> {
    let asked = request.headers();
    let (origin, names) = (asked.get(ORIGIN)?, asked.get(ACCESS_CONTROL_REQUEST_HEADERS)?);
    let is_grpc_web = names.to_str().ok()?.split(',').any(|name| name.trim().eq_ignore_ascii_case("x-grpc-web"));
    let is_post = asked.get(ACCESS_CONTROL_REQUEST_METHOD)? == Method::POST.as_str();
    if request.method() != Method::OPTIONS || !is_grpc_web || !is_post {
        return None;
    }
    Some(HeaderMap::from_iter([
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (ACCESS_CONTROL_ALLOW_HEADERS, names.clone()),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        (VARY, HeaderValue::from_static("origin, access-control-request-headers")),
    ]))
}

/// Lets the page read an answer with all its headers.
pub(super) fn expose(asked: &HeaderMap, answer: &mut HeaderMap) {
    let Some(origin) = asked.get(ORIGIN) else { return };
    let own = answer.keys().map(http::HeaderName::as_str).filter(|name| !name.starts_with("grpc-"));
    let names = own.chain(["grpc-status", "grpc-message"]).collect::<Vec<_>>().join(", ");
    if let Ok(names) = HeaderValue::try_from(names) {
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.append(VARY, HeaderValue::from_static("origin"));
}
