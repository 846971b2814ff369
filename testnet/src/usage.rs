//! What running processes used: processor time by thread, memory, bytes written. Read from /proc, so Linux only; elsewhere
//! everything is zero.

use std::collections::BTreeMap;
use std::fs;

/// Clock ticks per second in /proc; Linux gives programs this value whatever the kernel's own is.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one process used since it was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time of all threads, those included that have ended.
    pub seconds: f64,
    /// Seconds of processor time of the threads that run, by their names.
    pub seconds_by_thread: BTreeMap<String, f64>,
    /// Memory that is resident, in bytes.
    pub resident_bytes: u64,
    /// Most memory that was ever resident, in bytes.
    pub resident_bytes_max: u64,
    /// Bytes that it wrote: to files, and its answers to clients. What the disk got cannot be told so: the kernel counts whole folios
    /// of the page cache as written, which can be 2 MiB for a page of 4 KiB.
    pub written_bytes: u64,
}

impl Usage {
    /// What the process with this id used so far.
    pub fn of(pid: u32) -> Usage {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut seconds_by_thread = BTreeMap::new();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
            if let Some((name, seconds)) = thread_time(&stat) {
                *seconds_by_thread.entry(name).or_default() += seconds;
            }
        }
        Usage {
            seconds: thread_time(&stat).map_or(0.0, |(_, seconds)| seconds),
            seconds_by_thread,
            resident_bytes: field(&format!("/proc/{pid}/status"), "VmRSS:").unwrap_or(0) * 1024,
            resident_bytes_max: field(&format!("/proc/{pid}/status"), "VmHWM:").unwrap_or(0) * 1024,
            written_bytes: field(&format!("/proc/{pid}/io"), "wchar:").unwrap_or(0),
        }
    }

    /// What was used between `before` and now.
    pub fn since(&self, before: &Usage) -> Usage {
        let earlier = |name: &String| before.seconds_by_thread.get(name).copied().unwrap_or(0.0);
        let seconds_by_thread =
            self.seconds_by_thread.iter().map(|(name, seconds)| (name.clone(), seconds - earlier(name))).collect();
        Usage {
            seconds: self.seconds - before.seconds,
            seconds_by_thread,
            resident_bytes: self.resident_bytes,
            resident_bytes_max: self.resident_bytes_max,
            written_bytes: self.written_bytes.saturating_sub(before.written_bytes),
        }
    }
}

/// Name and seconds out of a line of /proc/PID/stat or /proc/PID/task/TID/stat: `12 (name) S ...`, user and system ticks
/// in fields 14 and 15.
fn thread_time(stat: &str) -> Option<(String, f64)> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(open + 1..close)?;
    let fields: Vec<&str> = stat.get(close + 1..)?.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((name.to_owned(), (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND))
}

fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes that went over the loopback since the machine was started, headers included; of everybody on this machine.
pub fn loopback_bytes() -> u64 {
    fs::read_to_string("/proc/net/dev").ok().and_then(|text| received(&text, "lo")).unwrap_or(0)
}

/// The first figure of an interface in /proc/net/dev: received bytes.
fn received(text: &str, interface: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, figures) = lines.find(|(name, _)| name.trim() == interface)?;
    figures.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_bytes_stand_behind_the_interfaces_name() {
        let text = "Inter-|   Receive\n face |bytes    packets\n    lo: 1234  5 0 0\n  eth0:99 1\n";
        assert_eq!(received(text, "lo"), Some(1234));
        assert_eq!(received(text, "eth0"), Some(99));
        assert_eq!(received(text, "eth1"), None);
    }

    #[test]
    fn a_threads_time_is_read_from_behind_its_name() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0";
        assert_eq!(thread_time(stat), Some(("a) b".to_owned(), 2.0)));
        assert_eq!(thread_time("nonsense"), None);
    }
}
