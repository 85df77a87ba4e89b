//! Archives of threads, in pieces.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use tonic::{Status, Streaming};

use super::pb::import_thread_request::Part;
use super::pb::import_thread_response::{Done, Progress, Step};
use super::pb::{ExportThreadResponse, ImportThreadRequest, ImportThreadResponse};
use crate::model::{BoxError, Error, ImportStep};

/// The thread that the first message names.
pub(super) async fn thread(requests: &mut Streaming<ImportThreadRequest>) -> Result<String, Status> {
    match requests.message().await?.and_then(|message| message.part) {
        Some(Part::Thread(thread)) => Ok(thread),
        Some(Part::Data(_)) | None => Err(Error::Invalid("the first message has to be `thread`".into()).into()),
    }
}

/// The pieces behind it.
pub(super) fn content(requests: Streaming<ImportThreadRequest>) -> BoxStream<'static, Result<Bytes, BoxError>> {
    let piece = |message: ImportThreadRequest| async move {
        match message.part {
            Some(Part::Data(data)) => Ok(data),
            Some(Part::Thread(_)) | None => Err("only the first message is `thread`, all others are `data`".into()),
        }
    };
    requests.map_err(BoxError::from).and_then(piece).boxed()
}

pub(super) fn pieces(
    pieces: BoxStream<'static, Result<Bytes, Error>>,
) -> BoxStream<'static, Result<ExportThreadResponse, Status>> {
    pieces.map(|piece| piece.map(|data| ExportThreadResponse { data }).map_err(Status::from)).boxed()
}

impl From<ImportStep> for ImportThreadResponse {
    fn from(step: ImportStep) -> Self {
        let step = match step {
            ImportStep::Checked { bytes } => Step::Checked(bytes),
            ImportStep::Progress(progress) => Step::Progress(Progress {
                records: progress.records,
                records_missing: progress.records_missing,
                blocks_missing: progress.blocks_missing,
            }),
            ImportStep::Done(report) => Step::Done(Done {
                logs: report.logs,
                records: report.records,
                blocks: report.blocks,
                forked: report.forked.iter().map(ToString::to_string).collect(),
            }),
        };
        Self { step: Some(step) }
    }
}
