//! What a transaction asks for.

use crate::document::amount;
pub use crate::document::scale::{Scale, ScaleError};
use crate::limits::ASSET_CODE_LIMIT;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_crypto::key::PublicKey;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::str::FromStr;

/// One step of a transaction. The discriminants are frozen; families to come are appended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Operation {
    /// The sender, an issuer, starts an asset with a supply of zero.
    AssetCreate {
        /// The new asset.
        code: AssetCode,
        /// Its decimal places.
        scale: Scale,
    } = 0,
    /// The asset's issuer makes units of it.
    AssetMint {
        /// The asset.
        code: AssetCode,
        /// Who gets them, a member.
        to: PublicKey,
        /// Minor units, not zero.
        #[serde(with = "amount::minor")]
        amount: u128,
    } = 1,
    /// The asset's issuer destroys units that it owns itself.
    AssetBurn {
        /// The asset.
        code: AssetCode,
        /// Minor units, not zero.
        #[serde(with = "amount::minor")]
        amount: u128,
    } = 2,
    /// The sender gives units away.
    Transfer {
        /// Who gets them, a member; the sender itself is allowed.
        to: PublicKey,
        /// The asset.
        code: AssetCode,
        /// Minor units, not zero.
        #[serde(with = "amount::minor")]
        amount: u128,
    } = 3,
    /// The sender, an admin, registers a key.
    MemberRegister {
        /// The new member.
        key: PublicKey,
        /// Its roles.
        roles: Roles,
    } = 4,
    /// The sender, an admin, replaces another member's roles.
    MemberSetRoles {
        /// The member.
        key: PublicKey,
        /// All roles that it has from now on.
        roles: Roles,
    } = 5,
    /// The sender, an admin, freezes or unfreezes another member. Transactions of a frozen sender fail.
    MemberFreeze {
        /// The member.
        key: PublicKey,
        /// Whether it is frozen from now on.
        frozen: bool,
    } = 6,
}

/// Name of an asset: 1 to 12 characters out of `A`-`Z` and `0`-`9`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AssetCode {
    length: u8,
    /// Zero beyond `length`, so that derived equality is the equality of the text.
    characters: [u8; ASSET_CODE_LIMIT],
}

/// Why a text is no asset code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no asset code: use 1 to 12 characters out of A-Z and 0-9")]
pub struct AssetCodeError(String);

impl AssetCode {
    /// Makes a code from its text.
    ///
    /// # Errors
    ///
    /// When the text is empty, longer than 12 characters, or holds anything but `A`-`Z` and `0`-`9`.
    pub fn new(text: &str) -> Result<AssetCode, AssetCodeError> {
        AssetCode::from_characters(text.as_bytes())
            .ok_or_else(|| AssetCodeError(text.chars().take(2 * ASSET_CODE_LIMIT).collect()))
    }

    fn from_characters(bytes: &[u8]) -> Option<AssetCode> {
        let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if bytes.is_empty() || bytes.len() > ASSET_CODE_LIMIT || !bytes.iter().all(allowed) {
            return None;
        }
        let mut characters = [0; ASSET_CODE_LIMIT];
        characters[..bytes.len()].copy_from_slice(bytes);
        Some(AssetCode { length: bytes.len() as u8, characters })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.characters[..usize::from(self.length)]
    }
}

impl Ord for AssetCode {
    fn cmp(&self, other: &AssetCode) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for AssetCode {
    fn partial_cmp(&self, other: &AssetCode) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AssetCode {
    type Err = AssetCodeError;

    fn from_str(text: &str) -> Result<AssetCode, AssetCodeError> {
        AssetCode::new(text)
    }
}

/// One length byte, then the characters.
impl BorshSerialize for AssetCode {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        let mut bytes = [0; 1 + ASSET_CODE_LIMIT];
        let length = usize::from(self.length);
        bytes[0] = self.length;
        bytes[1..=length].copy_from_slice(self.as_bytes());
        writer.write_all(&bytes[..=length])
    }
}

impl BorshDeserialize for AssetCode {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<AssetCode> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "an asset code has 1 to 12 characters A-Z, 0-9");
        let length = usize::from(u8::deserialize_reader(reader)?);
        let mut bytes = [0; ASSET_CODE_LIMIT];
        let characters = bytes.get_mut(..length).ok_or_else(invalid)?;
        reader.read_exact(characters)?;
        AssetCode::from_characters(characters).ok_or_else(invalid)
    }
}

impl Serialize for AssetCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AssetCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AssetCode, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        AssetCode::new(&text).map_err(D::Error::custom)
    }
}

/// What a member may do beside holding and transferring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Registers and freezes members and sets their roles.
    Admin,
    /// Creates assets; mints and burns its own.
    Issuer,
    /// An ordinary member; it needs no bit to transfer, the name is for people.
    Member,
    /// Reads everything; a mark for the API.
    Auditor,
}

impl Role {
    /// All roles, in the order in which lists show them.
    pub const ALL: [Role; 4] = [Role::Admin, Role::Issuer, Role::Member, Role::Auditor];

    const fn bit(self) -> u8 {
        match self {
            Role::Admin => 1,
            Role::Issuer => 2,
            Role::Member => 4,
            Role::Auditor => 8,
        }
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Issuer => "issuer",
            Role::Member => "member",
            Role::Auditor => "auditor",
        }
    }
}

/// A name that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: there are admin, issuer, member and auditor")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Role, RoleError> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| RoleError(text.chars().take(32).collect()))
    }
}

/// A set of roles: one byte in canonical bytes, a list of names in JSON.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Roles = Roles(0);

    /// Exactly these roles.
    pub const fn of(roles: &[Role]) -> Roles {
        let mut bits = 0;
        let mut index = 0;
        while index < roles.len() {
            bits |= roles[index].bit();
            index += 1;
        }
        Roles(bits)
    }

    /// Whether the role is in the set.
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// The roles in the set, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }

    fn from_bits(bits: u8) -> Option<Roles> {
        (bits & !Roles::of(&Role::ALL).0 == 0).then_some(Roles(bits))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl BorshDeserialize for Roles {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Roles> {
        let bits = u8::deserialize_reader(reader)?;
        Roles::from_bits(bits)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("roles {bits:#x} have an unknown bit")))
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Roles, D::Error> {
        // A list longer than there are roles repeats one, and the bound keeps a file from making it long.
        let listed = quorate_crypto::encode::BoundedVec::<Role, { Role::ALL.len() }>::deserialize(deserializer)?;
        let ordered = listed.windows(2).all(|pair| pair[0] < pair[1]);
        if !ordered {
            return Err(D::Error::custom("roles are listed once each, in the order admin, issuer, member, auditor"));
        }
        Ok(Roles::of(&listed))
    }
}
