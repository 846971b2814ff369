//! `quorate asset create|mint|burn|show|list`.

use std::collections::BTreeSet;

use quorate_protocol::api::http::AssetResponse;
use quorate_protocol::document::AssetCode;
use quorate_protocol::id::Height;
use serde::Serialize;

use super::context::Context;
use super::send;
use super::wish::{self, Wish};
use crate::arguments::asset::Asset;
use crate::exit::{Exit, Failure};
use crate::output::Readable;
use crate::output::amount::grouped;
use crate::output::table::{Facts, Style, Table};
use crate::output::time::utc;

/// How many assets are listed at most.
const LISTED_MAX: usize = 1_000;

/// Runs one of the five.
///
/// # Errors
/// See [`send::run`]; for `show` exit code 3 when there is no such asset.
pub fn run(arguments: &Asset, context: &Context) -> Result<Exit, Failure> {
    let (wish, signing) = match arguments {
        Asset::Show(which) => return show(wish::code(&which.asset)?, which.reading.height(), context),
        Asset::List(all) => return list(all.reading.height(), context),
        Asset::Create(of) => (Wish::AssetCreate { asset: of.asset.clone(), scale: of.scale }, &of.signing),
        Asset::Mint(of) => {
            (Wish::AssetMint { asset: of.asset.clone(), to: of.to.clone(), amount: of.amount.clone() }, &of.signing)
        }
        Asset::Burn(of) => (Wish::AssetBurn { asset: of.asset.clone(), amount: of.amount.clone() }, &of.signing),
    };
    send::run(&[wish], signing, context)
}

fn show(code: AssetCode, at_least: Option<Height>, context: &Context) -> Result<Exit, Failure> {
    let (asset, node) = context.ask_at_least(at_least, |node| node.asset(code))?;
    let issuer = context.name_of(&asset.issuer);
    context.printer.print(&Shown { asset, issuer, node: node.name().to_owned() })?;
    Ok(Exit::Success)
}

/// Nodes keep assets by their codes and have no list of them: what is listed is what the genesis and the known accounts
/// lead to.
fn list(at_least: Option<Height>, context: &Context) -> Result<Exit, Failure> {
    let mut codes: BTreeSet<AssetCode> =
        context.genesis().map(|genesis| genesis.assets.iter().map(|asset| asset.code).collect()).unwrap_or_default();
    let ready = context.ready_accounts().iter().map(|account| account.address);
    for address in ready.chain(context.own_keys().iter().map(|key| key.address)) {
        let (account, _) = context.ask_at_least(at_least, |node| node.account(&address.to_string()))?;
        codes.extend(account.balances.iter().map(|balance| balance.asset));
    }
    let mut assets = Vec::new();
    for code in codes.into_iter().take(LISTED_MAX) {
        let (asset, _) = context.ask_at_least(at_least, |node| node.asset(code))?;
        let issuer = context.name_of(&asset.issuer);
        assets.push((asset, issuer));
    }
    let (assets, issuers) = assets.into_iter().unzip();
    context.printer.print(&Listed { assets, issuers })?;
    Ok(Exit::Success)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown {
    asset: AssetResponse,
    #[serde(skip)]
    issuer: String,
    #[serde(skip)]
    node: String,
}

impl Readable for Shown {
    fn text(&self, style: Style) -> String {
        let asset = &self.asset;
        let mut facts = Facts::default();
        facts
            .add("asset", style.strong(&asset.asset.to_string()))
            .add("decimals", asset.scale.to_string())
            .add("issuer", self.issuer.clone())
            .add("supply", grouped(&asset.supply))
            .add("as of", format!("height {}, {}, as {} has it", asset.height, utc(asset.time), self.node));
        facts.render(style)
    }
}

#[derive(Serialize)]
struct Listed {
    assets: Vec<AssetResponse>,
    #[serde(skip)]
    issuers: Vec<String>,
}

impl Readable for Listed {
    fn text(&self, style: Style) -> String {
        let mut table = Table::new(&["asset", ">decimals", ">supply", "issuer"]);
        for (asset, issuer) in self.assets.iter().zip(&self.issuers) {
            table.row([asset.asset.to_string(), asset.scale.to_string(), grouped(&asset.supply), issuer.clone()]);
        }
        table.render(style)
    }
}
