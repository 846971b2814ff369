//! `quorate-node`: makes and runs one node of a Quorate chain.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_node::command::main()
}
