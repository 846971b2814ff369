//! Scenarios as text: commands, and what they show.
//!
//! A line that begins with `> ` is a command, and the lines below it are what happened: the world's trace, up to the
//! next blank line. Lines that begin with `#` are for people. [`run`] plays the commands and gives the text again with
//! what really happened; a test compares the two. STATUS messages are left out: they say all the time who has what.
//!
//! ```text
//! > world n=4                        n validators; link=2ms, sync=1ms, execution=1ms, view_timeout=300ms where it matters
//! > submit v1 alice->bob 10          10 minor units, valid for half a minute
//! > step until v3 executes           until a line says so; "everywhere" in place of a name waits for all nodes
//! > step for 20ms
//! > crash v2 lost                    or kept: what becomes of unsynced writes
//! > restart v2
//! > cut v0->v3                       one way
//! > isolate v0                       nothing passes to it or from it
//! > mend
//! > lose commit                      by its name: every such message is lost, in addition to what is lost already;
//! > lose prepare of 1 to v0 v1       or only those of a sequence, only to some, only from some: `from v3`
//! > lose nothing
//! > show views
//! > show balances alice bob          at every node
//! > show chains
//! ```

use super::config::WorldConfig;
use super::describe;
use super::flight::{Fate, InFlight};
use super::genesis::usd;
use super::network::Link;
use super::payment::transfer;
use super::unsynced::Unsynced;
use super::world::World;
use crate::id::{NodeIndex, Sequence};
use crate::pbft::Message;
use crate::replica::PeerMessage;
use crate::store::Store;
use std::time::Duration;

/// How long `step until` waits at most, in virtual time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long clients of transcripts let their transactions be valid, in milliseconds.
const VALID_FOR_MS: u64 = 30_000;

/// How long a new world runs before its first command, so that all links are up and everybody knows it.
const START_UP: Duration = Duration::from_millis(5);

/// What is wrong with a transcript.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}; the module `sim::transcript` lists the commands")]
pub struct TranscriptError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Plays a transcript and writes it again with what really happens.
///
/// # Errors
///
/// When a command is unknown or cannot be carried out.
pub fn run(text: &str) -> Result<String, TranscriptError> {
    let mut player = Player::default();
    let mut written = String::new();
    let mut in_output = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("> ") {
            let shown = player.play(command).map_err(|what| TranscriptError { line: index + 1, what })?;
            written = written + line + "\n";
            shown.iter().for_each(|line| written.extend([line.trim_end(), "\n"]));
            in_output = true;
        } else if line.is_empty() || line.starts_with('#') {
            written = written + line + "\n";
            in_output = false;
        } else if !in_output {
            let what = "this is no command, no comment, and no output of a command".to_owned();
            return Err(TranscriptError { line: index + 1, what });
        }
    }
    Ok(written)
}

#[derive(Default)]
struct Player {
    world: Option<World>,
    salt: u64,
    losses: Vec<Loss>,
}

/// Messages that are lost on purpose.
#[derive(Clone, Debug, Default)]
struct Loss {
    name: String,
    sequence: Option<Sequence>,
    /// Empty for everybody.
    from: Vec<NodeIndex>,
    /// Empty for everybody.
    to: Vec<NodeIndex>,
}

impl Loss {
    fn takes(&self, message: &InFlight<'_>) -> bool {
        let among = |nodes: &[NodeIndex], node| nodes.is_empty() || nodes.contains(&node);
        self.name == message.message.name()
            && self.sequence.is_none_or(|sequence| sequence_of(message.message) == Some(sequence))
            && among(&self.from, message.from)
            && among(&self.to, message.to)
    }
}

/// The sequence that a vote is about.
fn sequence_of(message: &PeerMessage) -> Option<Sequence> {
    match message {
        PeerMessage::Pbft(Message::PrePrepare(proposal)) => Some(proposal.ballot().sequence),
        PeerMessage::Pbft(Message::Prepare(vote)) => Some(vote.body.0.sequence),
        PeerMessage::Pbft(Message::Commit(vote)) => Some(vote.body.0.sequence),
        _ => None,
    }
}

type Shown = Result<Vec<String>, String>;

