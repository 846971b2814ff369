//! How every other command talks to the supervisor: one JSON line there, one JSON line back, over `control.sock`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use quorate_cli::exit::{Exit, Failure};
use serde::{Deserialize, Serialize};

use crate::conditions::Conditions;
use crate::directory::{Directory, not_running, starting};
use crate::fault::{Disk, Fault, LinkShown, Said};
use crate::record::Record;

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
    /// Stop a node's process where it is.
    Pause {
        /// Which one.
        node: String,
    },
    /// Let a paused node go on.
    Resume {
        /// Which one.
        node: String,
    },
    /// Cut links.
    Partition {
        /// Which, as `v0,v1|v2,v3` or `v0>v1`.
        spec: String,
    },
    /// Make links slow.
    Delay(Delay),
    /// End all network faults.
    Heal {},
    /// Make a node's clock wrong, by a restart.
    Clock {
        /// Which one.
        node: String,
        /// By so many milliseconds.
        offset_ms: i64,
    },
    /// Make a node's disk fail, or work again.
    Disk {
        /// Which one.
        node: String,
        /// What happens to it.
        disk: Disk,
    },
    /// Stop all nodes, then the supervisor.
    Down {},
}

/// How slow a node's links, or one link, shall be. All zero is not slow.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// A node, or a link such as `v0-v1`.
    pub target: String,
    /// Each byte arrives so many milliseconds later.
    pub latency_ms: u64,
    /// Up to so many milliseconds more, at random.
    pub jitter_ms: u64,
    /// So many of a thousand chunks stall.
    pub stall_permille: u16,
    /// Bytes per second that pass at most.
    pub bandwidth: Option<u64>,
}

impl Delay {
    /// What it does to a direction of a link.
    pub fn conditions(&self) -> Conditions {
        Conditions {
            held: false,
            latency: Duration::from_millis(self.latency_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            stall_permille: self.stall_permille,
            bandwidth: self.bandwidth,
        }
    }
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
    /// It is stopped where it is, until it is resumed.
    pub paused: bool,
    /// The URL of its HTTP interface.
    pub api: String,
}

/// A testnet as its supervisor sees it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The nodes' processes, by index.
    pub nodes: Vec<NodeProcess>,
    /// Whether the links between the nodes run through proxies, so that they can be broken.
    pub proxied: bool,
    /// The faults in force, the oldest first.
    pub faults: Vec<Fault>,
    /// The directions of links that are not as they should be.
    pub links: Vec<LinkShown>,
    /// What the request did, where that is more than its name says.
    pub said: Option<Said>,
}

impl State {
    /// What the request did.
    ///
    /// # Errors
    /// When that is not told.
    pub fn take_said(&mut self) -> Result<Said, Failure> {
        self.said.take().ok_or_else(|| Failure::internal("the supervisor does not tell what it did", "see `status`"))
    }
}

/// What the supervisor answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done; this is how things are now.
    Done(Box<State>),
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
    pub fn into_result(self) -> Result<State, Failure> {
        match self {
            Reply::Done(state) => Ok(*state),
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
    /// When it had been read.
    pub asked: Instant,
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
            sink(Waiting { request, asked: Instant::now(), reply });
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

/// Asks the supervisor of this directory. Returns the nodes' processes.
///
/// # Errors
/// As [`ask_state`].
pub fn ask(directory: &Directory, request: &Request) -> Result<Vec<NodeProcess>, Failure> {
    ask_state(directory, request).map(|state| state.nodes)
}

/// Asks the supervisor of this directory. Returns how things are when it is done.
///
/// # Errors
/// Exit code 3 when none runs, or one is starting its nodes; what the supervisor refuses; or that it does not answer.
pub fn ask_state(directory: &Directory, request: &Request) -> Result<State, Failure> {
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
    UnixStream::connect(&address.path).map_err(|_| match Record::load(&directory.record()).is_starting() {
        true => starting(directory),
        false => not_running(directory),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(directory: &Directory) {
        listen(directory, |waiting: Waiting| {
            let reply = match waiting.request {
                Request::Kill { node } => {
                    let node = NodeProcess { name: node, pid: None, down: None, paused: false, api: String::new() };
                    Reply::Done(Box::new(State { nodes: vec![node], ..State::default() }))
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
