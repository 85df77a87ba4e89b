//! Counts how calls end, for the metrics: the outcome stands in the trailers, which come last, or in the headers where there is nothing else.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Code;
use tonic::codegen::BoxFuture;
use tower::{Layer, Service};

use crate::node::Node;

/// Counts the calls of a node.
#[derive(Clone)]
pub(super) struct Counting(pub(super) Node);

/// A service whose calls are counted.
#[derive(Clone)]
pub(super) struct Counts<S> {
    node: Node,
    inner: S,
}

impl<S> Layer<S> for Counting {
    type Service = Counts<S>;

    fn layer(&self, inner: S) -> Counts<S> {
        Counts { node: self.0.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for Counts<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<Counted<R>>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (node, answer) = (self.node.clone(), self.inner.call(request));
        Box::pin(async move {
            let (head, body) = answer.await?.into_parts();
            let code = code(&head.headers);
            Ok(Response::from_parts(head, Counted { call: Call { node, code }, body }))
        })
    }
}

/// The body of an answer, watched for how it ends.
pub(super) struct Counted<R> {
    call: Call,
    body: R,
}

/// A call that is counted when it is over, whoever ends it.
struct Call {
    node: Node,
    code: Option<Code>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.node.count_call(self.code);
    }
}

impl<R: Body + Unpin> Body for Counted<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.code = code(trailers).or(self.call.code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    let status = headers.get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}
