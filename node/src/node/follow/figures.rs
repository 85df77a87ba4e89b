//! Following in figures, for operators.

use crate::{
    metrics::Family,
    model::Error,
    node::{Node, threads::storage},
};

impl Node {
    /// Followers of this node's threads, and threads that it follows for others. Blocks.
    pub(in crate::node) fn following_figures(&self) -> Result<Vec<Family>, Error> {
        let (mut followers, mut behind, mut lacking, mut gone) = (0u64, 0u64, 0u64, 0u64);
        for thread in self.followers().threads() {
            let heads = self.store().log_states(&thread).map_err(storage)?;
            let standings = self.standings().of(&thread);
            for follower in self.followers().of(&thread) {
                if follower.gone_millis.is_some() {
                    gone += 1;
                    continue;
                }
                let has = standings.get(&follower.peer);
                let lacks = |(log, state): &(spool_proto::LogId, spool_proto::sync::LogState)| {
                    let there = has.and_then(|has| has.heads.get(log)).copied().unwrap_or(0);
                    state.active_counter().saturating_sub(there)
                };
                let lacks: u64 = heads.iter().map(lacks).sum();
                followers += 1;
                behind += u64::from(lacks > 0);
                lacking += lacks;
            }
        }
        let followed = self.list_followed();
        let bytes: u64 = followed.iter().map(|followed| followed.used_bytes).sum();
        let full = followed.iter().filter(|followed| followed.is_full).count();
        Ok(vec![
            Family::gauge(
                "spool_followers",
                "Followers that were asked and have not left, over all threads.",
                followers as f64,
            ),
            Family::gauge("spool_followers_behind", "Those that are not known to have all records.", behind as f64),
            Family::gauge(
                "spool_followers_lacking_records",
                "Records that they are not known to have.",
                lacking as f64,
            ),
            Family::gauge("spool_followers_gone", "Followers that have left.", gone as f64),
            Family::gauge("spool_followed_threads", "Threads followed for others.", followed.len() as f64),
            Family::gauge("spool_followed_bytes", "Bytes of their records and blocks.", bytes as f64),
            Family::gauge("spool_followed_full_threads", "Those of which nothing more is taken.", full as f64),
        ])
    }
}
