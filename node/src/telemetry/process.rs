//! What the operating system says of this process.

use std::fs;

/// A process as Linux shows it; `None` for what another system does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Memory that is in use and not swapped out, bytes.
    pub resident_bytes: Option<u64>,
    /// Open files, sockets among them.
    pub open_files: Option<u64>,
}

impl ProcessStatus {
    /// This process now.
    pub fn read() -> ProcessStatus {
        let memory = fs::read_to_string("/proc/self/status").ok();
        ProcessStatus {
            resident_bytes: memory.and_then(|text| resident_bytes(&text)),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
        }
    }
}

/// The line `VmRSS:   1234 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(resident_bytes("VmSize:\t  9 kB\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
        assert_eq!(resident_bytes("VmRSS:\tmuch\n"), None);
        let here = ProcessStatus::read();
        assert!(here.resident_bytes.is_none_or(|bytes| bytes > 1024) && here.open_files.is_none_or(|files| files > 2));
    }
}
