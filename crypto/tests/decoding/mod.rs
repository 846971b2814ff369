//! What every decoder of untrusted bytes holds to, for the tables in the tests `decoders` of each crate that has some.
#![allow(dead_code)] // No crate needs every kind of decoder.

use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use borsh::io::{self, Read};
use borsh::{BorshDeserialize, BorshSerialize};
use proptest::prelude::*;
use quorate_crypto::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest reason for a refusal, in bytes: none quotes what was sent at length.
const REASON_BYTES_MAX: usize = 1_000;
/// Memory in KiB that a decoder may take beyond its input, which in these tests has some KiB.
const MEMORY_KIB_MAX: usize = 4_096;
/// What length prefixes are set to: beyond all bounds, and within some of them.
const LENGTHS: [u32; 8] = [u32::MAX, 1 << 31, 1 << 24, 1 << 20, 1 << 16, 16_384, 512, 31];

/// One decoder, and samples of what it reads.
pub struct Decoder {
    /// The name of what is read.
    pub name: &'static str,
    /// Whether it reads these bytes. Panics where what was read would be written otherwise.
    pub reads: fn(&[u8]) -> bool,
    /// Where it reads numbers of four bytes, among them all length prefixes.
    lengths: fn(&[u8]) -> Vec<usize>,
    /// Whether every sample ends where its bytes say so, so that nothing shorter or longer is read.
    ends_itself: bool,
    /// Bytes that are read.
    pub samples: Vec<Vec<u8>>,
}

impl Decoder {
    /// The same for values one of which can stand before another one's end, as 1 stands in 17.
    pub fn open_ended(self) -> Decoder {
        Decoder { ends_itself: false, ..self }
    }

    /// The same, with where it reads numbers of four bytes.
    pub fn with_lengths(self, lengths: fn(&[u8]) -> Vec<usize>) -> Decoder {
        Decoder { lengths, ..self }
    }
}

/// Canonical bytes of a type.
///
/// # Panics
/// When a sample does not come back as the same value.
pub fn canonical<T>(samples: Vec<T>) -> Decoder
where
    T: BorshSerialize + BorshDeserialize + PartialEq + Debug,
{
    let round_trip = |value: &T| {
        let bytes = encode(value);
        assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));
        bytes
    };
    let samples = samples.iter().map(round_trip).collect();
    Decoder { name: std::any::type_name::<T>(), reads: reads::<T>, lengths: lengths::<T>, ends_itself: true, samples }
}

fn reads<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) -> bool {
    match decode::<T>(bytes) {
        Ok(value) => {
            assert_eq!(encode(&value), bytes, "two encodings of one {}", std::any::type_name::<T>());
            true
        }
        Err(error) => refused(&error),
    }
}

/// A JSON form. What is read is not always written as the same bytes, yet always as the same value.
///
/// # Panics
/// When a sample does not come back as the same value.
pub fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(samples: Vec<T>) -> Decoder {
    let round_trip = |value: &T| {
        let bytes = serde_json::to_vec(value).unwrap();
        assert_eq!(&serde_json::from_slice::<T>(&bytes).unwrap(), value);
        bytes
    };
    let samples = samples.iter().map(round_trip).collect();
    document(std::any::type_name::<T>(), reads_json::<T>, samples)
}

/// A JSON form by samples of its text.
///
/// # Panics
/// When a sample is none, or does not come back as the same value.
pub fn json_text<T: Serialize + DeserializeOwned + PartialEq + Debug>(samples: &[serde_json::Value]) -> Decoder {
    json(samples.iter().map(|sample| serde_json::from_value::<T>(sample.clone()).unwrap()).collect())
}

fn reads_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
    match serde_json::from_slice::<T>(bytes) {
        Ok(value) => {
            let again = serde_json::from_slice::<T>(&serde_json::to_vec(&value).unwrap());
            assert_eq!(again.unwrap(), value, "what is written is read otherwise");
            true
        }
        Err(_) => false,
    }
}

