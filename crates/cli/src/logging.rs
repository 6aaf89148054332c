//! What `-v` and `-vv` show: one line an event on standard error, each beginning with its rank.

use std::fmt;
use std::io;
use std::time::Instant;
use swarm::Rank;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging to standard error: warnings, from 1 on phases, from 2 on messages.
///
/// A second call does nothing.
pub fn init(verbosity: u8, rank: Rank, began: Instant) {
    let level = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // Fails only where a subscriber is set already, as in tests: that one stays.
    let _ = tracing::subscriber::set_global_default(subscriber(level, rank, began, io::stderr));
}

fn subscriber<W>(
    level: LevelFilter,
    rank: Rank,
    start: Instant,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        // A line that cannot be written, because the launcher is gone, is no reason to print
        // another.
        .log_internal_errors(false)
        .event_format(Line { rank, start })
        .with_writer(writer)
        .finish()
}

/// One line: `[3] 0.0123s INFO the message field=value`.
struct Line {
    rank: Rank,
    start: Instant,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let seconds = self.start.elapsed().as_secs_f64();
        let level = *event.metadata().level();
        write!(writer, "[{}] {seconds:.4}s {level:<5} ", self.rank)?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What is logged at a level, without the times.
    fn logged(level: LevelFilter) -> String {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let bytes = Arc::clone(&bytes);
            move || Sink(Arc::clone(&bytes))
        };
        tracing::subscriber::with_default(
            subscriber(level, Rank(3), Instant::now(), writer),
            || {
                tracing::debug!(channel = "ACK", tag = 5, "sent");
                tracing::info!("preparing");
                tracing::warn!(peer = 4, "slow");
            },
        );
        let text = String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
        let without_time = |line: &str| {
            let (rank, rest) = line.split_once("] ").unwrap();
            let (seconds, rest) = rest.split_once("s ").unwrap();
            assert!(seconds.parse::<f64>().is_ok(), "{line}");
            format!("{rank}] {rest}\n")
        };
        text.lines().map(without_time).collect()
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_line_begins_with_the_rank() {
        let warning = "[3] WARN  slow peer=4\n";
        let phases = "[3] INFO  preparing\n[3] WARN  slow peer=4\n";
        assert_eq!(logged(LevelFilter::WARN), warning);
        assert_eq!(logged(LevelFilter::INFO), phases);
        assert_eq!(
            logged(LevelFilter::DEBUG),
            format!("[3] DEBUG sent channel=\"ACK\" tag=5\n{phases}")
        );
    }
}
