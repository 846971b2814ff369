//! Every bound with its unit and its reason.
//!
//! A *limit* is hard: types refuse what exceeds it before they allocate. Where the genesis chooses a smaller value
//! (`batch_count_max`, …), [`Parameters`](crate::document::Parameters) holds that and `check` keeps it below the limit.
//! The relations between bounds are checked at compile time at the end of this file.

// --- Sets -----------------------------------------------------------------------------------------------------------

/// Validators of an epoch. A view change carries O(n²) signatures, so the set stays small.
pub const VALIDATORS_LIMIT: usize = 31;

// --- Transactions ---------------------------------------------------------------------------------------------------

/// Operations of a transaction; all of them apply or none, so this bounds the work of one step of execution.
pub const OPERATIONS_LIMIT: usize = 64;

/// Bytes (UTF-8) of a memo: a reference number or a short sentence, no document.
pub const MEMO_BYTES_LIMIT: usize = 256;

/// Canonical bytes of a signed transaction that a genesis can allow at most.
pub const TRANSACTION_BYTES_LIMIT: usize = 64 * 1024;

/// Characters of an asset code.
pub const ASSET_CODE_LIMIT: usize = 12;

/// Decimal places of an asset: 10^18 minor units a piece leave 20 digits of a `u128` for the whole supply.
pub const SCALE_LIMIT: u8 = 18;

/// Bytes of the largest operation that exists; a test holds it.
pub const OPERATION_BYTES_LIMIT: usize = 128;

/// Canonical bytes of a transaction's fixed part (chain id, sender, valid until, salt, two length prefixes, signature).
const TRANSACTION_FIXED_BYTES: usize = 32 + 32 + 8 + 8 + 4 + 4 + 64;

// --- Batches and blocks ---------------------------------------------------------------------------------------------

/// Transaction ids of a batch that a genesis can allow at most. A COMMIT-CERTIFICATE carries a whole batch in one frame.
pub const BATCH_COUNT_LIMIT: usize = 16_384;

/// Canonical bytes of a batch's bodies that a genesis can allow at most, so that a block with its bodies fits a frame.
pub const BATCH_BYTES_LIMIT: usize = 2 * 1024 * 1024;

/// Canonical bytes of a batch beside its ids (time and length prefix).
const BATCH_FIXED_BYTES: usize = 8 + 4;

/// Canonical bytes of a batch at most.
pub const BATCH_ENCODED_BYTES_LIMIT: usize = BATCH_FIXED_BYTES + BATCH_COUNT_LIMIT * 32;

/// Canonical bytes of a header at most; a test holds it.
pub const HEADER_BYTES_LIMIT: usize = 512;

/// Canonical bytes of a certificate at most: an index and a signature per validator.
pub const CERTIFICATE_BYTES_LIMIT: usize = 4 + VALIDATORS_LIMIT * (1 + 64);

/// Hashes of a receipt's path: the depth of a tree over [`BATCH_COUNT_LIMIT`] leaves.
pub const RECEIPT_PATH_LIMIT: usize = BATCH_COUNT_LIMIT.ilog2() as usize;

/// Boundaries (changes of the validator set) that a receipt can carry.
pub const RECEIPT_BOUNDARIES_LIMIT: usize = 1_024;

// --- The log --------------------------------------------------------------------------------------------------------

/// Sequence numbers of the window L that a genesis can allow at most: a VIEW-CHANGE can hold a prepared certificate for
/// each.
pub const LOG_WINDOW_LIMIT: u64 = 512;

/// Canonical bytes of a signed PRE-PREPARE, PREPARE or COMMIT at most: three counters, a digest, a key, a signature.
pub const VOTE_BYTES_LIMIT: usize = 3 * 8 + 32 + 32 + 64;

// --- Network --------------------------------------------------------------------------------------------------------

/// Bytes of a frame between two nodes. Everything that one message can carry at most has to fit.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a frame that its own header (length, version, kind) and the message's discriminants take at most.
pub const FRAME_OVERHEAD_BYTES: usize = 64;

/// Bytes of one gossip message: large enough that its fixed cost is spread over hundreds of transactions.
pub const GOSSIP_BYTES_MAX: usize = 64 * 1024;

