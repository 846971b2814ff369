//! `quorate-node`: makes and runs one node of a Quorate chain.

use std::process::ExitCode;

/// For Rust and for RocksDB. What twenty threads allocate and free at full load leaves glibc's arenas so full of holes that a node takes up
/// to a quarter more memory.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    quorate_node::command::main()
}
