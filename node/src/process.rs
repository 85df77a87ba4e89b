//! What the system says of this process and of others. Nothing where it is not Linux.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::metrics::Family;

/// Ticks a second in which Linux counts processor time for programs (`USER_HZ`), on every architecture that it runs this program on.
const TICKS_A_SECOND: f64 = 100.0;

/// Figures of this process, under the names that all programs use for them.
pub(crate) fn families() -> Vec<Family> {
    let memory = status_kib("VmRSS:").map(|kib| {
        Family::gauge("process_resident_memory_bytes", "Resident memory size in bytes.", kib as f64 * 1024.0)
    });
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| {
        // One of them is this look itself.
        let count = entries.count().saturating_sub(1);
        Family::gauge("process_open_fds", "Number of open file descriptors.", count as f64)
    });
    let most = most_files()
        .map(|limit| Family::gauge("process_max_fds", "Maximum number of open file descriptors.", limit as f64));
    let threads = status("Threads:")
        .and_then(|text| text.parse::<u32>().ok())
        .map(|threads| Family::gauge("process_threads", "Number of threads of the system.", f64::from(threads)));
    let processor = processor_ticks().map(|ticks| {
        let seconds = ticks as f64 / TICKS_A_SECOND;
        Family::counter_of("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", seconds)
    });
    [memory, open, most, threads, processor].into_iter().flatten().collect()
}

fn status(name: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

fn status_kib(name: &str) -> Option<u64> {
    status(name)?.strip_suffix(" kB")?.trim().parse().ok()
}

/// How many files this process may have open.
pub(crate) fn most_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn processor_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything; utime and stime are the 14th and 15th field, the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    Some(user + fields.next()?.parse::<u64>().ok()?)
}

/// How a process was started, on one line and cut to what a message bears; `None` if it is gone or nobody says.
pub(crate) fn command(pid: u32) -> Option<String> {
    const MOST: usize = 120;
    let bytes = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).ok()?;
    let text = shown(String::from_utf8_lossy(&bytes).trim_end_matches('\0').split('\0'));
    let short: String = text.chars().take(MOST).collect();
    let short = if short.len() < text.len() { format!("{short}...") } else { short };
    Some(short).filter(|text| !text.is_empty())
}

/// Arguments as words, without what is secret among them.
fn shown<'a>(arguments: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut is_secret = false;
    for argument in arguments {
        let word = match argument.split_once('=') {
            _ if is_secret => "...".into(),
            Some(("--api-token", _)) => "--api-token=...".into(),
            Some(_) | None => argument.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect(),
        };
        is_secret = argument == "--api-token";
        words.push(word);
    }
    words.join(" ")
}

/// What of a wall clock cannot be, told in words; `None` if it is plausible.
pub(crate) fn clock_fault(now: SystemTime) -> Option<String> {
    /// 2025-01-01: before this program was there.
    const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
    /// 2100-01-01.
    const LATEST: Duration = Duration::from_secs(4_102_444_800);
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (year, _, _) = crate::calendar::civil(since.as_secs() / 86_400);
    if since < EARLIEST {
        return Some(format!("the clock of this machine is wrong: it says {year}"));
    }
    (since > LATEST).then(|| format!("the clock of this machine is wrong: it says {year}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_files_and_a_name() {
        let text = crate::metrics::text(&families());
        for name in ["resident_memory_bytes", "open_fds", "max_fds", "threads", "cpu_seconds_total"] {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} "))).unwrap();
            let figure: f64 = line.split_once(' ').unwrap().1.parse().unwrap();
            assert!(figure > 0.0 || name.starts_with("cpu"), "{line}");
        }
        assert!(command(std::process::id()).unwrap().contains("spool"));
        assert_eq!(command(u32::MAX), None);
    }

    #[test]
    fn a_command_is_shown_without_its_secrets() {
        let shown = |line: &str| shown(line.split(' '));
        assert_eq!(shown("spool --api-token hunter2 daemon --init"), "spool --api-token ... daemon --init");
        assert_eq!(shown("spool daemon --api-token=hunter2 a\u{1b}b"), "spool daemon --api-token=... a b");
    }

    #[test]
    fn a_clock_of_another_age_is_a_fault() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(clock_fault(at(1_800_000_000)), None);
        assert!(clock_fault(at(0)).unwrap().contains("1970"));
        assert!(clock_fault(at(915_148_800)).unwrap().contains("1999"), "at New Year, to the second");
        assert!(clock_fault(at(5_000_000_000)).unwrap().contains("2128"));
    }
}
