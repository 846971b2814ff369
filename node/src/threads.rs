//! Named threads that end together.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::halt::Halt;

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

    #[test]
    fn panic_of_a_thread_stops_signing_with_its_name() {
        let halt = Arc::new(Halt::default());
        let thread = spawn("unlucky", &halt, || panic!("on purpose")).unwrap();
        assert!(thread.join().is_err());
        assert!(halt.reason().unwrap().contains("unlucky"));
    }
}
