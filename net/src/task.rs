//! The swarm task: one loop that dispatches commands and swarm events, and owns everything they touch.

mod commands;
mod dialling;
mod events;
mod run;

pub(crate) use run::Task;
