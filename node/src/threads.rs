//! Named threads that end together.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::halt::Halt;

/// How much nicer than the others a thread is that serves clients: nine of ten parts of a processor that both want go to the others.
const CLIENTS_NICE: i32 = 10;

/// Lets every other thread of this process go first where processors are short: what clients send may wait, votes may not.
pub fn give_way() {
    // On Linux this is of the calling thread; elsewhere it would be of the whole process. Where it is refused, nothing is lost but that.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(CLIENTS_NICE);
}

/// Says that the thread panicked, unless it returned.
struct Watch {
    name: &'static str,
    halt: Arc<Halt>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.halt.set(&format!("the {} thread panicked; this is a fault of the program", self.name));
        }
    }
}

/// Starts a thread called `name` (at most 15 bytes show in process lists). A panic in it stops signing; in the program
/// `quorate-node` the panic hook has ended the process before that.
///
/// # Errors
/// The operating system has no room for a thread.
pub fn spawn(name: &'static str, halt: &Arc<Halt>, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let watch = Watch { name, halt: Arc::clone(halt) };
    Builder::new().name(name.to_string()).spawn(move || {
        let _watch = watch;
        run();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_gives_way_is_nicer_than_its_process() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let halt = Arc::new(Halt::default());
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = spawn("nice", &halt, move || {
            give_way();
            sender.send(nice()).unwrap();
        });
        assert_eq!(receiver.recv().unwrap(), (before + CLIENTS_NICE).min(19));
        thread.unwrap().join().unwrap();
        assert_eq!(nice(), before, "nobody else is");
    }

    #[test]
    fn panic_of_a_thread_stops_signing_with_its_name() {
        let halt = Arc::new(Halt::default());
        let thread = spawn("unlucky", &halt, || panic!("on purpose")).unwrap();
        assert!(thread.join().is_err());
        assert!(halt.reason().unwrap().contains("unlucky"));
    }
}
