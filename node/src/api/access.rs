//! Who may call: whoever shows the token of the node. It stands in the repository, where only the owner can read it, so that another user of this machine, or a page
//! in the owner's browser, does not get in by knowing the port.
//!
//! The interfaces of Textile Threads have no place for it: their clients show logins of their own. They are open as long as the node listens on this machine alone;
//! where it listens wider, their clients show the token as the key of an app, which the reference's hub wanted as well.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use tonic::codegen::BoxFuture;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Routes;
use tonic::service::interceptor::{InterceptedService, Interceptor};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::broken::Broken;
use super::error::REASON;
use crate::repo::Token;

/// The header in which clients of Textile Threads show the token.
const APP_KEY: &str = "x-textile-api-key";
/// Services that say nothing of anybody's data.
const OPEN: [&str; 3] = ["/grpc.health.v1.", "/grpc.reflection.v1.", "/grpc.reflection.v1alpha."];

/// What callers have to show.
#[derive(Debug, Clone)]
pub struct Access {
    /// Any of these.
    tokens: Arc<[Token]>,
    /// Whether the clients of Textile Threads need one, too.
    is_wide: bool,
}

impl Access {
    /// `is_wide` says that other machines can reach the node.
    pub fn new(tokens: impl IntoIterator<Item = Token>, is_wide: bool) -> Self {
        Self { tokens: tokens.into_iter().collect(), is_wide }
    }

    fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Status> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_textile = path.starts_with("/threads.");
        if OPEN.iter().any(|service| path.starts_with(service)) || (is_textile && !self.is_wide) {
            return Ok(());
        }
        let shown = if is_textile {
            text(APP_KEY)
        } else {
            let (scheme, token) =
                text(AUTHORIZATION.as_str()).and_then(|value| value.split_once(' ')).unwrap_or_default();
            Some(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))
        };
        match shown {
            Some(shown) if self.tokens.iter().any(|token| token.is(shown)) => Ok(()),
            Some(_) => Err(refused("another token than that of this node was shown")),
            None if is_textile => Err(refused(
                "this node is open to other machines, so its clients have to show its token as the key of the app (`x-textile-api-key`)",
            )),
            None => Err(refused(
                "calls have to show the token of this node: `authorization: bearer <token>`, with what is in the file `api-token` of its repository",
            )),
        }
    }
}

fn refused(why: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(REASON, MetadataValue::from_static("unauthenticated"));
    Status::with_metadata(Code::Unauthenticated, why, metadata)
}

impl Access {
    /// The same routes, behind this.
    pub(super) fn guard(self, routes: Routes) -> Routes {
        Routes::from(routes.into_axum_router().layer(self))
    }
}

impl<S> Layer<S> for Access {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { access: self.clone(), inner }
    }
}

/// A service that looks at the token first, and is told when a client breaks off.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    access: Access,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<Broken<B>>, Response = Response<R>> + Send,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<Response<R>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.access.check(request.uri().path(), request.headers()) {
            Ok(()) => Box::pin(self.inner.call(request.map(Broken))),
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
        }
    }
}

/// A connection that shows a token with each call.
pub type Connection = InterceptedService<Channel, Shows>;

/// Shows a token.
#[derive(Debug, Clone)]
pub struct Shows(Option<Token>);

/// Shows this token, if there is one, with each call.
pub fn showing(token: Option<Token>, channel: Channel) -> Connection {
    InterceptedService::new(channel, Shows(token))
}

impl Interceptor for Shows {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = format!("bearer {}", token.reveal());
            let value = value
                .parse()
                .map_err(|_| Status::invalid_argument("the token of the API has characters that no token has"))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), http::HeaderValue::from_static(value))])
    }

    #[test]
    fn a_token_opens_the_node_and_nothing_else_does() {
        let access = Access::new([Token::new("one"), Token::new("two")], false);
        let call =
            |headers: &HeaderMap| access.check("/spool.v1.Spool/GetNode", headers).map_err(|status| status.code());
        for good in ["bearer one", "Bearer two", "BEARER  one"] {
            assert_eq!(call(&headers("authorization", good)), Ok(()), "{good}");
        }
        for bad in ["bearer three", "one", "bearer", "basic one", "bearer on"] {
            assert_eq!(call(&headers("authorization", bad)), Err(Code::Unauthenticated), "{bad}");
        }
        assert_eq!(call(&headers("x-textile-api-key", "one")), Err(Code::Unauthenticated));
        assert_eq!(call(&HeaderMap::new()), Err(Code::Unauthenticated));
        assert!(access.check("/grpc.health.v1.Health/Check", &HeaderMap::new()).is_ok());
    }

    #[test]
    fn textile_clients_need_it_only_where_the_node_is_open_wider() {
        let call = |is_wide, headers: &HeaderMap| {
            Access::new([Token::new("one")], is_wide).check("/threads.pb.API/Has", headers).is_ok()
        };
        assert!(call(false, &HeaderMap::new()));
        assert!(!call(true, &HeaderMap::new()));
        assert!(!call(true, &headers("authorization", "bearer one")), "there it is a login");
        assert!(call(true, &headers("x-textile-api-key", "one")));
    }
}
