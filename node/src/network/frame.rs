//! Frames: what travels on a stream between two nodes (PROTOCOL 9.1).
//!
//! A frame is a little-endian `u32` length, a version byte, a kind byte and a payload. The length counts what follows it,
//! so it is never below two. The kind of a message is its priority class; which message it is, the payload itself says.
//! The length is checked against the limit of its kind before one byte is allocated for it.

use borsh::BorshSerialize;
use bytes::Bytes;
use quorate_protocol::limits::{
    BATCH_ENCODED_BYTES_LIMIT, FRAME_BYTES_MAX, FRAME_OVERHEAD_BYTES, VALIDATORS_LIMIT, VOTE_BYTES_LIMIT,
};
use thiserror::Error;

/// Version of the frame format; a peer that sends another one is disconnected.
pub const FRAME_VERSION: u8 = 1;
/// Largest payload of any frame, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - HEADER_BYTES;
/// Largest payload of a hello, in bytes: one small structure of fixed size and one signature.
pub(super) const HELLO_BYTES_MAX: usize = 512;
/// Length field, version and kind, in bytes.
pub(super) const HEADER_BYTES: usize = 6;

/// A commit certificate travels with its batch of ids.
const COMMIT_CERTIFICATE_BYTES: usize =
    VALIDATORS_LIMIT * VOTE_BYTES_LIMIT + BATCH_ENCODED_BYTES_LIMIT + FRAME_OVERHEAD_BYTES;
/// A PRE-PREPARE with its batch of ids beside it.
const PROPOSAL_BYTES: usize = VOTE_BYTES_LIMIT + BATCH_ENCODED_BYTES_LIMIT + FRAME_OVERHEAD_BYTES;

const HELLO: u8 = 0x40;
const PING: u8 = 0x41;

/// Bytes of a payload that are allocated on the word of its length field alone; beyond that, memory grows with real data.
const PAYLOAD_START: usize = 16 << 10;
/// Size of the buffer that a stream is read into, in bytes.
const READ_BYTES: usize = 32 << 10;

/// Priority class of a message, most urgent first (PROTOCOL 9.2). It is the kind byte of the message's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// VIEW-CHANGE and NEW-VIEW.
    ViewChange = 1,
    /// COMMIT, CHECKPOINT and commit certificates.
    Commit = 2,
    /// PREPARE.
    Prepare = 3,
    /// PRE-PREPARE with its batch.
    PrePrepare = 4,
    /// Bodies of open proposals, and requests for them.
    Bodies = 5,
    /// STATUS.
    Status = 6,
    /// Blocks for a node that catches up, and requests for them.
    Sync = 7,
    /// Transactions sent straight to one node: claims and pool repair.
    Transactions = 8,
}

/// Which of the two long-lived streams of a direction carries a class. They are apart so that a node which is slow to take
/// blocks and bodies still gets votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    /// Consensus messages.
    Vote,
    /// Bodies, blocks and transactions.
    Sync,
}

/// What bounds one class: its frames, and its queue towards one peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassLimits {
    /// Largest payload, in bytes.
    pub payload: usize,
    /// Most frames queued towards one peer.
    pub frames: usize,
    /// Most bytes queued towards one peer; a single frame above it is taken when the queue is empty.
    pub bytes: usize,
    /// Bytes that the class may send per turn while others wait as well: its guaranteed share.
    pub share: usize,
}

impl Class {
    /// Every class, most urgent first.
    pub const ALL: [Class; 8] = [
        Class::ViewChange,
        Class::Commit,
        Class::Prepare,
        Class::PrePrepare,
        Class::Bodies,
        Class::Status,
        Class::Sync,
        Class::Transactions,
    ];

    /// A stable name for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Class::ViewChange => "view_change",
            Class::Commit => "commit",
            Class::Prepare => "prepare",
            Class::PrePrepare => "pre_prepare",
            Class::Bodies => "bodies",
            Class::Status => "status",
            Class::Sync => "sync",
            Class::Transactions => "transactions",
        }
    }

    /// Position in [`Class::ALL`].
    pub(super) fn slot(self) -> usize {
        self as usize - 1
    }

    pub(super) fn stream(self) -> StreamKind {
        match self {
            Class::ViewChange | Class::Commit | Class::Prepare | Class::PrePrepare | Class::Status => StreamKind::Vote,
            Class::Bodies | Class::Sync | Class::Transactions => StreamKind::Sync,
        }
    }

    /// The bounds of this class. Queues hold what a window of L = 128 slots and n = 31 validators can produce in one burst;
    /// whatever is more comes back by STATUS.
    pub(super) fn limits(self) -> ClassLimits {
        let (payload, frames, bytes, share) = match self {
            Class::ViewChange => (PAYLOAD_BYTES_MAX, 64, 8 << 20, 128 << 10),
            Class::Commit => (COMMIT_CERTIFICATE_BYTES, 4096, 2 << 20, 64 << 10),
            Class::Prepare => (VOTE_BYTES_LIMIT + FRAME_OVERHEAD_BYTES, 4096, 1 << 20, 32 << 10),
            Class::PrePrepare => (PROPOSAL_BYTES, 512, 8 << 20, 64 << 10),
            Class::Bodies => (PAYLOAD_BYTES_MAX, 256, 8 << 20, 128 << 10),
            Class::Status => (64 << 10, 16, 256 << 10, 16 << 10),
            Class::Sync => (PAYLOAD_BYTES_MAX, 32, 8 << 20, 64 << 10),
            Class::Transactions => (2 << 20, 256, 4 << 20, 32 << 10),
        };
        ClassLimits { payload, frames, bytes, share }
    }
}

