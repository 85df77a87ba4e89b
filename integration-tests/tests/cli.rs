//! The command line as users have it: real daemons, every command, every exit code of `docs/cli.md`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

#[cfg(all(test, unix))]
mod cli {
    mod apart;
    mod archive;
    mod backup;
    mod commands;
    mod damage;
    mod database;
    mod doctor;
    mod exits;
    mod following;
    mod home;
    mod install;
    mod operators;
    mod passphrase;
    mod signals;
    mod streams;
    mod tour;
    mod transfer;
    mod walk;
    mod watching;
}
