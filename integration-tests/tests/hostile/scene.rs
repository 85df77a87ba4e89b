//! One thread, its honest writer, and a victim.

use spool_integration_tests::{Scripted, TestNode, eventually, keys_of};
use spool_proto::{
    LogId, ThreadId, ThreadKeys, TopicId,
    key_set::Scope,
    wire::{Envelope, Head, Request, Response},
};

/// A victim, and the honest writer that it is connected with.
pub(super) struct Scene {
    pub(super) honest: TestNode,
    pub(super) victim: TestNode,
    pub(super) thread: ThreadId,
    pub(super) keys: ThreadKeys,
    pub(super) log: LogId,
}

impl Scene {
    pub(super) async fn new(seed: u64) -> Self {
        let honest = TestNode::start(seed).await;
        let victim = TestNode::start(seed + 1).await;
        let thread = honest.thread_with_name("attacked").await;
        let log = honest.write(&thread, "before").await.log;
        let keys = keys_of(&honest.ticket(&thread, Scope::Read).await);
        victim.join_from(&honest, &thread, Scope::Read).await;
        victim.has(&thread, &log, 1).await;
        Self { honest, victim, thread, keys, log }
    }

    pub(super) fn topic(&self) -> TopicId {
        self.keys.access().topic()
    }

    /// The victim still takes what is good, and thinks well of who sent it.
    pub(super) async fn goes_on(&self) {
        let receipt = self.honest.write(&self.thread, "good").await;
        assert_eq!(receipt.log, self.log);
        self.victim.has_record(&receipt).await;
        assert_eq!(self.victim.score(&self.honest.peer()).await, Some(-0.0), "the honest writer was scored");
    }

    pub(super) async fn scores(&self, attacker: &Scripted, attack: &str) {
        let what = format!("{attack}: the sender is scored");
        eventually(&what, || async { attacker.is_scored_by(&self.victim).await.then_some(()) }).await;
    }

    pub(super) async fn stop(self) {
        self.victim.stop().await;
        self.honest.stop().await;
    }
}

/// Has the victim look at the attacker's heads.
pub(super) async fn announce(scene: &Scene, attacker: &Scripted) {
    scene.victim.shares(&scene.thread, &attacker.peer).await;
    scene.victim.sync_now(&scene.thread).await;
}

/// Answers with one head, and with what `page` has for its records.
pub(super) fn serve(
    request: &Request,
    head: Head,
    page: impl FnOnce(u64, u64) -> Option<Envelope>,
) -> Option<Response> {
    match request {
        Request::Heads { after: None, .. } => Some(Response::Heads { heads: vec![head], more: false }),
        Request::Records { log, after, until, .. } if *log == head.log => {
            Some(Response::Records { envelope: page(*after, *until).map(Box::new), more: false })
        }
        _ => None,
    }
}