/// Kind of a frame on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first frame of a vote stream.
    Hello,
    /// Says that the sender is alive when it has nothing else to say; no payload.
    Ping,
    /// A message of a class.
    Message(Class),
}

impl Kind {
    /// The byte that says so in a frame.
    pub fn byte(self) -> u8 {
        match self {
            Kind::Hello => HELLO,
            Kind::Ping => PING,
            Kind::Message(class) => class as u8,
        }
    }

    fn from_byte(byte: u8) -> Option<Kind> {
        match byte {
            HELLO => Some(Kind::Hello),
            PING => Some(Kind::Ping),
            _ => Class::ALL.into_iter().find(|class| *class as u8 == byte).map(Kind::Message),
        }
    }

    fn payload_max(self) -> usize {
        match self {
            Kind::Hello => HELLO_BYTES_MAX,
            Kind::Ping => 0,
            Kind::Message(class) => class.limits().payload,
        }
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length field cannot even hold version and kind.
    #[error("frame length {0} is below 2, the size of version and kind")]
    TooShort(u32),
    /// The frame speaks a version that this node does not.
    #[error("frame version {0}, this node speaks {FRAME_VERSION}: run the same release on both nodes")]
    Version(u8),
    /// No such kind.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// The payload is larger than its kind allows.
    #[error("payload of {bytes} bytes in a frame of kind {kind}, the limit is {max}")]
    TooLarge {
        /// The frame's kind byte.
        kind: u8,
        /// Size of the payload in bytes.
        bytes: usize,
        /// Limit of the kind in bytes.
        max: usize,
    },
    /// The payload could not be written as canonical bytes.
    #[error("payload cannot be encoded: {0}")]
    Encode(String),
}

/// One encoded message, ready to be sent to any number of peers; cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    class: Class,
    bytes: Bytes,
}

impl Frame {
    /// Frames the canonical bytes of `value`.
    ///
    /// # Errors
    /// When they exceed the limit of the class.
    pub fn of<T: BorshSerialize + ?Sized>(class: Class, value: &T) -> Result<Frame, FrameError> {
        let mut bytes = vec![0; HEADER_BYTES];
        value.serialize(&mut bytes).map_err(|error| FrameError::Encode(error.to_string()))?;
        Ok(Frame { class, bytes: finish(Kind::Message(class), bytes)? })
    }

    /// Frames a payload that is encoded already.
    ///
    /// # Errors
    /// When it exceeds the limit of the class.
    pub fn from_payload(class: Class, payload: &[u8]) -> Result<Frame, FrameError> {
        Ok(Frame { class, bytes: raw_frame(Kind::Message(class), payload)? })
    }

    /// The class that the frame is queued in.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Size on the wire in bytes, header included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What travels: header and payload.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Encodes a frame of any kind.
pub(super) fn raw_frame(kind: Kind, payload: &[u8]) -> Result<Bytes, FrameError> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend_from_slice(payload);
    finish(kind, bytes)
}

/// The ping frame.
pub(super) fn ping_frame() -> [u8; HEADER_BYTES] {
    [2, 0, 0, 0, FRAME_VERSION, PING]
}

/// Fills in the header that was left free in front of the payload.
fn finish(kind: Kind, mut bytes: Vec<u8>) -> Result<Bytes, FrameError> {
    let payload = bytes.len() - HEADER_BYTES;
    check_size(kind, payload)?;
    let length = (payload + 2) as u32; // at most FRAME_BYTES_MAX, checked above
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4] = FRAME_VERSION;
    bytes[5] = kind.byte();
    Ok(Bytes::from(bytes))
}

fn check_size(kind: Kind, bytes: usize) -> Result<(), FrameError> {
    let max = kind.payload_max();
    if bytes > max {
        return Err(FrameError::TooLarge { kind: kind.byte(), bytes, max });
    }
    Ok(())
}

/// Cuts a stream of bytes into frames. Bytes go in by [`Decoder::space`] and [`Decoder::filled`], frames come out of
/// [`Decoder::next_frame`], which must be called until it has no more before the next bytes go in.
#[derive(Debug)]
pub struct Decoder {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    open: Option<Open>,
}

/// A frame whose header has been read and accepted.
#[derive(Debug)]
struct Open {
    kind: Kind,
    length: usize,
    payload: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Decoder {
        Decoder { buffer: vec![0; READ_BYTES].into_boxed_slice(), start: 0, end: 0, open: None }
    }

