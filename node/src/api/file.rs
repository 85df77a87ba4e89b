//! Bodies of any size, in pieces.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tonic::{Status, Streaming};

use super::pb::add_file_request::{Part, Start};
use super::pb::{AddFileRequest, CatResponse};
use crate::model::{BoxError, Content, Error};

/// What the first message of an upload says.
pub(super) async fn start(requests: &mut Streaming<AddFileRequest>) -> Result<Start, Status> {
    match requests.message().await?.and_then(|message| message.part) {
        Some(Part::Start(start)) => Ok(start),
        Some(Part::Data(_)) | None => Err(Error::Invalid("the first message has to be `start`".into()).into()),
    }
}

/// The pieces of an upload. One that breaks off or has another size than was said is an error, so that half a file is never appended.
pub(super) fn content(
    requests: Streaming<AddFileRequest>,
    size: Option<u64>,
) -> BoxStream<'static, Result<Bytes, BoxError>> {
    let pieces = stream::try_unfold((requests, 0), move |(mut requests, before)| async move {
        match requests.message().await?.map(|message| message.part) {
            None => match size.filter(|size| *size != before) {
                Some(size) => Err(format!("the file ended after {before} of {size} bytes").into()),
                None => Ok(None),
            },
            Some(Some(Part::Data(data))) => {
                let read = before + data.len() as u64;
                if size.is_some_and(|size| read > size) {
                    return Err("the file has more bytes than was said".into());
                }
                Ok(Some((data, (requests, read))))
            }
            Some(Some(Part::Start(_)) | None) => Err("only the first message is `start`, all others are `data`".into()),
        }
    });
    pieces.boxed()
}

/// An opened body as messages, the first of which tells the size, also where there is nothing to send.
pub(super) fn pieces(content: Content) -> BoxStream<'static, Result<CatResponse, Status>> {
    let first = CatResponse { size: Some(content.size), data: Bytes::new() };
    let data = content.pieces.map(|piece| match piece {
        Ok(data) => Ok(CatResponse { size: None, data }),
        Err(error) => Err(error.into()),
    });
    stream::iter([Ok(first)]).chain(data).boxed()
}
