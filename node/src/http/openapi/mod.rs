//! The description of the API (OpenAPI 3.1), written by hand in tables and held to the program by tests: every route is
//! described, every field of every type, every code. The reference page for people is made from it.

mod codes;
mod document;
mod examples;
mod paths;
#[cfg(test)]
mod reference;
mod schemas;
#[cfg(test)]
mod tests;

pub(super) use document::document;
