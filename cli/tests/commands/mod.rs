//! One file for each family of commands.

mod access;
mod batch;
mod certainty;
mod codes;
mod events;
mod help;
mod interrupt;
mod keys;
mod reading;
mod terminal;
