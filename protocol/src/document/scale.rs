//! How many decimal places an asset has.

use crate::limits::SCALE_LIMIT;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::io;

/// Decimal places of an asset, 0 to 18.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Scale(u8);

/// A scale that is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an asset has 0 to {SCALE_LIMIT} decimal places, not {0}")]
pub struct ScaleError(u8);

impl Scale {
    /// Makes a scale.
    ///
    /// # Errors
    ///
    /// When it exceeds 18.
    pub fn new(places: u8) -> Result<Scale, ScaleError> {
        if places <= SCALE_LIMIT { Ok(Scale(places)) } else { Err(ScaleError(places)) }
    }

    /// The number of decimal places.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl BorshDeserialize for Scale {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Scale> {
        let places = u8::deserialize_reader(reader)?;
        Scale::new(places).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scale, D::Error> {
        let places = <u8 as Deserialize>::deserialize(deserializer)?;
        Scale::new(places).map_err(D::Error::custom)
    }
}