/// Milliseconds between two gossip messages of a node that are not full: what comes meanwhile travels together.
pub const GOSSIP_INTERVAL_MS: u64 = 10;

/// Blocks that one answer of synchronisation carries at most; bytes end it earlier when the blocks are full.
pub const SYNC_BLOCKS_MAX: usize = 64;

/// Bodies that one FETCH-BODIES can ask for and one answer can carry.
pub const SYNC_BODIES_MAX: usize = BATCH_COUNT_LIMIT;

/// Bytes of an answer of synchronisation, unless a single block takes more: what one question may cost whoever answers.
pub const SYNC_ANSWER_BYTES: usize = 1024 * 1024;

/// Batches that one FETCH-BATCHES can ask for. Each comes in a frame of its own.
pub const SYNC_BATCHES_MAX: usize = 16;

/// Lowest uncertified heights that a STATUS names (PROTOCOL 4.1).
pub const STATUS_UNCERTIFIED_MAX: usize = 32;

// --- Proposing ------------------------------------------------------------------------------------------------------

/// Batches that a primary keeps in flight above the last committed one.
pub const IN_FLIGHT_MAX: u64 = 8;

/// Milliseconds after which a primary cuts a batch that is not full although others are in flight. Far above the time of one
/// batch between machines that are near each other: there each next batch gathers what comes while one is in flight, so that batches
/// grow with the load and their fixed cost is shared.
pub const BATCH_AGE_MS: u64 = 50;

// --- Pool -----------------------------------------------------------------------------------------------------------

/// Transactions that a pool holds.
pub const POOL_COUNT_MAX: usize = 100_000;

/// Canonical bytes of the transactions that a pool holds.
pub const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One sender has at most one part in this many of a pool, by count and by bytes, so that nobody fills it alone.
pub const POOL_SENDER_SHARE: usize = 16;

/// Oldest claims that a node forwards, and places for claims that every pool keeps per validator (PROTOCOL 5.6).
pub const CLAIMS_MAX: usize = 256;

/// Claims of one frame: the largest that can be written fit half of one, which is what a frame of transactions may have.
pub const CLAIMS_PART: usize = 128;

/// Pending transactions that a node tells a peer of at once: an id and a time each, as many bytes as a gossip message.
pub const REPAIR_IDS_MAX: usize = GOSSIP_BYTES_MAX / (32 + 8) - 38;

/// Bytes of the bodies that a peer gets for one such telling.
pub const REPAIR_BYTES_MAX: usize = 512 * 1024;

/// Milliseconds from one telling to the next.
pub const REPAIR_INTERVAL_MS: u64 = 1_000;

// --- Doors for clients ----------------------------------------------------------------------------------------------

/// Transactions of one submission.
pub const SUBMIT_COUNT_MAX: usize = 1_024;

/// Bytes of one submission.
pub const SUBMIT_BYTES_MAX: usize = 1024 * 1024;

/// Milliseconds that a client can wait in one request.
pub const SUBMIT_TIMEOUT_MAX_MS: u64 = 60_000;

/// Balances that one answer about an account lists.
pub const ACCOUNT_BALANCES_MAX: usize = 1_000;

// --- Files ----------------------------------------------------------------------------------------------------------

/// Bytes of a receipt as JSON. The largest holds 1,024 boundaries of a full set each; what people see is some 6 KiB.
pub const RECEIPT_JSON_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Members that a genesis can name.
pub const GENESIS_MEMBERS_LIMIT: usize = 1 << 20;

/// Assets that a genesis can name.
pub const GENESIS_ASSETS_LIMIT: usize = 4_096;

/// Balances that a genesis can name.
pub const GENESIS_BALANCES_LIMIT: usize = 1 << 20;

/// Bytes of a genesis file: its members and balances at their limits take less.
pub const GENESIS_JSON_BYTES_MAX: usize = 512 * 1024 * 1024;

// --- Memory of the ledger -------------------------------------------------------------------------------------------

/// State entries that the ledger keeps decoded at hand; some 150 bytes each. Others are read from the store again.
pub const LEDGER_CACHE_ENTRIES_MAX: usize = 400_000;

// --- Relations ------------------------------------------------------------------------------------------------------

/// Bytes that a frame has for its message.
pub const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX - FRAME_OVERHEAD_BYTES;

