//! Disks that are small, and what a node says about what it has on its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use futures::StreamExt as _;
use spool_node::{
    model::{VerifyEvent, VerifyOptions, VerifyReport},
    node::Node,
};
use spool_proto::ThreadId;
use tempfile::TempDir;

/// Verifies a thread with all its bodies.
///
/// # Panics
///
/// If there is a fault in it.
pub async fn verified(node: &Node, thread: &ThreadId) -> VerifyReport {
    let options = VerifyOptions { thread: thread.clone(), bodies: true };
    let mut steps = node.verify(options).await.expect("the thread is here");
    let mut report = None;
    while let Some(step) = steps.next().await {
        match step.expect("the verification runs to its end") {
            VerifyEvent::Fault(fault) => panic!("{fault:?}"),
            VerifyEvent::Done(done) => report = Some(done),
            VerifyEvent::Progress(_) => {}
        }
    }
    report.expect("the last step is the report")
}

/// A file system of a few megabytes in memory; unmounted when dropped.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts one, or says why that is not possible: it takes Linux and the right to mount.
    ///
    /// # Errors
    ///
    /// What `mount` said.
    pub fn mount(megabytes: u32) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let size = format!("size={megabytes}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "spool-test"]).arg(directory.path()).output();
        let output = mount.map_err(|error| format!("`mount` does not run: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes so much of it away until the file is removed that this returns.
    ///
    /// # Panics
    ///
    /// If there is not so much room.
    pub fn ballast(&self, megabytes: usize) -> PathBuf {
        let path = self.path().join("ballast");
        std::fs::write(&path, vec![1; megabytes * 1024 * 1024]).expect("room for the ballast");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, should a process of a failed test still use it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
