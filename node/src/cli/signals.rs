//! What asks a running command to end.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;

use super::exit::Failure;

/// How long a process may take to end once its standard input has. Whoever could have killed it is gone by then.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(20);

/// SIGINT and SIGTERM, asked for before the work starts, so that none is lost.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    end_of_input: Option<oneshot::Receiver<()>>,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|error| anyhow::Error::new(error).context("cannot listen for signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            end_of_input: None,
        })
    }

    #[cfg(not(unix))]
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { end_of_input: None })
    }

    /// The same, and the end of standard input, which comes however the process at the other end of it ends. A process that has not ended
    /// some time after it is aborted.
    pub(super) fn or_end_of_input() -> Result<Self, Failure> {
        let (ended, end_of_input) = oneshot::channel();
        let watch = move || {
            drain(io::stdin().lock());
            // Who would have been told may have ended meanwhile.
            let _ = ended.send(());
            std::thread::sleep(ORPHAN_PATIENCE);
            std::process::abort();
        };
        // A thread of its own: the runtime would wait for one of its threads that is reading.
        let watching = std::thread::Builder::new().name("stdin".into()).spawn(watch);
        watching.map_err(|error| anyhow::Error::new(error).context("cannot watch standard input"))?;
        Ok(Self { end_of_input: Some(end_of_input), ..Self::new()? })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        let end_of_input = &mut self.end_of_input;
        let end_of_input = async {
            match end_of_input.as_mut() {
                Some(ended) => {
                    // A thread that is gone has seen the end as well.
                    let _ = ended.await;
                    *end_of_input = None;
                }
                None => std::future::pending().await,
            }
        };
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = end_of_input => {}
        }
        #[cfg(not(unix))]
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => if pressed.is_err() { std::future::pending::<()>().await },
            () = end_of_input => {}
        }
    }
}

/// Reads to the end.
fn drain(mut input: impl io::Read) {
    let mut piece = [0; 1024];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It will not say when it ends.
            Err(_) => return,
        }
    }
}
