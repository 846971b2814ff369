//! `GET /metrics`: Prometheus reads it. No name or value of a label comes from a client.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use quorate_protocol::api::Code;
use quorate_protocol::document::parameters::PROTOCOL_VERSION;
use quorate_protocol::replica::ReplicaStatus;
use tokio::time::{Instant, timeout};

use super::context::Api;
use super::problem::Refusal;
use super::status::{VERSION, is_voting};
use crate::network::{Class, NetworkCounts};
use crate::telemetry::{Drop, Labels, ProcessStatus};

/// The form of the text.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the replica may take to say how it stands: a node whose disk hangs is to be seen, too.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts a request by its path as routed; one that leads nowhere is `other`.
pub(super) async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = vec![("method", method.to_owned()), ("path", path), ("status", status)];
    let seconds = start.elapsed().as_secs_f64();
    api.counters.metrics.requests.get_or_create(&labels).observe(seconds);
    response
}

/// `GET /metrics`
pub async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Refusal> {
    let replica = timeout(PATIENCE, api.replica_status()).await.ok().and_then(Result::ok);
    let mut registry = Registry::with_prefix("quorate");
    if let Some(replica) = &replica {
        add_replica(&mut registry, &api, replica);
    }
    let answers = replica.is_some();
    gauge(&mut registry, "replica_answers", "1 while the replica answers within a second", u64::from(answers));
    let halted = u64::from(api.halt.reason().is_some());
    gauge(&mut registry, "halted", "1 once this node has stopped signing", halted);
    api.counters.metrics.register(&mut registry);
    add_queues(&mut registry, &api);
    add_network(&mut registry, &api.network.counts(), api.network.connected().len());
    add_process(&mut registry, &api);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn bytes(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value));
}

/// Counters with one label.
fn counters<'a>(label: &'static str, counts: impl IntoIterator<Item = (&'a str, u64)>) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for (value, count) in counts {
        family.get_or_create(&vec![(label, value.to_owned())]).inc_by(count);
    }
    family
}

fn add_replica(registry: &mut Registry, api: &Api, replica: &ReplicaStatus) {
    let engine = &replica.engine;
    gauge(registry, "height", "Last executed and durable block", engine.executed.0);
    gauge(registry, "certified_height", "Highest certified block", engine.certified.0);
    gauge(registry, "low_watermark", "Highest block below which the log is given up", engine.low.0);
    gauge(registry, "epoch", "Validator set in force", engine.epoch.0);
    gauge(registry, "view", "View that this node has entered", engine.view.0);
    gauge(registry, "view_is_active", "1 while the view is active, 0 between two views", u64::from(engine.active));
    let is_primary = engine.primary == api.identity.index;
    gauge(registry, "is_primary", "1 while this node is the primary of its view", u64::from(is_primary));
    gauge(registry, "is_active", "1 while this node signs votes", u64::from(is_voting(api, replica)));
    gauge(registry, "is_catching_up", "1 while blocks are fetched", u64::from(replica.catching_up));
    let in_flight = engine.highest_slot.0.saturating_sub(engine.executed.0);
    gauge(registry, "batches_in_flight", "Sequence numbers in use above the last executed block", in_flight);
    gauge(registry, "pool_transactions", "Transactions that wait in the pool", replica.pool.count as u64);
    bytes(registry, "pool", "Canonical bytes of the transactions in the pool", replica.pool.bytes as u64);
    let time = replica.head_time as f64 / 1e3;
    let help = "Time of the last block, Unix seconds";
    registry.register_with_unit("head_time", help, Unit::Seconds, ConstGauge::new(time));
}

fn add_queues(registry: &mut Registry, api: &Api) {
    let [votes, frames, arrivals] = api.verify.depths();
    let depths = Family::<Labels, prometheus_client::metrics::gauge::Gauge>::default();
    for (queue, depth) in [("votes", votes), ("frames", frames), ("transactions", arrivals)] {
        depths.get_or_create(&vec![("queue", queue.to_owned())]).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
    registry.register("verify_queue_depth", "Messages that wait for a signature worker", depths);
    gauge(registry, "waiters", "Transactions that clients wait for", api.waiters.count() as u64);
    let open = api.event_streams_max.saturating_sub(api.event_streams.available_permits());
    gauge(registry, "event_streams", "Open streams of events", open as u64);
    let drops = Drop::ALL.iter().map(|drop| (drop.name(), api.counters.get(*drop)));
    registry.register("dropped", "What was dropped or refused, by reason", counters("reason", drops));
}

fn add_network(registry: &mut Registry, counts: &NetworkCounts, connected: usize) {
    gauge(registry, "peers_connected", "Other validators with a link", connected as u64);
    let frames = counters("direction", [("in", counts.frames_received), ("out", counts.frames_sent)]);
    registry.register("network_frames", "Messages on streams between nodes", frames);
    let sizes = counters("direction", [("in", counts.bytes_received), ("out", counts.bytes_sent)]);
    registry.register_with_unit("network", "Bytes of these messages", Unit::Bytes, sizes);
    let classes = Class::ALL.iter().map(|class| class.name()).zip(counts.frames_dropped);
    let help = "Outgoing messages dropped, by class: the queue was full, or the peer not connected";
    registry.register("network_frames_dropped", help, counters("class", classes));
    let mut count = |name: &str, help: &str, value: u64| registry.register(name, help, ConstCounter::new(value));
    count("gossip_dropped", "Transactions and gossip messages dropped since the node was busy", counts.gossip_dropped);
    count("hellos_refused", "Hellos of peers that were refused", counts.hellos_refused);
    count("links_broken", "Connections closed because the peer broke the protocol or fell silent", counts.links_broken);
}

fn add_process(registry: &mut Registry, api: &Api) {
    let ProcessStatus { resident_bytes, open_files } = ProcessStatus::read();
    if let Some(resident) = resident_bytes {
        bytes(registry, "process_resident_memory", "Memory in use, without what is swapped out", resident);
    }
    if let Some(open) = open_files {
        gauge(registry, "process_open_files", "Open files and sockets", open);
    }
    let uptime = ConstGauge::new(api.counters.uptime_seconds());
    registry.register_with_unit("uptime", "Since the node was started", Unit::Seconds, uptime);
    let build = [("version", VERSION.to_owned()), ("protocol_version", PROTOCOL_VERSION.to_string())];
    registry.register("build", "The program", Info::new(build.to_vec()));
}
