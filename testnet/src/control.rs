//! How every other command talks to the supervisor: one JSON line there, one JSON line back, over `control.sock`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use quorate_cli::exit::{Exit, Failure};
use serde::{Deserialize, Serialize};

use crate::directory::{Directory, not_running};

/// The longest request or reply, in bytes.
const LINE_BYTES_MAX: u64 = 256 << 10;
/// How long a command may take: starting a node, or stopping all of them.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest path that a socket's address can hold is 107 bytes; from here on it is reached through its directory's
/// descriptor.
const SOCKET_PATH_MAX: usize = 100;

/// What the supervisor is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Say which processes run.
    Processes {},
    /// Kill a node at once.
    Kill {
        /// Which one.
        node: String,
    },
    /// Start a node that is down.
    Start {
        /// Which one.
        node: String,
    },
    /// Stop a node as an operator would, and start it again.
    Restart {
        /// Which one.
        node: String,
    },
    /// Stop a node, remove its chain and its vote log, and start it again.
    Wipe {
        /// Which one.
        node: String,
    },
    /// Stop all nodes, then the supervisor.
    Down {},
}

/// One node's process as the supervisor sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeProcess {
    /// The node.
    pub name: String,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// Why it does not run, where it does not.
    pub down: Option<String>,
    /// The URL of its HTTP interface.
    pub api: String,
}

/// What the supervisor answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done; these are the processes now.
    Done(Vec<NodeProcess>),
    /// It is not done.
    Refused {
        /// The exit code.
        exit: u8,
        /// A code for programs.
        code: String,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Reply {
    /// The reply that tells of this failure.
    pub fn refused(failure: Failure) -> Reply {
        Reply::Refused { exit: failure.exit as u8, code: failure.code, message: failure.message, hint: failure.hint }
    }

    /// What was done, or why not.
    ///
    /// # Errors
    /// The failure that was refused with.
    pub fn into_result(self) -> Result<Vec<NodeProcess>, Failure> {
        match self {
            Reply::Done(processes) => Ok(processes),
            Reply::Refused { exit, code, message, hint } => {
                Err(Failure::new(Exit::from_code(exit), code, message, hint))
            }
        }
    }
}

/// A request that waits for its reply.
#[derive(Debug)]
pub struct Waiting {
    /// What is asked.
    pub request: Request,
    /// Where the reply goes.
    pub reply: Sender<Reply>,
}

/// The socket's path, and the descriptor that keeps it valid where it is a short cut.
struct Address {
    path: PathBuf,
    _directory: Option<File>,
}

fn address(directory: &Directory) -> io::Result<Address> {
    let path = directory.socket();
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(Address { path, _directory: None });
    }
    let opened = File::open(directory.path())?;
    let short = PathBuf::from(format!("/proc/self/fd/{}/control.sock", opened.as_raw_fd()));
    Ok(Address { path: short, _directory: Some(opened) })
}

/// Takes requests on the directory's socket and passes each to `sink`, on threads of its own. A socket that a dead
/// supervisor left behind is replaced: whoever calls this holds the lock.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(directory: &Directory, sink: impl Fn(Waiting) + Clone + Send + 'static) -> Result<(), Failure> {
    let made = address(directory).and_then(|address| {
        match fs::remove_file(&address.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(&address.path)
    });
    let listener = made.map_err(|error| {
        Failure::internal(
            format!("the socket {} cannot be made: {error}", directory.socket().display()),
            "check the directory's permissions, and that its file system takes sockets",
        )
    })?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sink = sink.clone();
            // A client that breaks off loses its reply, nothing else.
            thread::spawn(move || drop(serve(stream, &sink)));
        }
    });
    Ok(())
}

fn serve(mut stream: UnixStream, sink: &impl Fn(Waiting)) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    let line = read_line(&stream)?;
    let reply = match serde_json::from_slice(&line) {
        Ok(request) => {
            let (reply, answer) = channel();
            sink(Waiting { request, reply });
            // Without an answer the supervisor is gone; the client sees the connection end.
            answer.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
        }
        Err(error) => Reply::refused(Failure::new(
            Exit::Usage,
            "bad_request",
            format!("the supervisor does not understand this request: {error}"),
            "use the version of quorate-testnet that started this testnet, or `down` and `up` it with this one",
        )),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    stream.write_all(&bytes)
}

fn read_line(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line)?;
    if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
}

/// Asks the supervisor of this directory.
///
/// # Errors
/// Exit code 3 when none runs; what the supervisor refuses; or that it does not answer.
pub fn ask(directory: &Directory, request: &Request) -> Result<Vec<NodeProcess>, Failure> {
    let mut stream = connect(directory)?;
    let mut exchange = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let mut bytes = serde_json::to_vec(request)?;
        bytes.push(b'\n');
        stream.write_all(&bytes)?;
        read_line(&stream)
    };
    let no_answer = |reason: String| {
        Failure::internal(
            format!("the testnet's supervisor gave no answer: {reason}"),
            format!("see {}; `quorate-testnet down` cleans up in any case", directory.supervisor_log().display()),
        )
    };
    let line = exchange().map_err(|error| no_answer(error.to_string()))?;
    serde_json::from_slice::<Reply>(&line).map_err(|error| no_answer(error.to_string()))?.into_result()
}

fn connect(directory: &Directory) -> Result<UnixStream, Failure> {
    let address = address(directory).map_err(|_| not_running(directory))?;
    UnixStream::connect(&address.path).map_err(|_| not_running(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(directory: &Directory) {
        listen(directory, |waiting: Waiting| {
            let reply = match waiting.request {
                Request::Kill { node } => {
                    Reply::Done(vec![NodeProcess { name: node, pid: None, down: None, api: String::new() }])
                }
                _ => Reply::refused(Failure::new(Exit::NotFound, "unknown_node", "there is no v9", "see `status`")),
            };
            waiting.reply.send(reply).unwrap();
        })
        .unwrap();
    }

    #[test]
    fn a_request_gets_its_reply_also_over_a_long_path_and_a_stale_socket() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["short".to_owned(), "x".repeat(120)] {
            let directory = Directory::new(&dir.path().join(name));
            directory.prepare().unwrap();
            assert_eq!(ask(&directory, &Request::Processes {}).unwrap_err().code, "not_running");
            fs::write(directory.socket(), "stale").unwrap();
            assert_eq!(ask(&directory, &Request::Processes {}).unwrap_err().code, "not_running");
            echo(&directory);
            assert_eq!(ask(&directory, &Request::Kill { node: "v2".to_owned() }).unwrap()[0].name, "v2");
            let refused = ask(&directory, &Request::Processes {}).unwrap_err();
            assert_eq!((refused.exit, refused.code.as_str()), (Exit::NotFound, "unknown_node"));
        }
    }

    #[test]
    fn rubbish_is_answered_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        echo(&directory);
        for rubbish in ["{}\n", "not json\n", "{\"command\":\"explode\"}\n"] {
            let mut stream = UnixStream::connect(directory.socket()).unwrap();
            stream.write_all(rubbish.as_bytes()).unwrap();
            let line = String::from_utf8(read_line(&stream).unwrap()).unwrap();
            assert!(line.contains("bad_request"), "{line}");
        }
    }
}