// Counters of signatures and node indices are bytes.
const _: () = assert!(VALIDATORS_LIMIT <= u8::MAX as usize);
// The largest transaction that can be written stays below the limit, so only later families of operations can reach it.
const _: () = assert!(
    TRANSACTION_FIXED_BYTES + MEMO_BYTES_LIMIT + OPERATIONS_LIMIT * OPERATION_BYTES_LIMIT <= TRANSACTION_BYTES_LIMIT
);
// One transaction of any size fits a gossip message, a submission and a batch.
const _: () = assert!(TRANSACTION_BYTES_LIMIT <= GOSSIP_BYTES_MAX);
const _: () = assert!(TRANSACTION_BYTES_LIMIT <= SUBMIT_BYTES_MAX);
const _: () = assert!(TRANSACTION_BYTES_LIMIT <= BATCH_BYTES_LIMIT);
// A block as synchronisation sends it fits a frame: header, batch, bodies, and a quorum of COMMITs or a certificate.
const _: () = assert!(CERTIFICATE_BYTES_LIMIT <= VALIDATORS_LIMIT * VOTE_BYTES_LIMIT);
const _: () = assert!(
    HEADER_BYTES_LIMIT + BATCH_ENCODED_BYTES_LIMIT + BATCH_BYTES_LIMIT + VALIDATORS_LIMIT * VOTE_BYTES_LIMIT + 16
        <= MESSAGE_BYTES_MAX
);
// A COMMIT-CERTIFICATE with its batch fits a frame, and so does a proposal, which is smaller.
const _: () = assert!(VALIDATORS_LIMIT * VOTE_BYTES_LIMIT + BATCH_ENCODED_BYTES_LIMIT <= MESSAGE_BYTES_MAX);
// A VIEW-CHANGE at its worst fits a frame: for each sequence number of the window a PRE-PREPARE and q - 1 PREPAREs,
// q <= 21 of 31, and the certificate of its watermark.
const _: () = assert!(
    LOG_WINDOW_LIMIT as usize * 21 * VOTE_BYTES_LIMIT + CERTIFICATE_BYTES_LIMIT + HEADER_BYTES_LIMIT
        <= MESSAGE_BYTES_MAX
);
// A request for all bodies of a batch, and an answer with all of them, fit a frame.
const _: () = assert!(SYNC_BODIES_MAX * 32 + 4 <= MESSAGE_BYTES_MAX);
const _: () = assert!(SYNC_BODIES_MAX >= BATCH_COUNT_LIMIT && BATCH_BYTES_LIMIT + 4 <= MESSAGE_BYTES_MAX);
// What a peer is told of fits a gossip message's bytes, and one body of any size an answer.
const _: () = assert!(REPAIR_IDS_MAX * (32 + 8) + 4 <= GOSSIP_BYTES_MAX && REPAIR_IDS_MAX >= 4 * CLAIMS_MAX);
const _: () = assert!(TRANSACTION_BYTES_LIMIT <= REPAIR_BYTES_MAX && REPAIR_BYTES_MAX <= MESSAGE_BYTES_MAX);
// A frame of claims.
const _: () = assert!(
    CLAIMS_PART * (TRANSACTION_FIXED_BYTES + MEMO_BYTES_LIMIT + OPERATIONS_LIMIT * OPERATION_BYTES_LIMIT) + 4
        <= FRAME_BYTES_MAX / 2
);
// The depth of a receipt's tree is the logarithm of a power of two, so that no leaf lies deeper.
const _: () = assert!(BATCH_COUNT_LIMIT.is_power_of_two());
// A pool holds at least two full batches.
const _: () = assert!(POOL_COUNT_MAX >= 2 * BATCH_COUNT_LIMIT && POOL_BYTES_MAX >= 2 * BATCH_BYTES_LIMIT);
// One submission fits into the share of one sender.
const _: () = assert!(SUBMIT_COUNT_MAX <= POOL_COUNT_MAX / POOL_SENDER_SHARE);
const _: () = assert!(SUBMIT_BYTES_MAX <= POOL_BYTES_MAX / POOL_SENDER_SHARE);
// A block's reads fit the cache of the ledger: five entries per operation of a full batch of plain transfers.
const _: () = assert!(5 * BATCH_COUNT_LIMIT <= LEDGER_CACHE_ENTRIES_MAX);