impl Player {
    fn play(&mut self, command: &str) -> Shown {
        // Two spaces begin a remark.
        let command = command.split("  ").next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["world", settings @ ..] => self.create(settings),
            ["submit", node, parties, amount] => self.submit(node, parties, amount),
            ["step", "until", condition @ ..] => self.step_until(condition),
            ["step", "for", time] => {
                let time = duration(time)?;
                self.watch(|world| world.run_for(time))
            }
            ["crash", node, unsynced] => {
                let unsynced = match *unsynced {
                    "lost" => Unsynced::Lost,
                    "kept" => Unsynced::Kept,
                    other => return Err(format!("unsynced writes are lost or kept, not {other:?}")),
                };
                let node = self.node(node)?;
                self.watch(|world| world.crash(node, unsynced))
            }
            ["restart", node] => {
                let node = self.node(node)?;
                self.watch(|world| world.restart(node))
            }
            ["cut", direction] => {
                let (from, to) = direction.split_once("->").ok_or("a cut is written v0->v1")?;
                let (from, to) = (self.node(from)?, self.node(to)?);
                self.watch(|world| world.network_mut().cut(from, to))
            }
            ["isolate", node] => {
                let node = self.node(node)?;
                self.watch(|world| world.network_mut().partition(&[node]))
            }
            ["mend"] => self.watch(|world| world.network_mut().mend()),
            ["lose", "nothing"] => {
                self.losses.clear();
                self.lose()
            }
            ["lose", name, rest @ ..] => {
                let loss = self.loss(name, rest)?;
                self.losses.push(loss);
                self.lose()
            }
            ["show", "views"] => self.show_views(),
            ["show", "balances", names @ ..] => self.show_balances(names),
            ["show", "chains"] => self.show_chains(),
            _ => Err(format!("{command:?} is no command")),
        }
    }

    /// `of 1`, `to v0 v1`, `from v3`, in any order.
    fn loss(&mut self, name: &str, words: &[&str]) -> Result<Loss, String> {
        let mut loss = Loss { name: name.to_owned(), ..Loss::default() };
        let mut field = "";
        for word in words {
            match (*word, field) {
                ("of" | "to" | "from", _) => field = *word,
                (number, "of") => {
                    let number = number.parse().map_err(|_| format!("{number:?} is no sequence"))?;
                    loss.sequence = Some(Sequence(number));
                }
                (node, "to") => loss.to.push(self.node(node)?),
                (node, "from") => loss.from.push(self.node(node)?),
                (other, _) => return Err(format!("{other:?} follows neither of, to nor from")),
            }
        }
        Ok(loss)
    }

    fn lose(&mut self) -> Shown {
        let losses = self.losses.clone();
        let takes = move |message: &InFlight<'_>| losses.iter().any(|loss| loss.takes(message));
        self.world()?.intercept(move |message| if takes(message) { Fate::Drop } else { Fate::Pass });
        Ok(Vec::new())
    }

    fn show_views(&mut self) -> Shown {
        let world = self.world()?;
        let line = |node: NodeIndex| match world.status(node).map(|status| status.engine) {
            Some(status) => {
                let waits = if status.active { "" } else { ", which has not begun" };
                format!(
                    "{node}  view {}{waits}, its primary is {}, height {}",
                    status.view, status.primary, status.executed
                )
            }
            None => format!("{node}  is down"),
        };
        Ok(world.indices().into_iter().map(line).collect())
    }

    fn world(&mut self) -> Result<&mut World, String> {
        self.world.as_mut().ok_or_else(|| "there is no world yet; begin with `world n=4`".to_owned())
    }

    fn node(&mut self, name: &str) -> Result<NodeIndex, String> {
        let nodes = self.world()?.indices();
        nodes.into_iter().find(|node| node.to_string() == name).ok_or_else(|| format!("there is no node {name:?}"))
    }

    fn create(&mut self, settings: &[&str]) -> Shown {
        let mut config = WorldConfig::quiet(4);
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| format!("{setting:?} is no setting"))?;
            match name {
                "n" => config.n = value.parse().ok().filter(|n| (1..=31).contains(n)).ok_or("n is 1 to 31")?,
                "link" => config.link = Link::exact(duration(value)?),
                "sync" => config.sync = (duration(value)?, duration(value)?),
                "view_timeout" => {
                    let millis = u64::try_from(duration(value)?.as_millis()).map_err(|_| "that is too long")?;
                    config.parameters.view_timeout_ms = millis;
                    config.parameters.view_timeout_max_ms = millis * 8;
                    config.parameters.forward_timeout_ms = millis / 3;
                }
                "execution" => config.execution = (duration(value)?, duration(value)?),
                other => return Err(format!("there is no setting {other:?}")),
            }
        }
        let mut world = World::new(config);
        world.run_for(START_UP);
        world.trace_mut().drain();
        let validators = &world.genesis().validators;
        let line = format!(
            "{} validators, f = {}, a quorum is {}; v0 is the primary of view 0",
            validators.n(),
            validators.f(),
            validators.quorum()
        );
        self.world = Some(world);
        Ok(vec![line])
    }

    fn submit(&mut self, node: &str, parties: &str, amount: &str) -> Shown {
        let node = self.node(node)?;
        let (from, to) = parties.split_once("->").ok_or("a transfer is written alice->bob")?;
        let amount: u128 = amount.parse().map_err(|_| format!("{amount:?} is no amount of minor units"))?;
        self.salt += 1;
        let salt = self.salt;
        let world = self.world()?;
        let account = |name: &str| world.accounts().get(name).ok_or_else(|| format!("nobody is called {name:?}"));
        let (from, to) = (account(from)?, account(to)?);
        let valid_until = world.clock().wall() + VALID_FOR_MS;
        let transaction = transfer(world.genesis().chain_id(), from, to.address, amount, valid_until, salt);
        self.watch(|world| world.submit(node, &transaction))
    }

    fn step_until(&mut self, condition: &[&str]) -> Shown {
        let nodes: Vec<String> = self.world()?.indices().iter().map(ToString::to_string).collect();
        let mut awaited: Vec<String> = match condition {
            ["everywhere", rest @ ..] => nodes.iter().map(|node| format!("{node} {}", rest.join(" "))).collect(),
            _ => vec![condition.join(" ")],
        };
        let world = self.world()?;
        let deadline = world.clock().now() + PATIENCE;
        let mut shown = Vec::new();
        while !awaited.is_empty() {
            if world.next_event_at().is_none_or(|time| time > deadline) || !world.step() {
                return Err(format!("this never happened: {}", awaited.join(", ")));
            }
            let lines = world.trace_mut().drain();
            for line in &lines {
                let plain = line.split_whitespace().collect::<Vec<_>>().join(" ");
                awaited.retain(|text| !plain.contains(text.as_str()));
            }
            shown.extend(lines);
        }
        Ok(without_status(shown))
    }

    /// Does something to the world and shows what came of it.
    fn watch(&mut self, act: impl FnOnce(&mut World)) -> Shown {
        let world = self.world()?;
        act(world);
        Ok(without_status(world.trace_mut().drain()))
    }

    fn show_balances(&mut self, names: &[&str]) -> Shown {
        let world = self.world()?;
        let mut shown = Vec::new();
        for node in world.indices() {
            let mut line = format!("{node}");
            for name in names {
                let account = world.accounts().get(name).ok_or_else(|| format!("nobody is called {name:?}"))?;
                let balances =
                    world.disk(node).store.balances(&account.address, 1).map_err(|error| error.to_string())?;
                let held = balances.first().map_or(0, |(_, amount)| *amount);
                line = format!("{line}   {name} has {held} minor units of {}", usd());
            }
            shown.push(line);
        }
        Ok(shown)
    }

    fn show_chains(&mut self) -> Shown {
        let world = self.world()?;
        let line = |node: NodeIndex| {
            let chain: Vec<String> = world.chain(node).iter().map(describe::short).collect();
            format!("{node}   {}", chain.join(" "))
        };
        Ok(world.indices().into_iter().map(line).collect())
    }
}

