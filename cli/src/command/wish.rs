//! Operations as people write them, with names and decimal amounts: on a command line, or as JSON in a batch file.

use quorate_crypto::key::PublicKey;
use quorate_protocol::document::amount::{format_decimal, parse_decimal};
use quorate_protocol::document::{AssetCode, Operation, Role, Roles, Scale};
use serde::{Deserialize, Serialize};

use super::context::Context;
use crate::exit::Failure;
use crate::output::amount::grouped;

/// One operation in the user's words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// Give units away.
    Transfer {
        /// Who receives: a name or an address.
        to: String,
        /// The asset's code.
        asset: String,
        /// How much, in the asset's decimals.
        amount: String,
    },
    /// Start an asset with a supply of zero.
    AssetCreate {
        /// The new code.
        asset: String,
        /// Its decimal places.
        scale: u8,
    },
    /// Make units of an asset of one's own.
    AssetMint {
        /// The asset's code.
        asset: String,
        /// Who gets them.
        to: String,
        /// How much, in the asset's decimals.
        amount: String,
    },
    /// Destroy units of an asset of one's own.
    AssetBurn {
        /// The asset's code.
        asset: String,
        /// How much, in the asset's decimals.
        amount: String,
    },
    /// Make a key a member.
    MemberRegister {
        /// The key: a name or an address.
        member: String,
        /// Its roles.
        roles: Vec<String>,
    },
    /// Replace a member's roles.
    MemberSetRoles {
        /// The member: a name or an address.
        member: String,
        /// All roles that it has from now on.
        roles: Vec<String>,
    },
    /// Freeze or unfreeze a member.
    MemberFreeze {
        /// The member: a name or an address.
        member: String,
        /// Whether it is frozen from now on.
        frozen: bool,
    },
}

/// What a wish means: the operation, and the same in words.
pub type Meant = (Operation, String);

/// Finds out what the wishes of one transaction of `sender` mean.
///
/// # Errors
/// Exit code 2 for a word that means nothing, 3 for an asset that nobody knows.
pub fn understand(wishes: &[Wish], sender: &PublicKey, context: &Context) -> Result<Vec<Meant>, Failure> {
    // What the same transaction creates exists for what stands after it, and for nobody else yet.
    let mut created: Vec<(AssetCode, Scale)> = Vec::new();
    let mut meant = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let operation = operation(wish, sender, context, &created)?;
        if let Operation::AssetCreate { code, scale } = &operation.0 {
            created.push((*code, *scale));
        }
        meant.push(operation);
    }
    Ok(meant)
}

fn operation(
    wish: &Wish,
    sender: &PublicKey,
    context: &Context,
    created: &[(AssetCode, Scale)],
) -> Result<Meant, Failure> {
    let minor = |asset: &str, amount: &str| quantity(asset, amount, context, created);
    Ok(match wish {
        Wish::Transfer { to, asset, amount } => {
            let (code, amount, shown) = minor(asset, amount)?;
            let to = context.address(to)?;
            let words = format!("{shown} from {} to {}", context.name_of(sender), context.name_of(&to));
            (Operation::Transfer { to, code, amount }, words)
        }
        Wish::AssetCreate { asset, scale } => {
            let (code, places) = (self::code(asset)?, *scale);
            let scale = Scale::new(places).map_err(|error| Failure::usage(error.to_string(), "such as --scale 2"))?;
            (Operation::AssetCreate { code, scale }, format!("{code} created with {places} decimals"))
        }
        Wish::AssetMint { asset, to, amount } => {
            let (code, amount, shown) = minor(asset, amount)?;
            let to = context.address(to)?;
            (Operation::AssetMint { code, to, amount }, format!("{shown} minted to {}", context.name_of(&to)))
        }
        Wish::AssetBurn { asset, amount } => {
            let (code, amount, shown) = minor(asset, amount)?;
            (Operation::AssetBurn { code, amount }, format!("{shown} burnt"))
        }
        Wish::MemberRegister { member, roles } => {
            let (key, roles) = (context.address(member)?, set_of(roles)?);
            let words = format!("{} registered as {}", context.name_of(&key), words_of(roles));
            (Operation::MemberRegister { key, roles }, words)
        }
        Wish::MemberSetRoles { member, roles } => {
            let (key, roles) = (context.address(member)?, set_of(roles)?);
            (Operation::MemberSetRoles { key, roles }, format!("{} is now {}", context.name_of(&key), words_of(roles)))
        }
        Wish::MemberFreeze { member, frozen } => {
            let key = context.address(member)?;
            let word = if *frozen { "frozen" } else { "unfrozen" };
            (Operation::MemberFreeze { key, frozen: *frozen }, format!("{} {word}", context.name_of(&key)))
        }
    })
}

fn quantity(
    asset: &str,
    amount: &str,
    context: &Context,
    created: &[(AssetCode, Scale)],
) -> Result<(AssetCode, u128, String), Failure> {
    let code = code(asset)?;
    let scale = match created.iter().find(|(own, _)| *own == code) {
        Some((_, scale)) => *scale,
        None => context.scale_of(code)?,
    };
    let minor = parse_decimal(amount, scale).map_err(|error| {
        Failure::usage(error.to_string(), format!("{code} has {scale} decimals, as in 12.50 with two"))
    })?;
    Ok((code, minor, format!("{} {code}", grouped(&format_decimal(minor, scale)))))
}

/// The asset of this code.
///
/// # Errors
/// Exit code 2 when it is none.
pub fn code(text: &str) -> Result<AssetCode, Failure> {
    AssetCode::new(text)
        .map_err(|error| Failure::usage(error.to_string(), "give the code as the issuer wrote it, such as USD"))
}

fn set_of(names: &[String]) -> Result<Roles, Failure> {
    let roles: Result<Vec<Role>, _> = names.iter().map(|name| name.parse()).collect();
    let roles = roles.map_err(|error| Failure::usage(error.to_string(), "such as --roles member,auditor"))?;
    Ok(Roles::of(&roles))
}

/// A set of roles for reading.
pub fn words_of(roles: Roles) -> String {
    let names: Vec<&str> = roles.iter().map(Role::as_str).collect();
    if names.is_empty() { "without roles".to_owned() } else { names.join(", ") }
}
