//! Ctrl-C and the signals that mean the same: the first asks for a clean end, the second for a quick one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use quorate_cli::exit::{Exit, Failure};
use tokio::signal::unix::{SignalKind, signal};

/// How often a wait looks whether it was interrupted.
pub const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// Counts the interrupts of this process.
#[derive(Clone, Default, Debug)]
pub struct Interrupt {
    count: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Starts to listen: from now on these signals only count. `each` is called after every one.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn listen(each: impl Fn() + Send + 'static) -> Result<Interrupt, Failure> {
        let interrupt = Interrupt::default();
        let counted = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(|error| {
            Failure::internal(format!("signals cannot be listened for: {error}"), "check the limits of this session")
        })?;
        thread::spawn(move || {
            runtime.block_on(async {
                let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
                let (Ok(mut interrupted), Ok(mut terminated), Ok(mut hung_up)) =
                    (signal(kinds[0]), signal(kinds[1]), signal(kinds[2]))
                else {
                    // Then they end this process the hard way; `down` cleans up after it.
                    return;
                };
                loop {
                    tokio::select! {
                        _ = interrupted.recv() => {}
                        _ = terminated.recv() => {}
                        _ = hung_up.recv() => {}
                    }
                    counted.count.fetch_add(1, Ordering::SeqCst);
                    each();
                }
            });
        });
        Ok(interrupt)
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The failure of a command that was interrupted.
    pub fn failure(&self) -> Failure {
        Failure::new(
            Exit::Interrupted,
            "interrupted",
            "interrupted before the testnet was up; its nodes are stopped",
            "run `up` again on the same directory",
        )
    }
}
