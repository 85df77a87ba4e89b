//! The requests of a call, on their way from the client to the service.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;

use super::limits::WAITING_MESSAGES;

/// What comes from the client.
enum Part {
    Data(Bytes),
    End,
}

/// Where the requests go in. Dropped before [`Sender::end`], it breaks the call off: a transaction whose client went away must not look like one that was
/// committed.
pub(super) struct Sender(mpsc::Sender<Part>);

impl Sender {
    /// Bytes of frames, cut anywhere. Waits while the service has not read what came before; once it reads no more they are thrown away.
    pub(super) async fn data(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            let _ = self.0.send(Part::Data(bytes)).await;
        }
    }

    /// The client has sent its last request.
    pub(super) async fn end(self) {
        let _ = self.0.send(Part::End).await;
    }
}

/// The two ends.
pub(super) fn channel() -> (Sender, Body) {
    let (sender, parts) = mpsc::channel(WAITING_MESSAGES);
    let frames = futures::stream::unfold(Some(parts), |parts| async move {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Part::Data(bytes)) => Some((Ok(Frame::data(bytes)), Some(parts))),
            Some(Part::End) => None,
            None => Some((Err(Status::cancelled("the client broke off")), None)),
        }
    });
    (Sender(sender), Body::new(StreamBody::new(frames)))
}