    /// Free space to read into; never empty once `next_frame` had no more.
    pub fn space(&mut self) -> &mut [u8] {
        // At most a torn header is left over, so this moves less than HEADER_BYTES.
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// Says that the first `count` bytes of the space have been filled.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes are no frame; the stream is of no use after that.
    pub fn next_frame(&mut self) -> Result<Option<(Kind, Bytes)>, FrameError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => match self.read_header()? {
                Some(open) => open,
                None => return Ok(None),
            },
        };
        let take = (open.length - open.payload.len()).min(self.end - self.start);
        open.payload.extend_from_slice(&self.buffer[self.start..self.start + take]);
        self.start += take;
        if open.payload.len() < open.length {
            self.open = Some(open);
            return Ok(None);
        }
        Ok(Some((open.kind, Bytes::from(open.payload))))
    }

    fn read_header(&mut self) -> Result<Option<Open>, FrameError> {
        let Some(header) = self.buffer[self.start..self.end].first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, version, kind] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if version != FRAME_VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = Kind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        let length = length.checked_sub(2).ok_or(FrameError::TooShort(length))? as usize;
        check_size(kind, length)?;
        self.start += HEADER_BYTES;
        Ok(Some(Open { kind, length, payload: Vec::with_capacity(length.min(PAYLOAD_START)) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<(Kind, Bytes)>, FrameError> {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let space = decoder.space();
                let count = rest.len().min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                decoder.filled(count);
                rest = &rest[count..];
                while let Some(frame) = decoder.next_frame()? {
                    frames.push(frame);
                }
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_torn_anywhere_come_out_whole_and_in_order() {
        let payloads = [vec![1; 10], vec![], vec![2; 100_000], vec![3; 1]];
        let mut bytes = Vec::new();
        for payload in &payloads {
            bytes.extend_from_slice(Frame::from_payload(Class::PrePrepare, payload).expect("fits").bytes());
        }
        bytes.extend_from_slice(&ping_frame());
        for piece in [1, 5, 6, 7, 4096, READ_BYTES, bytes.len()] {
            let frames = decode_in_pieces(&bytes, piece).expect("good frames");
            assert_eq!(frames.len(), payloads.len() + 1, "pieces of {piece}");
            for (frame, payload) in frames.iter().zip(&payloads) {
                assert_eq!(frame.0, Kind::Message(Class::PrePrepare));
                assert_eq!(&frame.1[..], &payload[..]);
            }
            assert_eq!(frames[payloads.len()], (Kind::Ping, Bytes::new()));
        }
    }

    #[test]
    fn a_torn_frame_is_no_frame_yet() {
        let frame = Frame::from_payload(Class::Status, &[7; 50]).expect("fits");
        let frames = decode_in_pieces(&frame.bytes()[..frame.size() - 1], 8).expect("good so far");
        assert!(frames.is_empty());
    }

    #[test]
    fn a_length_above_the_limit_of_its_kind_is_refused_before_allocation() {
        for class in Class::ALL {
            let max = class.limits().payload;
            let mut header = (max as u32 + 3).to_le_bytes().to_vec();
            header.extend([FRAME_VERSION, class as u8]);
            let refusal = decode_in_pieces(&header, 6).expect_err("too large");
            assert_eq!(refusal, FrameError::TooLarge { kind: class as u8, bytes: max + 1, max });
        }
        let mut ping_with_payload = ping_frame();
        ping_with_payload[0] = 3;
        assert!(matches!(decode_in_pieces(&ping_with_payload, 6), Err(FrameError::TooLarge { max: 0, .. })));
    }

    #[test]
    fn a_large_length_alone_allocates_little() {
        let mut decoder = Decoder::new();
        let mut header = (PAYLOAD_BYTES_MAX as u32).to_le_bytes().to_vec();
        header.extend([FRAME_VERSION, Class::Sync as u8]);
        decoder.space()[..6].copy_from_slice(&header);
        decoder.filled(6);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.open.expect("header was taken").payload.capacity() <= PAYLOAD_START);
    }

    #[test]
    fn unknown_versions_kinds_and_impossible_lengths_are_named() {
        assert_eq!(decode_in_pieces(&[2, 0, 0, 0, 9, 1], 6), Err(FrameError::Version(9)));
        assert_eq!(decode_in_pieces(&[2, 0, 0, 0, FRAME_VERSION, 99], 6), Err(FrameError::Kind(99)));
        assert_eq!(decode_in_pieces(&[2, 0, 0, 0, FRAME_VERSION, 0], 6), Err(FrameError::Kind(0)));
        assert_eq!(decode_in_pieces(&[1, 0, 0, 0, FRAME_VERSION, 1], 6), Err(FrameError::TooShort(1)));
    }

    #[test]
    fn an_own_message_above_the_limit_is_not_framed() {
        let refused = Frame::from_payload(Class::Prepare, &vec![0; Class::Prepare.limits().payload + 1]);
        assert!(matches!(refused, Err(FrameError::TooLarge { .. })));
        assert_eq!(
            Frame::of(Class::Status, &(1u8, 2u32)).expect("fits").bytes()[..],
            [7, 0, 0, 0, FRAME_VERSION, Class::Status as u8, 1, 2, 0, 0, 0]
        );
    }
}
