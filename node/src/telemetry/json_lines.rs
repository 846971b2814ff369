//! The log for machines: one JSON object per line.
//!
//! `{"time": …, "level": "INFO", "target": "quorate_node::pump", "event": "left for another view", "fields": {"view": "3"}}`:
//! `event` is the same text for the same thing, whatever its fields say, so that a rule can look for it.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The name under which tracing hands over the text of an event.
const TEXT: &str = "message";

/// See the module.
pub(super) struct JsonLines;

#[derive(Default)]
struct Line {
    event: String,
    fields: Map<String, Value>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == TEXT {
            self.event = format!("{value:?}");
        } else {
            self.fields.insert(field.name().to_owned(), format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let quoted = |text: &str| Value::from(text);
        writeln!(
            writer,
            "{{\"time\":{},\"level\":\"{}\",\"target\":{},\"event\":{},\"fields\":{}}}",
            quoted(&time),
            metadata.level(),
            quoted(metadata.target()),
            quoted(&line.event),
            Value::Object(line.fields)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_an_object_with_a_stable_event_and_typed_fields() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, || {
            let view = quorate_protocol::id::View(7);
            tracing::warn!(%view, count = 3, reason = "a \"quoted\"\nword", ready = true, "left for another view");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&line["level"], &line["event"]), (&"WARN".into(), &"left for another view".into()));
        assert!(line["target"].as_str().unwrap().starts_with("quorate_node::"));
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        let fields = &line["fields"];
        assert_eq!((&fields["view"], &fields["count"], &fields["ready"]), (&"7".into(), &3.into(), &true.into()));
        assert_eq!(fields["reason"], "a \"quoted\"\nword");
    }

    /// Every call of a logging macro in `folder` and below, from its name to the end of its arguments.
    fn calls(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder of source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                calls(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let source = std::fs::read_to_string(&path).expect("source is text");
                let source = source.split("#[cfg(test)]").next().unwrap_or_default();
                // A call may stand on several lines.
                let source = source.split_whitespace().collect::<Vec<_>>().join(" ").replace("\" )", "\")");
                for name in ["error!(", "warn!(", "info!(", "debug!(", "trace!("] {
                    for (at, _) in source.match_indices(name) {
                        let whole = source[at..].split(')').take(20).collect::<Vec<_>>().join(")");
                        let end = whole.find("\")").map_or(whole.len(), |end| end + 2);
                        found.push(whole[..end].to_owned());
                    }
                }
            }
        }
    }

    #[test]
    fn the_text_of_every_event_is_a_literal_without_arguments() {
        let mut found = Vec::new();
        calls(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(found.len() > 30, "the search finds the calls: {}", found.len());
        for call in found {
            let text = call.strip_suffix("\")").and_then(|call| call.rsplit('"').next());
            let text = text.unwrap_or_else(|| panic!("no text at the end of `{call}`"));
            assert!(!text.is_empty() && !text.contains(['{', '}']), "what changes belongs into a field: `{call}`");
        }
    }
}
