//! Steps of a sync and of a verification in the interface's messages.

use super::pb;
use crate::model::{
    BackupStep, Fault, FaultKind, SyncEvent, SyncOutcome, SyncProgress, SyncSummary, VerifyEvent, VerifyProgress,
    VerifyReport,
};

impl From<SyncEvent> for pb::SyncResponse {
    fn from(event: SyncEvent) -> Self {
        use pb::sync_response::{Done, Equal, Peer, Progress, Step, peer::Outcome};
        fn progress(progress: SyncProgress) -> Progress {
            let SyncProgress { records, records_missing, blocks, blocks_missing, bytes } = progress;
            Progress { records, records_missing, blocks, blocks_missing, bytes }
        }
        let step = match event {
            SyncEvent::Peer { peer, outcome } => {
                let outcome = match outcome {
                    SyncOutcome::Shares(threads) => Outcome::Shares(threads),
                    SyncOutcome::Equal => Outcome::Equal(Equal {}),
                    SyncOutcome::Failed(why) => Outcome::Failed(why),
                };
                Step::Peer(Peer { peer_id: peer.to_string(), outcome: Some(outcome) })
            }
            SyncEvent::Progress(step) => Step::Progress(progress(step)),
            SyncEvent::Done(SyncSummary { progress: end, peers, failed, complete }) => {
                Step::Done(Done { progress: Some(progress(end)), peers, failed, complete })
            }
        };
        Self { step: Some(step) }
    }
}

impl From<BackupStep> for pb::BackupResponse {
    fn from(step: BackupStep) -> Self {
        use pb::backup_response::{Progress, Step};
        let message = |progress: crate::repo::Progress| {
            let crate::repo::Progress { files, bytes, total } = progress;
            Progress { files, bytes, total }
        };
        let step = match step {
            BackupStep::Progress(progress) => Step::Progress(message(progress)),
            BackupStep::Done(progress) => Step::Done(message(progress)),
        };
        Self { step: Some(step) }
    }
}

impl From<VerifyEvent> for pb::VerifyResponse {
    fn from(event: VerifyEvent) -> Self {
        use pb::verify_response::{Progress, Step};
        let step = match event {
            VerifyEvent::Progress(VerifyProgress { records, total_records, blocks, bytes }) => {
                Step::Progress(Progress { records, total_records, blocks, bytes })
            }
            VerifyEvent::Fault(fault) => Step::Fault(fault.into()),
            VerifyEvent::Done(report) => Step::Done(report.into()),
        };
        Self { step: Some(step) }
    }
}

impl From<Fault> for pb::verify_response::Fault {
    fn from(fault: Fault) -> Self {
        use pb::verify_response::Kind;
        let kind = match fault.kind {
            FaultKind::Hash => Kind::Hash,
            FaultKind::RecordMissing => Kind::RecordMissing,
            FaultKind::Seal => Kind::Seal,
            FaultKind::Encoding => Kind::Encoding,
            FaultKind::Signature => Kind::Signature,
            FaultKind::Link => Kind::Link,
            FaultKind::Counter => Kind::Counter,
            FaultKind::Admission => Kind::Admission,
            FaultKind::Index => Kind::Index,
            FaultKind::Body => Kind::Body,
            FaultKind::View => Kind::View,
        };
        Self {
            kind: kind.into(),
            log: fault.log.map(|log| log.to_string()),
            counter: fault.counter,
            cid: fault.cid.map(|cid| cid.to_string()),
            detail: fault.detail,
        }
    }
}

impl From<VerifyReport> for pb::verify_response::Report {
    fn from(report: VerifyReport) -> Self {
        Self {
            logs: report.logs,
            records: report.records,
            inert: report.inert,
            events: report.events,
            bodies: report.bodies,
            blocks: report.blocks,
            missing_blocks: report.missing_blocks,
            documents: report.documents,
            bytes: report.bytes,
            faults: report.faults,
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
