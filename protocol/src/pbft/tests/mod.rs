//! The engine's rules, each with the attack that it stops.

mod arbitrary;
mod edges;
mod harness;
mod leaving;
mod normal;
mod view_change;
