//! A device that has nothing but the recovery phrase gets everything back.

use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::ThreadId;
use spool_store::addresses::Source;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;

use super::entries;
use crate::{
    model::{Error, RecoverEvent, RecoverOptions, Recovered, SyncEvent, SyncOptions},
    node::{
        Node,
        follow::Follower,
        limits::{HOME_ASK_AGAIN, RECOVER_EVENTS},
        threads::storage,
    },
};

type Step = Result<RecoverEvent, Error>;

impl Node {
    /// Finds the home thread, joins the threads that it names and pulls them. Tells how it goes. What is here already stays as it is.
    ///
    /// # Errors
    ///
    /// The stream has [`Error::HomeUnreachable`] where no peer with the home thread was found in time.
    pub fn recover(&self, options: RecoverOptions) -> BoxStream<'static, Step> {
        let (sender, steps) = mpsc::channel(RECOVER_EVENTS);
        let run = Run { node: self.clone(), options, sender: sender.clone() };
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = run.run() => ended,
                () = sender.closed() => return,
            };
            if let Err(error) = ended {
                // The caller may have gone.
                let _ = sender.send(Err(error)).await;
            }
        });
        ReceiverStream::new(steps).boxed()
    }
}

struct Run {
    node: Node,
    options: RecoverOptions,
    sender: mpsc::Sender<Step>,
}

impl Run {
    async fn run(&self) -> Result<(), Error> {
        let node = &self.node;
        let home = node.open_home().await?;
        if let Some(from) = &self.options.from {
            node.connect(from).await?;
        }
        self.find(&home).await?;
        self.tell(RecoverEvent::Home(node.home_info().await?)).await;
        let (_, threads) = node.home_entries(&home).await?;
        for entry in threads {
            let (thread, name) = (entry.thread().clone(), entry.name());
            let outcome = if node.keyring().get(&thread).is_some() {
                Recovered::Here
            } else if !entry.is_kept() {
                Recovered::Left
            } else {
                match node.join_with(entry.ticket(), name.clone()).await {
                    Ok(()) => Recovered::Joined,
                    Err(Error::Stopping) => return Err(Error::Stopping),
                    Err(error) => Recovered::Failed(crate::chain(&error)),
                }
            };
            self.tell(RecoverEvent::Thread { thread, name, outcome }).await;
        }
        self.find_followers(&home).await?;
        let mut steps = node.sync(SyncOptions { thread: None, timeout: self.options.timeout }).await?;
        while let Some(step) = steps.next().await {
            self.tell(RecoverEvent::Sync(step?)).await;
        }
        // From now on this device is one of those that keep them.
        node.home().changed();
        Ok(())
    }

    /// Those who were asked to follow the threads still do, and have what nobody else may have by now.
    async fn find_followers(&self, home: &ThreadId) -> Result<(), Error> {
        let database = self.node.database(home).await?;
        let followers = self.node.blocking(move || entries::followers(&database)).await?;
        let node = self.node.clone();
        let keep = move || {
            for follower in followers {
                let book: Vec<_> = follower.addresses.iter().map(|address| address.to_vec().into()).collect();
                node.address_keeper().add(&book, Source::Ticket);
                for thread in follower.threads.iter().filter(|thread| node.keyring().get(thread).is_some()) {
                    if node.followers().of(thread).iter().all(|known| known.peer != follower.peer) {
                        let known = Follower::known(follower.peer, follower.addresses.clone());
                        node.followers().put(thread, known).map_err(storage)?;
                    }
                }
            }
            Ok(())
        };
        self.node.blocking(keep).await
    }

    /// Waits until a peer has said all that it has of the home thread, and that is not nothing.
    async fn find(&self, home: &ThreadId) -> Result<(), Error> {
        let end = Instant::now() + self.options.timeout;
        let unreachable = || Error::HomeUnreachable(self.options.timeout.as_secs());
        loop {
            timeout_at(end, self.pulled(home)).await.map_err(|_| unreachable())??;
            self.node.caught_up(home).await?;
            if !self.node.home_info().await?.devices.is_empty() {
                return Ok(());
            }
            if Instant::now() + HOME_ASK_AGAIN > end {
                return Err(unreachable());
            }
            tokio::time::sleep(HOME_ASK_AGAIN).await;
        }
    }

    async fn pulled(&self, home: &ThreadId) -> Result<(), Error> {
        loop {
            let options = SyncOptions { thread: Some(home.clone()), timeout: self.options.timeout };
            let mut steps = self.node.sync(options).await?;
            while let Some(step) = steps.next().await {
                match step {
                    Ok(SyncEvent::Done(done)) if done.complete => return Ok(()),
                    Ok(_) | Err(Error::Unreachable(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            tokio::time::sleep(HOME_ASK_AGAIN).await;
        }
    }

    async fn tell(&self, event: RecoverEvent) {
        // Whether anybody listens is watched by the task.
        let _ = self.sender.send(Ok(event)).await;
    }
}
