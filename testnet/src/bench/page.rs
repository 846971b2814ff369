//! The page of plots: one file, no script, nothing from elsewhere.

use quorate_cli::output::Readable;
use quorate_cli::output::table::Style;
use quorate_cli::output::time::utc;

use super::chart::{Chart, Line};
use super::figures::{Figures, Step};
use crate::load::{Latency, Moment};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:light-dark(#1c2430,#d8dee8);--faint:light-dark(#d9dee6,#37404d);\
--c0:light-dark(#1665c1,#6db3ff);--c1:light-dark(#c2571a,#ffa566);--c2:light-dark(#7a3db8,#c79bff)}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:light-dark(#fff,#12161d);max-width:760px;\
margin:2rem auto;padding:0 1rem}pre{overflow-x:auto;font-size:13px}figure{margin:2rem 0}figcaption{font-weight:600}\
svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:12px}.grid{stroke:var(--faint);fill:none}\
.line{fill:none;stroke-width:2}path.c0{stroke:var(--c0)}path.c1{stroke:var(--c1)}path.c2{stroke:var(--c2)}\
circle.c0{fill:var(--c0)}circle.c1{fill:var(--c1)}circle.c2{fill:var(--c2)}.legend{margin:0;font-size:13px}\
.legend span::before{content:'\\25CF\\a0'}.k0::before{color:var(--c0)}.k1::before{color:var(--c1)}.k2::before{color:var(--c2)}";

/// The page as HTML.
pub fn page(figures: &Figures) -> String {
    let subject = &figures.subject;
    let heading = format!("{} nodes, {} cores, {} bytes", subject.nodes, subject.cores, subject.transaction_bytes);
    let charts: String = charts(figures).iter().map(Chart::svg).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Quorate bench: {heading}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\n\
         <h1>Quorate bench</h1>\n<p>{heading}; version {}, {}.</p>\n<pre>{}</pre>\n{charts}</html>\n",
        subject.version,
        utc(subject.started),
        figures.text(Style { colour: false }),
    )
}

fn charts(figures: &Figures) -> Vec<Chart> {
    let moments = &figures.full.moments;
    let over_time = |of: fn(&Moment) -> f64| moments.iter().map(|moment| (moment.second as f64, of(moment))).collect();
    let rate = Chart {
        title: "Full load: committed transactions over time",
        across: "seconds",
        up: "transactions per second",
        lines: vec![Line { name: "committed", points: over_time(|moment| moment.committed as f64) }],
    };
    let latency = Chart {
        title: "Full load: latency over time",
        across: "seconds",
        up: "milliseconds",
        lines: vec![
            Line { name: "p50", points: over_time(|moment| moment.latency_millis.p50) },
            Line { name: "p99", points: over_time(|moment| moment.latency_millis.p99) },
        ],
    };
    let mut charts = vec![rate, latency];
    if !figures.sweep.is_empty() {
        let against = |of: fn(&Latency) -> f64| {
            let point = |step: &Step| (step.offered_per_second as f64, of(&step.latency_millis));
            figures.sweep.iter().map(point).collect()
        };
        charts.push(Chart {
            title: "Latency against the offered rate (open loop)",
            across: "transactions per second offered",
            up: "milliseconds",
            lines: vec![
                Line { name: "p50", points: against(|latency| latency.p50) },
                Line { name: "p99", points: against(|latency| latency.p99) },
            ],
        });
        let committed = |step: &Step| (step.offered_per_second as f64, step.committed_per_second);
        charts.push(Chart {
            title: "Committed against the offered rate",
            across: "transactions per second offered",
            up: "transactions per second",
            lines: vec![Line { name: "committed", points: figures.sweep.iter().map(committed).collect() }],
        });
    }
    charts
}