/// A text with one form for each value. `ends_itself` where all values have texts of one length.
pub fn text<T: FromStr<Err: Display> + Display>(samples: &[&str], ends_itself: bool) -> Decoder {
    let samples: Vec<Vec<u8>> = samples.iter().map(|sample| sample.as_bytes().to_vec()).collect();
    Decoder { ends_itself, ..document(std::any::type_name::<T>(), reads_text::<T>, samples) }
}

fn reads_text<T: FromStr<Err: Display> + Display>(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match text.parse::<T>() {
        Ok(value) => {
            assert_eq!(value.to_string(), text, "two texts of one {}", std::any::type_name::<T>());
            true
        }
        Err(error) => error.to_string().is_empty(),
    }
}

/// A decoder of another kind, whose samples end themselves.
pub fn document(name: &'static str, reads: fn(&[u8]) -> bool, samples: Vec<Vec<u8>>) -> Decoder {
    Decoder { name, reads, lengths: |_| Vec::new(), ends_itself: true, samples }
}

/// That bytes were refused, in words of a bounded length.
pub fn refused(error: &dyn Display) -> bool {
    let reason = error.to_string();
    assert!(!reason.is_empty() && reason.len() <= REASON_BYTES_MAX, "a reason of {} bytes: {reason}", reason.len());
    false
}

/// Notes where numbers of four bytes are read.
struct Watched<'a> {
    bytes: &'a [u8],
    at: usize,
    numbers: Vec<usize>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let length = buffer.len().min(rest.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        if buffer.len() == 4 {
            self.numbers.push(self.at);
        }
        self.at += length;
        Ok(length)
    }
}

/// Where the canonical bytes of a `T` have numbers of four bytes.
///
/// # Panics
/// When these are not the bytes of one.
pub fn lengths<T: BorshDeserialize>(bytes: &[u8]) -> Vec<usize> {
    let mut watched = Watched { bytes, at: 0, numbers: Vec::new() };
    T::deserialize_reader(&mut watched).unwrap();
    assert_eq!(watched.at, bytes.len());
    watched.numbers
}

/// Every sample is read; cut anywhere or with anything behind it, it is not.
///
/// # Panics
/// When that is not so.
pub fn assert_whole_samples_only(table: &[Decoder]) {
    for Decoder { name, reads, ends_itself, samples, .. } in table {
        assert!(!samples.is_empty(), "{name}: no sample");
        for sample in samples {
            assert!(reads(sample), "{name}: {sample:?}");
            // Each cut of a long sample is tried near its ends, and one in so many between them.
            let step = sample.len() / 512 + 1;
            for end in (0..sample.len()).filter(|end| end % step == 0 || sample.len() - end < 64) {
                assert!(!reads(&sample[..end]) || !ends_itself, "{name}: cut at {end} of {}", sample.len());
            }
            for more in [&[0][..], &[0xff], &sample[..sample.len().min(1)], sample] {
                assert!(!reads(&[sample, more].concat()) || !ends_itself, "{name}: longer by {more:?}");
            }
        }
    }
}

