//! Canonical bytes, and collections that cannot grow past a bound.
//!
//! The encoding is borsh: fixed-width little-endian integers, `u32` lengths, no padding. A value has exactly one
//! encoding and [`decode`] refuses everything else, so equal bytes and equal values are the same thing.

use std::fmt;
use std::ops::{Deref, DerefMut};

use borsh::io::{self, Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many bytes of memory a decoder reserves on the word of a length prefix; beyond it memory follows the data that
/// really arrives.
const RESERVED_BYTES_MAX: usize = 4096;

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are cut short, out of a bound, or not canonical.
    #[error("these bytes are no {what}: {reason}")]
    Invalid {
        /// The name of the type that was expected.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A whole value was read and bytes are left over.
    #[error("{left} bytes follow the end of the {what}; a value must fill its bytes exactly")]
    Trailing {
        /// The name of the type that was expected.
        what: &'static str,
        /// How many bytes are left over.
        left: usize,
    },
}

/// A collection was given more than it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} {unit} where at most {max} are allowed")]
pub struct LengthError {
    /// The length that was asked for; for input that is still arriving, the first length past the bound.
    pub length: usize,
    /// The bound.
    pub max: usize,
    /// What is counted: elements or bytes.
    pub unit: &'static str,
}

impl From<LengthError> for io::Error {
    fn from(error: LengthError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    }
}

/// The canonical bytes of a value.
///
/// # Panics
///
/// When the value refuses to be encoded; no type of this workspace does.
pub fn encode<T: BorshSerialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.serialize(&mut bytes).expect("writing to memory does not fail and the value encodes");
    bytes
}

/// Reads a value that fills `bytes` exactly.
///
/// # Errors
///
/// When the bytes are cut short, not canonical, beyond a bound of the type, or longer than the value.
pub fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = T::deserialize(&mut rest)
        .map_err(|error| DecodeError::Invalid { what: short_type_name::<T>(), reason: error.to_string() })?;
    match rest.len() {
        0 => Ok(value),
        left => Err(DecodeError::Trailing { what: short_type_name::<T>(), left }),
    }
}

/// The name of a type without its path and parameters.
fn short_type_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// Refuses a length above `max`.
const fn check_length(length: usize, max: usize, unit: &'static str) -> Result<(), LengthError> {
    if length <= max { Ok(()) } else { Err(LengthError { length, max, unit }) }
}

/// Reads a length prefix and refuses it before anything is allocated.
fn read_length<R: Read>(reader: &mut R, max: usize, unit: &'static str) -> io::Result<usize> {
    let length = u32::deserialize_reader(reader)? as usize;
    check_length(length, max, unit)?;
    Ok(length)
}

/// Reads `length` bytes, reserving memory only as the data really comes.
fn read_bytes<R: Read>(reader: &mut R, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let start = bytes.len();
        bytes.resize(length.min(start + RESERVED_BYTES_MAX), 0);
        reader.read_exact(&mut bytes[start..])?;
    }
    Ok(bytes)
}

/// A list of at most `MAX` elements.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// The most elements that it can hold.
    pub const MAX: usize = MAX;

    /// An empty list.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends an element.
    ///
    /// # Errors
    ///
    /// When the list is full; it is unchanged then.
    pub fn push(&mut self, element: T) -> Result<(), LengthError> {
        check_length(self.0.len() + 1, MAX, "elements")?;
        self.0.push(element);
        Ok(())
    }

    /// The elements as a plain vector.
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for BoundedVec<T, MAX> {
    type Error = LengthError;

    fn try_from(elements: Vec<T>) -> Result<Self, LengthError> {
        check_length(elements.len(), MAX, "elements")?;
        Ok(Self(elements))
    }
}

impl<T, const MAX: usize> Deref for BoundedVec<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> DerefMut for BoundedVec<T, MAX> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T, const MAX: usize> IntoIterator for BoundedVec<T, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a BoundedVec<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: BorshSerialize, const MAX: usize> BorshSerialize for BoundedVec<T, MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.0, writer)
    }
}

