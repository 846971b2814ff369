//! One file for each family of commands.

mod access;
mod batch;
mod events;
mod help;
mod interrupt;
mod keys;
