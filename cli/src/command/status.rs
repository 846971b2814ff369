//! `quorate status`.

use std::thread;

use quorate_protocol::api::http::StatusResponse;
use serde::Serialize;

use super::context::Context;
use crate::client::http::Node;
use crate::exit::{Exit, Failure};
use crate::output::table::{Style, Table};
use crate::output::time::utc;
use crate::output::{Readable, word};

/// How one node is, or why it does not say.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// The node.
    pub name: String,
    /// The URL of its HTTP interface.
    pub api: String,
    /// What it says.
    pub status: Option<StatusResponse>,
    /// Why it says nothing.
    pub error: Option<String>,
}

/// Asks all these nodes at once, and keeps their order.
pub fn ask_all(nodes: &[Node]) -> Vec<NodeStatus> {
    let asked: Vec<_> = nodes
        .iter()
        .map(|node| {
            let asked = node.clone();
            (node, thread::spawn(move || asked.status()))
        })
        .collect();
    let told = asked.into_iter().map(|(node, answer)| {
        let (status, error) = match answer.join() {
            Ok(Ok(status)) => (Some(status), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some("the request broke off".to_owned())),
        };
        NodeStatus { name: node.name().to_owned(), api: node.url().to_owned(), status, error }
    });
    told.collect()
}

#[derive(Serialize)]
struct Shown {
    nodes: Vec<NodeStatus>,
}

/// Shows how the nodes are: those that were named, else all.
///
/// # Errors
/// Exit code 6 when none of them answers.
pub fn run(context: &Context) -> Result<Exit, Failure> {
    let nodes = ask_all(context.asked_nodes()?);
    if nodes.iter().all(|node| node.status.is_none()) {
        let reason = nodes.iter().find_map(|node| Some(format!("{} {}", node.name, node.error.as_ref()?)));
        return Err(Failure::new(
            Exit::NotSent,
            "unreachable",
            format!("no node answers: {}", reason.unwrap_or_default()),
            "check that the nodes run and that their addresses are right",
        ));
    }
    context.printer.print(&Shown { nodes })?;
    Ok(Exit::Success)
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let mut table =
            Table::new(&["node", "state", ">height", ">certified", ">view", "role", ">peers", ">pool", "head time"]);
        let mut reasons = String::new();
        for node in &self.nodes {
            let Some(status) = &node.status else {
                table.row([node.name.clone(), style.bad("no answer")]);
                reasons.push_str(&format!("  {}: {}\n", node.name, node.error.as_deref().unwrap_or("no answer")));
                continue;
            };
            table.row(row(&node.name, status, style));
            if let Some(reason) = &status.reason {
                reasons.push_str(&format!("  {}: {reason}\n", node.name));
            }
        }
        let gap = if reasons.is_empty() { "" } else { "\n" };
        format!("{}{gap}{reasons}", table.render(style))
    }
}

fn row(name: &str, status: &StatusResponse, style: Style) -> [String; 9] {
    let role = match (status.is_primary, status.voting) {
        (_, true) if !status.active => style.note("between views"),
        (true, _) => style.strong("primary"),
        (false, true) => "backup".to_owned(),
        (false, false) => style.note("does not vote"),
    };
    [
        name.to_owned(),
        word(&status.state),
        status.height.to_string(),
        status.certified_height.to_string(),
        status.view.to_string(),
        role,
        status.peers_connected.to_string(),
        status.pool.count.to_string(),
        utc(status.time),
    ]
}
