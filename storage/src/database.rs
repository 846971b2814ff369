//! RocksDB as this crate opens and tunes it.

use std::path::Path;

use quorate_protocol::store::StoreError;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompactionStyle,
    DBCompressionType, DBRecoveryMode, ErrorKind, LogLevel, LruCacheOptions, Options, UniversalCompactOptions,
    WriteBufferManager,
};

use crate::schema::{Family, damaged};

/// Sizes of a store.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Bytes of what is written and not yet in sorted files, all families together.
    pub write_buffer_bytes: usize,
    /// Bytes of blocks of sorted files held in memory, all families together.
    pub cache_bytes: usize,
    /// Index entries (transactions and headers) in memory from which on they are written as one sorted file. At most twice as many
    /// are held, some 100 bytes each.
    pub index_run_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { write_buffer_bytes: 48 << 20, cache_bytes: 48 << 20, index_run_max: 32_768 }
    }
}

/// Files that RocksDB holds open at most.
const OPEN_FILES_MAX: i32 = 256;
/// Bytes of write-ahead logs from which on the oldest is got rid of.
const LOG_BYTES_MAX: u64 = 128 << 20;
/// RocksDB's own diary: so many files of so many bytes.
const DIARY_FILES_MAX: usize = 4;
const DIARY_BYTES_MAX: usize = 4 << 20;
/// Bytes of the manifest from which on a new one is begun.
const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// Sorted files of the index from which on they are merged.
const INDEX_RUNS_MAX: i32 = 8;

/// The cache has 2 to the power of this shards.
const CACHE_SHARD_BITS: i32 = 2;

/// The handle of a family.
///
/// # Panics
/// Never: all families are opened with the database.
pub(crate) fn family(db: &DB, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("all families are opened with the database")
}

/// RocksDB's word as ours.
pub(crate) fn failed(what: &'static str, error: &rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => damaged(what, error.to_string()),
        _ if error.as_ref().contains("No space left") => StoreError::Full(format!("{what}: {error}")),
        _ => StoreError::Io(format!("{what}: {error}")),
    }
}

/// Opens the database with all its families; it is made when it is not there.
pub(crate) fn open_database(path: &Path, sizes: StoreOptions) -> Result<DB, StoreError> {
    let mut shards = LruCacheOptions::default();
    shards.set_capacity(sizes.cache_bytes);
    // Few: what is larger than a shard is not held at all.
    shards.set_num_shard_bits(CACHE_SHARD_BITS);
    let cache = Cache::new_lru_cache_opts(&shards);
    let buffers = WriteBufferManager::new_write_buffer_manager(sizes.write_buffer_bytes, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // What was not synced may be lost in a crash; nothing behind it may be found.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_write_buffer_manager(&buffers);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_max_manifest_file_size(MANIFEST_BYTES_MAX);
    options.set_bytes_per_sync(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(DIARY_FILES_MAX);
    options.set_max_log_file_size(DIARY_BYTES_MAX);
    options.set_stats_dump_period_sec(0);
    let families = Family::ALL.map(|family| {
        let mut options = family_options(family, Some(&cache));
        options.set_write_buffer_manager(&buffers);
        ColumnFamilyDescriptor::new(family.name(), options)
    });
    DB::open_cf_descriptors(&options, path, families).map_err(|error| failed("opening", &error))
}

/// How the sorted files of a family are made.
pub(crate) fn family_options(family: Family, cache: Option<&Cache>) -> Options {
    let mut table = BlockBasedOptions::default();
    if let Some(cache) = cache {
        table.set_block_cache(cache);
        // Indexes and filters are in the cache too, so that it bounds all memory that reading takes.
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
    }
    // In parts: those of a file with a million hashes take megabytes, and a look-up needs one.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(6);
    let mut options = Options::default();
    let large = matches!(family, Family::Blocks | Family::State | Family::Receipts);
    options.set_write_buffer_size(if large { 16 << 20 } else { 4 << 20 });
    // Hashes do not compress.
    let by_hash = matches!(family, Family::State | Family::Index);
    options.set_compression_type(if by_hash { DBCompressionType::None } else { DBCompressionType::Lz4 });
    if by_hash {
        table.set_bloom_filter(10.0, false);
    }
    if family == Family::Index {
        // Entries come in runs that overlap and are never changed: merging runs of like size copies each entry the fewest times.
        options.set_compaction_style(DBCompactionStyle::Universal);
        let mut universal = UniversalCompactOptions::default();
        universal.set_size_ratio(20);
        // Nothing is ever overwritten, so there is no space to win back by merging all.
        universal.set_max_size_amplification_percent(10_000);
        options.set_universal_compaction_options(&universal);
        // A look-up asks the filter of each run; eight are asked in a few microseconds, and what is merged less often is copied less.
        options.set_level_zero_file_num_compaction_trigger(INDEX_RUNS_MAX);
    }
    options.set_block_based_table_factory(&table);
    options
}
