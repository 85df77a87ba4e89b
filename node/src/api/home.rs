//! The home thread in the interface's messages.

use super::{pb, thread::unix_millis};
use crate::model::{HomeDevice, HomeInfo, HomeThread, RecoverEvent, Recovered};

impl From<HomeInfo> for pb::Home {
    fn from(info: HomeInfo) -> Self {
        Self {
            thread: info.thread.to_string(),
            devices: info.devices.into_iter().map(Into::into).collect(),
            threads: info.threads.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<HomeDevice> for pb::home::Device {
    fn from(device: HomeDevice) -> Self {
        Self {
            device: device.device,
            name: device.name,
            peer_id: device.peer.map(|peer| peer.to_string()),
            since_ms: device.since.map(unix_millis),
            this: device.is_this,
        }
    }
}

impl From<HomeThread> for pb::home::Thread {
    fn from(thread: HomeThread) -> Self {
        Self {
            thread: thread.thread.to_string(),
            name: thread.name,
            devices: thread.devices as u64,
            here: thread.is_here,
        }
    }
}

impl From<RecoverEvent> for pb::RecoverResponse {
    fn from(event: RecoverEvent) -> Self {
        use pb::recover_response::{Outcome, Step, Thread};
        let step = match event {
            RecoverEvent::Home(info) => Step::Home(info.into()),
            RecoverEvent::Thread { thread, name, outcome } => {
                let (outcome, why) = match outcome {
                    Recovered::Joined => (Outcome::Joined, None),
                    Recovered::Here => (Outcome::Here, None),
                    Recovered::Left => (Outcome::Left, None),
                    Recovered::Failed(why) => (Outcome::Failed, Some(why)),
                };
                Step::Thread(Thread { thread: thread.to_string(), name, outcome: outcome.into(), why })
            }
            RecoverEvent::Sync(event) => Step::Sync(event.into()),
        };
        Self { step: Some(step) }
    }
}
