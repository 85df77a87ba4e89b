//! What becomes of a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, ServiceExt as _};

use super::limits::{BODY_BYTES, Patience};
use super::origin::Origins;
use super::{bridge, cors, handshake};
use crate::http1::Running;

/// Sends requests where they belong.
pub(super) struct Front {
    routes: Routes,
    plain: GrpcWebService<Routes>,
    methods: BTreeSet<String>,
    origins: Origins,
    patience: Patience,
    stopping: CancellationToken,
    running: Running,
}

impl Front {
    pub(super) fn new(
        routes: Routes,
        (methods, origins): (BTreeSet<String>, Origins),
        patience: Patience,
        stopping: CancellationToken,
        running: Running,
    ) -> Self {
        let routes = routes.prepare();
        let plain = GrpcWebLayer::new().layer(routes.clone());
        Self { routes, plain, methods, origins, patience, stopping, running }
    }

    /// Answers one request. What outlives it keeps `permit`, which counts the connection.
    pub(super) async fn answer(&self, request: Request<Incoming>, permit: Arc<OwnedSemaphorePermit>) -> Response<Body> {
        let path = request.uri().path();
        if handshake::is_wanted(&request) {
            if !self.methods.contains(path) || !self.origins.permit(request.headers()) {
                return empty(StatusCode::FORBIDDEN);
            }
            return self.upgrade(request, permit);
        }
        if let Some(headers) = cors::preflight(&request).filter(|_| self.methods.contains(path)) {
            if !self.origins.permit(request.headers()) {
                return empty(StatusCode::FORBIDDEN);
            }
            let mut response = empty(StatusCode::OK);
            response.headers_mut().extend(headers);
            return response;
        }
        if is_grpc_web(&request) {
            if !self.origins.permit(request.headers()) {
                return empty(StatusCode::FORBIDDEN);
            }
            return self.plain(request).await;
        }
        empty(StatusCode::OK)
    }

    /// A call over plain grpc-web. Its requests are read whole before the service sees the first: one that breaks off is none.
    async fn plain(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let asked: HeaderMap = head.headers.clone();
        let body = match tokio::time::timeout(self.patience.body, Limited::new(body, BODY_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return empty(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Ok(Err(_)) => return empty(StatusCode::BAD_REQUEST),
            Err(_) => return empty(StatusCode::REQUEST_TIMEOUT),
        };
        let request = Request::from_parts(head, Full::<Bytes>::new(body));
        let Ok(mut response) = self.plain.clone().oneshot(request).await;
        cors::expose(&asked, response.headers_mut());
        response
    }

    /// A call over a websocket; it goes on after this answer.
    fn upgrade(&self, mut request: Request<Incoming>, permit: Arc<OwnedSemaphorePermit>) -> Response<Body> {
        let accepted = match handshake::accept(request.headers()) {
            Ok(headers) => headers,
            Err((status, headers)) => {
                let mut refused = empty(status);
                refused.headers_mut().extend(headers);
                return refused;
            }
        };
        let call = bridge::Call {
            routes: self.routes.clone(),
            uri: request.uri().clone(),
            patience: self.patience,
            stopping: self.stopping.clone(),
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let cut = self.running.cut.clone();
        self.running.tasks.spawn(async move {
            let _counted = permit;
            match upgrade.await {
                Ok(io) => {
                    cut.run_until_cancelled(bridge::run(TokioIo::new(io), call)).await;
                }
                Err(error) => tracing::debug!(error = crate::chain(&error), "no websocket came of it"),
            }
        });
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        response.headers_mut().extend(accepted);
        response
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn is_grpc_web<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    request.method() == Method::POST && kind.is_some_and(|kind| kind.starts_with("application/grpc-web"))
}
