//! Effects that found no room at the store or the network: kept in order, tried again, and a reason to take nothing new meanwhile.

use std::collections::VecDeque;

use spool_net::Command;
use spool_store::commit::{Commit, Handle as Committer, TrySubmitError};

/// What waits for room.
pub(super) struct Outbox {
    committer: Committer,
    network: spool_net::Handle,
    commits: VecDeque<Commit>,
    commands: VecDeque<Command>,
    closed: bool,
}

impl Outbox {
    pub(super) fn new(committer: Committer, network: spool_net::Handle) -> Self {
        Self { committer, network, commits: VecDeque::new(), commands: VecDeque::new(), closed: false }
    }

    /// Whether inputs other than the store's own events have to wait.
    pub(super) fn is_full(&self) -> bool {
        !self.commits.is_empty() || self.commands.len() >= super::limits::BACKLOG
    }

    /// Whether something waits for the network.
    pub(super) fn waits_for_network(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Hands a commit to the store with the next [`flush_commits`](Self::flush_commits), after all that wait.
    pub(super) fn commit(&mut self, commit: Commit) {
        self.commits.push_back(commit);
    }

    pub(super) fn resume(&mut self) {
        // So that what came before is refused, and reported.
        self.flush_commits();
        // What is still here was built on what failed: the engine has dropped it already.
        self.commits.clear();
        self.closed |= self.committer.resume().is_err();
    }

    /// Gives a command to the network; one that must not get lost waits for room, any other is given back.
    pub(super) fn command(&mut self, command: Command, must_arrive: bool) -> Result<(), Box<Command>> {
        if !self.commands.is_empty() {
            if !must_arrive {
                return Err(Box::new(command));
            }
            self.commands.push_back(command);
            return Ok(());
        }
        match self.network.try_command(command) {
            Ok(()) => Ok(()),
            Err(full) if must_arrive => {
                self.commands.push_back(*full.0);
                Ok(())
            }
            Err(full) => Err(full.0),
        }
    }

    /// Tries again what waits.
    pub(super) fn flush(&mut self) {
        self.flush_commits();
        while let Some(command) = self.commands.pop_front() {
            if let Err(full) = self.network.try_command(command) {
                self.commands.push_front(*full.0);
                return;
            }
        }
    }

    /// Hands over what waits for the store: at the end of each turn, when it shows whether a commit comes alone.
    pub(super) fn flush_commits(&mut self) {
        let alone = self.commits.len() == 1;
        while let Some(commit) = self.commits.pop_front() {
            let taken = if alone { self.committer.commit_or_submit(commit) } else { self.committer.try_submit(commit) };
            match taken {
                Ok(()) => {}
                Err(TrySubmitError::Full(commit)) => {
                    self.commits.push_front(commit);
                    return;
                }
                Err(TrySubmitError::Closed(_)) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    /// The store's writer has ended: nothing can be written any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