impl<T: BorshDeserialize, const MAX: usize> BorshDeserialize for BoundedVec<T, MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let length = read_length(reader, MAX, "elements")?;
        let reserved = RESERVED_BYTES_MAX / size_of::<T>().max(1);
        let mut elements = Vec::with_capacity(length.min(reserved));
        for _ in 0..length {
            elements.push(T::deserialize_reader(reader)?);
        }
        Ok(Self(elements))
    }
}

impl<T: Serialize, const MAX: usize> Serialize for BoundedVec<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(&self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedVec<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor::<T, MAX>(std::marker::PhantomData))
    }
}

/// Stops at the bound instead of collecting whatever a document holds.
struct BoundedVisitor<T, const MAX: usize>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for BoundedVisitor<T, MAX> {
    type Value = BoundedVec<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut elements = BoundedVec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element).map_err(A::Error::custom)?;
        }
        Ok(elements)
    }
}

/// A string of at most `MAX` bytes of data; in JSON it is lowercase hex.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedBytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> BoundedBytes<MAX> {
    /// The most bytes that it can hold.
    pub const MAX: usize = MAX;

    /// No bytes.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes as a plain vector.
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> TryFrom<Vec<u8>> for BoundedBytes<MAX> {
    type Error = LengthError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, LengthError> {
        check_length(bytes.len(), MAX, "bytes")?;
        Ok(Self(bytes))
    }
}

impl<const MAX: usize> Deref for BoundedBytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl<const MAX: usize> BorshSerialize for BoundedBytes<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.0, writer)
    }
}

impl<const MAX: usize> BorshDeserialize for BoundedBytes<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let length = read_length(reader, MAX, "bytes")?;
        read_bytes(reader, length).map(Self)
    }
}

impl<const MAX: usize> Serialize for BoundedBytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedBytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        check_length(text.len() / 2, MAX, "bytes").map_err(D::Error::custom)?;
        let mut bytes = vec![0; text.len() / 2];
        crate::fixed::parse_hex("a byte string", &text, &mut bytes).map_err(D::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// A text of at most `MAX` bytes of UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedString<const MAX: usize>(String);

impl<const MAX: usize> BoundedString<MAX> {
    /// The most bytes that it can hold.
    pub const MAX: usize = MAX;

    /// An empty text.
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// The text as a plain string.
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<const MAX: usize> TryFrom<String> for BoundedString<MAX> {
    type Error = LengthError;

    fn try_from(text: String) -> Result<Self, LengthError> {
        check_length(text.len(), MAX, "bytes")?;
        Ok(Self(text))
    }
}

impl<const MAX: usize> TryFrom<&str> for BoundedString<MAX> {
    type Error = LengthError;

    fn try_from(text: &str) -> Result<Self, LengthError> {
        check_length(text.len(), MAX, "bytes")?;
        Ok(Self(text.to_owned()))
    }
}

impl<const MAX: usize> std::str::FromStr for BoundedString<MAX> {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        Self::try_from(text)
    }
}

impl<const MAX: usize> Deref for BoundedString<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for BoundedString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MAX: usize> fmt::Display for BoundedString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const MAX: usize> BorshSerialize for BoundedString<MAX> {
    fn serialize<W: Write>(&self, writer: &mut W) -> io::Result<()> {
        BorshSerialize::serialize(&self.0, writer)
    }
}

impl<const MAX: usize> BorshDeserialize for BoundedString<MAX> {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let length = read_length(reader, MAX, "bytes")?;
        let bytes = read_bytes(reader, length)?;
        let text =
            String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(Self(text))
    }
}

impl<const MAX: usize> Serialize for BoundedString<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedString<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        Self::try_from(text).map_err(D::Error::custom)
    }
}