/// No length prefix is believed: a number of elements that are not there is refused and reserves no memory.
///
/// # Panics
/// When one is believed.
pub fn assert_no_length_is_believed(table: &[Decoder]) {
    // What making the samples took and gave back is taken again, so that the peak shows every byte more.
    let given_back = 1024 * (peak_kib() - memory_kib("VmSize:"));
    let _kept = std::hint::black_box(Vec::<u8>::with_capacity(given_back));
    for Decoder { name, reads, lengths, samples, .. } in table {
        let before = peak_kib();
        for sample in samples {
            let places = lengths(sample);
            let step = places.len() / 256 + 1;
            for place in places.into_iter().step_by(step) {
                for length in LENGTHS {
                    let mut changed = sample.clone();
                    changed[place..place + 4].copy_from_slice(&length.to_le_bytes());
                    let is_read = reads(&changed);
                    // A plain number may be as large as it likes; elements that do not come are never read.
                    assert!(!is_read || changed.len() == sample.len(), "{name}: {length} at {place}");
                    assert!(!reads(&changed[..place + 4]) || sample.len() == place + 4, "{name}: {length} at {place}");
                }
            }
        }
        let taken = peak_kib() - before;
        assert!(taken <= MEMORY_KIB_MAX, "{name}: {taken} KiB for lengths that are lies");
    }
    // The alarm itself: twice the allowance would have been seen.
    let before = peak_kib();
    drop(std::hint::black_box(Vec::<u8>::with_capacity(2 * MEMORY_KIB_MAX * 1024)));
    assert!(peak_kib() - before > MEMORY_KIB_MAX, "this test cannot see what memory is taken");
}

/// The most address space that this process has had, in KiB; reserved memory counts, touched or not.
pub fn peak_kib() -> usize {
    memory_kib("VmPeak:")
}

fn memory_kib(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Runs this test in a process of its own, where no other test takes memory. True in that process.
///
/// # Panics
/// When it fails there.
pub fn is_alone(test: &str) -> bool {
    const ALONE: &str = "QUORATE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", test, "--test-threads=1"]).env(ALONE, "1");
    // Of glibc: no arenas that are reserved at once, and nothing large out of what was freed before, or the peak would
    // not show it.
    command.env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "65536");
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// One change of a sample: which, where, how far, with what.
pub type Edit = (u8, prop::sample::Index, prop::sample::Index, u32);

/// A few changes.
pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(any::<Edit>(), 1..4)
}

/// The sample after these changes: flipped bits, other bytes and numbers, parts taken out, doubled, or put in from
/// another sample.
pub fn edited(sample: &[u8], other: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for (kind, first, second, number) in edits {
        let at = first.index(bytes.len() + 1);
        let end = (at + second.index(64)).min(bytes.len());
        match kind % 7 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (number % 8),
            1 if at < bytes.len() => bytes[at] = *number as u8,
            2 if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&number.to_le_bytes()),
            3 => drop(bytes.drain(at..end)),
            4 => bytes
                .splice(at..at, sample[at.min(sample.len())..end.min(sample.len()).max(at.min(sample.len()))].to_vec())
                .for_each(drop),
            5 => bytes.truncate(at),
            _ => {
                let from = second.index(other.len() + 1);
                let to = (from + *number as usize % 512).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied()).for_each(drop);
            }
        }
    }
    bytes
}

/// Brackets without end, which a parser that calls itself would follow until its stack is used up.
pub fn endless() -> [Vec<u8>; 3] {
    [b"[".repeat(100_000), b"{\"data\":".repeat(50_000), b"{\"receipt\":[{\"path\":[".repeat(20_000)]
}

/// Makes every sample a seed of the fuzz target that takes it up.
///
/// # Panics
/// When one cannot be written.
pub fn write_seeds<'a>(target: &str, samples: impl IntoIterator<Item = &'a Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    for sample in samples {
        fs::write(folder.join(quorate_crypto::sha256(sample).to_string()), sample).unwrap();
    }
}

/// Lets every decoder of the table look at the same bytes.
pub fn read_by_all(table: &[Decoder], bytes: &[u8]) {
    for decoder in table {
        (decoder.reads)(bytes);
    }
}

/// A sample of the table with changes, in which other samples may have a part; mostly close to what is read.
pub fn changed(table: &[Decoder], which: &[prop::sample::Index; 4], edits: &[Edit]) -> Vec<u8> {
    let pick = |decoder: &prop::sample::Index, sample: &prop::sample::Index| {
        let samples = &table[decoder.index(table.len())].samples;
        &samples[sample.index(samples.len())]
    };
    edited(pick(&which[0], &which[1]), pick(&which[2], &which[3]), edits)
}
