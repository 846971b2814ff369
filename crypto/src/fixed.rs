//! Byte arrays of a fixed length that people read as lowercase hex.

/// Why a text is not the hex form of a digest, key or signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {digits} lowercase hex digits, found {found}")]
pub struct HexError {
    what: &'static str,
    digits: usize,
    found: String,
}

/// Fills `out` from exactly `2 * out.len()` lowercase hex digits. Upper case is refused: one value, one text.
pub(crate) fn parse_hex(what: &'static str, text: &str, out: &mut [u8]) -> Result<(), HexError> {
    let digits = out.len() * 2;
    let error = |found: String| HexError { what, digits, found };
    if let Some(other) = text.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(error(format!("the character {other:?}")));
    }
    hex::decode_to_slice(text, out).map_err(|_| error(format!("{} digits", text.len())))
}

/// Declares a newtype over `[u8; N]` with hex text, canonical bytes and serde.
macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Wraps the bytes as they are.
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        /// Lowercase hex; a precision shortens it, as in `{:.8}`.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::fixed::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $length];
                $crate::fixed::parse_hex($what, text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use fixed_bytes;
