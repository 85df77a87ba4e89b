//! The program `spool`.

use std::process::ExitCode;

fn main() -> ExitCode {
    spool_node::cli::main()
}
