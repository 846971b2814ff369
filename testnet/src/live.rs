//! The line that moves while a testnet runs in a terminal: height, transactions per second, view, and who is down.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_cli::client::http::Node;
use quorate_cli::command::status::ask_all;
use quorate_cli::manifest::Manifest;
use quorate_cli::output::table::Style;
use quorate_protocol::api::http::StatusResponse;

/// How often the line is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// How many blocks are counted each time; beyond that the rate is estimated from the last ones.
const BLOCKS_MAX: u64 = 64;
/// How often the end is looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// The line, until it is dropped.
#[derive(Debug)]
pub struct Live {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Draws the line on stderr where that is a terminal.
    pub fn start(manifest: &Manifest, style: Style) -> Live {
        let ended = Arc::new(AtomicBool::new(false));
        let nodes: Vec<Node> = manifest.nodes.iter().flat_map(|node| Node::new(&node.name, &node.api)).collect();
        let seen = Arc::clone(&ended);
        let enabled = std::io::stderr().is_terminal();
        let thread = enabled.then(|| thread::spawn(move || draw_until(&seen, &nodes, style)));
        Live { ended, thread }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            eprint!("\r\x1b[K");
        }
    }
}

fn draw_until(ended: &AtomicBool, nodes: &[Node], style: Style) {
    let mut rate = Rate::default();
    while !ended.load(Ordering::SeqCst) {
        let drawn = Instant::now();
        let line = line(nodes, &mut rate, style);
        eprint!("\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
        while drawn.elapsed() < EVERY && !ended.load(Ordering::SeqCst) {
            thread::sleep(PAUSE);
        }
    }
}

fn line(nodes: &[Node], rate: &mut Rate, style: Style) -> String {
    let told = ask_all(nodes);
    let up: Vec<(usize, &StatusResponse)> =
        told.iter().enumerate().filter_map(|(index, node)| Some((index, node.status.as_ref()?))).collect();
    let down: Vec<&str> = told.iter().filter(|node| node.status.is_none()).map(|node| node.name.as_str()).collect();
    let Some((highest, status)) = up.iter().max_by_key(|(_, status)| status.height) else {
        return style.bad("  no node answers");
    };
    let per_second = rate.update(&nodes[*highest], status.height.get());
    let is_primary = |(_, told): &&(usize, &StatusResponse)| told.is_primary && told.view == status.view;
    let primary = up.iter().find(is_primary).map_or("-", |(index, _)| told[*index].name.as_str());
    let down = if down.is_empty() { String::new() } else { style.bad(&format!("   no answer: {}", down.join(" "))) };
    format!(
        "  height {}   {per_second:.0} tx/s   view {}   primary {primary}   {} of {} nodes{down}",
        style.strong(&status.height.to_string()),
        status.view,
        up.len(),
        nodes.len()
    )
}

/// Transactions per second, from the blocks since the last look.
#[derive(Default)]
struct Rate {
    last: Option<(u64, Instant)>,
}

impl Rate {
    fn update(&mut self, node: &Node, height: u64) -> f64 {
        let now = Instant::now();
        let Some((before, at)) = self.last.replace((height, now)) else { return 0.0 };
        let blocks = height.saturating_sub(before);
        let counted = blocks.min(BLOCKS_MAX);
        let count = |height: u64| node.block(&height.to_string()).map_or(0, |block| block.batch.count);
        let transactions: usize = (height - counted + 1..=height).map(count).sum();
        let scale = if counted == 0 { 0.0 } else { blocks as f64 / counted as f64 };
        transactions as f64 * scale / now.duration_since(at).as_secs_f64().max(0.001)
    }
}