fn without_status(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !line.contains(" STATUS ")).collect()
}

fn duration(text: &str) -> Result<Duration, String> {
    let number = |text: &str| text.parse().ok();
    let millis = text.strip_suffix("ms").and_then(number).map(Duration::from_millis);
    let seconds = || text.strip_suffix('s').and_then(number).map(Duration::from_secs);
    millis.or_else(seconds).ok_or_else(|| format!("{text:?} is no time; write 20ms or 2s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |text: &str| run(text).expect_err("it is wrong").to_string();
        assert!(wrong("# a\n> fly away\n").starts_with("line 2: \"fly away\" is no command"));
        assert!(wrong("> crash v0 lost\n").contains("there is no world yet"));
        assert!(wrong("> world n=40\n").contains("n is 1 to 31"));
        assert!(wrong("> world n=4\n> restart v9\n").contains("there is no node \"v9\""));
        assert!(wrong("> world n=1\n> step until pigs fly\n").contains("this never happened: pigs fly"));
        assert!(wrong("stray\n").contains("no command, no comment"));
        assert!(wrong("> world link=5\n").contains("\"5\" is no time"));
    }

    #[test]
    fn output_is_replaced_and_everything_else_kept() {
        let played = run("# why\n\n> world n=1  alone\nold output\n\n# end\n").unwrap();
        let expected =
            "# why\n\n> world n=1  alone\n1 validators, f = 0, a quorum is 1; v0 is the primary of view 0\n\n# end\n";
        assert_eq!(played, expected);
    }
}
