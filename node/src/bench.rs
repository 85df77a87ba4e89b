//! Measures a node as a whole, next to the limits of its parts, all in one run: `spool bench`.
//!
//! Figures of one run can be compared with each other; machines differ and are noisy, so nothing here is a test.

mod child;
mod clients;
mod crowds;
mod documents;
mod parts;
mod protected;
mod report;
mod rows;

pub use report::{Measured, Part, Row};

use std::path::PathBuf;

/// What is measured, and with how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where repositories are made; removed at the end.
    pub directory: PathBuf,
    /// Divides the number of events, for a quick look.
    pub divide: u64,
    /// Only rows whose name contains this.
    pub only: Option<String>,
}

/// Runs all measurements; tells each as it comes.
///
/// # Errors
///
/// Whatever keeps a node from running.
pub async fn run(options: &Options, mut tell: impl FnMut(&Measured)) -> anyhow::Result<()> {
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let parts = {
        let directory = options.directory.clone();
        tokio::task::spawn_blocking(move || parts::measure(&directory)).await??
    };
    for part in &parts {
        tell(&Measured::Part(part.clone()));
    }
    for row in rows::all().into_iter().chain(crowds::all()).filter(|row| wanted(row.name)) {
        let measured = (row.run)(options.clone()).await?;
        tell(&Measured::Row(measured.compare(&parts)));
    }
    let rows = documents::all().into_iter().chain(protected::all()).chain(clients::all());
    let rows: Vec<_> = rows.filter(|row| wanted(row.name)).collect();
    if !rows.is_empty() {
        let appends = Part { name: documents::APPENDS, rate: rows::append_rate(options).await?, unit: "events/s" };
        tell(&Measured::Part(appends.clone()));
        for row in rows {
            let measured = (row.run)(options.clone()).await?;
            tell(&Measured::Row(measured.compare(std::slice::from_ref(&appends))));
        }
    }
    Ok(())
}
