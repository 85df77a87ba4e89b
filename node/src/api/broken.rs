//! Requests that break off are not requests that end.
//!
//! tonic takes a stream of requests that its client has reset for one that is over. For a transaction whose end commits it that is the opposite of what the client wants: so a
//! reset gets another name before tonic sees it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use tonic::codegen::StdError;
use tonic::{Code, Status};

/// The body of a request, in which nothing is taken for an end that is none.
#[derive(Debug)]
pub struct Broken<B>(pub(super) B);

impl<B> Body for Broken<B>
where
    B: Body + Unpin,
    B::Error: Into<StdError>,
{
    type Data = B::Data;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, StdError>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(named)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn named(error: impl Into<StdError>) -> StdError {
    let status = Status::from_error(error.into());
    match status.code() {
        Code::Cancelled => Status::aborted("the client broke off").into(),
        _ => status.into(),
    }
}
