//! Real messages, records and documents to read: what a small world of the simulator said and wrote.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use quorate_crypto::{BoundedVec, Signed};
use quorate_protocol::document::{Block, Body, CertifiedBlock, Genesis, Proof, Receipt, SignedTransaction};
use quorate_protocol::id::{Height, NodeIndex, Sequence};
use quorate_protocol::pbft::Record;
use quorate_protocol::pbft::message::{
    CertifiedCheckpoint, CommitCertificate, Content, Message, NewView, PreparedCertificate, Proposal, Status,
    ViewChange,
};
use quorate_protocol::replica::{JournalEntry, PeerMessage, RepairMessage, SyncMessage, Told};
use quorate_protocol::sim::byzantine::TwoViewChanges;
use quorate_protocol::sim::{Fate, Unsynced, World, WorldConfig, transfer};
use quorate_protocol::store::Store;

/// How many messages of each kind are kept.
const OF_EACH_KIND: usize = 4;
/// Kinds of messages between nodes.
const KINDS: usize = 21;

/// What the world said and wrote.
pub struct Heard {
    pub genesis: Genesis,
    /// By kind.
    pub messages: BTreeMap<&'static str, Vec<PeerMessage>>,
    pub entries: Vec<JournalEntry>,
    pub blocks: Vec<Block>,
    pub receipts: Vec<Receipt>,
}

/// The world, which is the same in every run.
pub fn heard() -> &'static Heard {
    static HEARD: LazyLock<Heard> = LazyLock::new(listen);
    &HEARD
}

fn pay(world: &mut World, to: u8, salts: std::ops::Range<u64>) -> Vec<SignedTransaction> {
    let valid_until = world.clock().wall() + 30_000;
    let chain_id = world.genesis().chain_id();
    let payments: Vec<SignedTransaction> = salts
        .map(|salt| {
            let funded = world.accounts().funded();
            let (from, payee) = (&funded[salt as usize % funded.len()], &funded[0]);
            transfer(chain_id, from, payee.address, 1 + u128::from(salt), valid_until, salt)
        })
        .collect();
    payments.iter().for_each(|payment| world.submit(NodeIndex(to), payment));
    payments
}

/// Payments, a primary that dies, a view change with a liar in it, and a node that comes back and asks for everything.
fn listen() -> Heard {
    let mut world = World::new(WorldConfig::hasty(4, 3));
    let messages: Arc<Mutex<BTreeMap<&'static str, Vec<PeerMessage>>>> = Arc::default();
    let kept = Arc::clone(&messages);
    world.intercept(move |flight| {
        let mut kept = kept.lock().unwrap();
        let same = kept.entry(flight.message.name()).or_default();
        if same.len() < OF_EACH_KIND && !same.contains(flight.message) {
            same.push(flight.message.clone());
        }
        Fate::Pass
    });
    let first = pay(&mut world, 0, 0..5);
    world.run_for(Duration::from_secs(1));
    world.corrupt(NodeIndex(3), Box::new(TwoViewChanges));
    world.crash(NodeIndex(0), Unsynced::Kept);
    pay(&mut world, 1, 5..12);
    world.run_for(Duration::from_secs(4));
    world.restart(NodeIndex(0));
    pay(&mut world, 2, 12..50);
    world.run_for(Duration::from_secs(4));
    world.stop_intercepting();
    let one = NodeIndex(1);
    let store = &world.disk(one).store;
    let head = store.head().unwrap().unwrap().height;
    assert!(head >= Height(2), "the world stands at {head}");
    let blocks = (1..=head.0).filter_map(|height| store.block(Height(height)).unwrap()).collect();
    let receipts = first.iter().filter_map(|payment| world.receipt(one, &payment.id())).collect();
    let entries = world.indices().into_iter().flat_map(|node| world.disk(node).journal()).cloned().collect();
    let messages = std::mem::take(&mut *messages.lock().unwrap());
    let mut heard = Heard { genesis: world.genesis().clone(), messages, entries, blocks, receipts };
    heard.add_what_is_rare();
    assert_eq!(heard.messages.len(), KINDS, "{:?}", heard.messages.keys());
    heard
}

impl Heard {
    /// Kinds of messages that a world in good order hardly says.
    fn add_what_is_rare(&mut self) {
        let block = self.blocks.iter().find(|block| !block.bodies.is_empty()).unwrap().clone();
        let ids: Vec<_> = block.bodies.iter().map(|body| body.id()).collect();
        let told = Told { id: ids[0], valid_until: 7 };
        let digest = block.header.hash();
        let wanted = (Sequence(3), digest);
        let certified = block.to_certified(Proof::Certificate(Default::default())).unwrap();
        let bodies = || block.bodies.clone();
        let sync = [
            SyncMessage::Claims(bounded(bodies())),
            SyncMessage::FetchBodies(bounded(ids.clone())),
            SyncMessage::Bodies(bounded(bodies())),
            SyncMessage::FetchBlocks { from: Height(1), count: 9 },
            SyncMessage::Blocks(bounded(vec![certified])),
            SyncMessage::FetchCertificate { height: Height(9) },
            SyncMessage::FetchBatches(bounded(vec![wanted])),
            SyncMessage::Batch { sequence: Sequence(3), content: Content::Batch(block.batch.clone()) },
            SyncMessage::FetchViewChanges(bounded(vec![digest])),
            SyncMessage::Repair(RepairMessage::Pending(bounded(vec![told]))),
            SyncMessage::Repair(RepairMessage::FetchPending(bounded(ids))),
            SyncMessage::Repair(RepairMessage::PendingBodies(bounded(bodies()))),
        ];
        let mut rare: Vec<PeerMessage> = sync.into_iter().map(PeerMessage::Sync).collect();
        let commits = bounded(self.pbft(|message| match message {
            Message::Commit(commit) => Some(commit.clone()),
            _ => None,
        }));
        let content = Content::Batch(block.batch.clone());
        rare.push(PeerMessage::Pbft(Message::CommitCertificate(CommitCertificate { commits, content })));
        let (checkpoint, certificate) = (block.header.checkpoint(), self.receipts[0].certificate.clone());
        let certified = CertifiedCheckpoint { checkpoint, certificate };
        rare.push(PeerMessage::Pbft(Message::CertifiedCheckpoint(certified)));
        for message in rare {
            self.messages.entry(message.name()).or_default().push(message);
        }
    }

    /// What a pick finds in the messages of the agreement.
    pub fn pbft<T>(&self, pick: impl Fn(&Message) -> Option<T>) -> Vec<T> {
        let found = self.all().filter_map(|message| match message {
            PeerMessage::Pbft(message) => pick(message),
            PeerMessage::Sync(_) => None,
        });
        found.take(OF_EACH_KIND).collect()
    }

    pub fn all(&self) -> impl Iterator<Item = &PeerMessage> {
        self.messages.values().flatten()
    }

    pub fn sync(&self) -> Vec<SyncMessage> {
        let found = self.all().filter_map(|message| match message {
            PeerMessage::Sync(message) => Some(message.clone()),
            PeerMessage::Pbft(_) => None,
        });
        found.collect()
    }

    pub fn repairs(&self) -> Vec<RepairMessage> {
        let found = self.sync().into_iter().filter_map(|message| match message {
            SyncMessage::Repair(message) => Some(message),
            _ => None,
        });
        found.collect()
    }

    pub fn view_changes(&self) -> Vec<Signed<ViewChange>> {
        self.pbft(|message| if let Message::ViewChange(signed) = message { Some(signed.clone()) } else { None })
    }

    pub fn new_views(&self) -> Vec<Signed<NewView>> {
        self.pbft(|message| if let Message::NewView(signed) = message { Some(signed.clone()) } else { None })
    }

    pub fn statuses(&self) -> Vec<Signed<Status>> {
        self.pbft(|message| if let Message::Status(signed) = message { Some(signed.clone()) } else { None })
    }

    pub fn proposals(&self) -> Vec<Proposal> {
        self.pbft(|message| if let Message::PrePrepare(proposal) = message { Some(proposal.clone()) } else { None })
    }

    pub fn prepared(&self) -> Vec<PreparedCertificate> {
        let found = self.entries.iter().filter_map(|entry| match &entry.record {
            Record::Prepared { certificate, .. } => Some(certificate.clone()),
            _ => None,
        });
        found.take(OF_EACH_KIND).collect()
    }

    /// Each kind of record, as the journals have it.
    pub fn records(&self) -> Vec<Record> {
        let mut kinds: BTreeMap<String, Record> = BTreeMap::new();
        for entry in &self.entries {
            let name = format!("{:?}", entry.record);
            let kind = name.split([' ', '(']).next().unwrap_or_default().to_owned();
            kinds.entry(kind).or_insert_with(|| entry.record.clone());
        }
        let mut records: Vec<Record> = kinds.into_values().collect();
        let (new_view, view_changes) = (self.new_views().remove(0), self.view_changes());
        let pre_prepare = self.proposals().remove(0).pre_prepare;
        records.push(Record::NewView { new_view, view_changes });
        records.push(Record::Accepted { pre_prepare, content: None, prepare: None });
        records.push(Record::Accepted {
            pre_prepare: self.proposals().remove(0).pre_prepare,
            content: Some(Content::Null),
            prepare: None,
        });
        records.push(Record::Floor(Height(7)));
        let checkpoint = self.blocks[0].header.checkpoint();
        records.push(Record::Proven(CertifiedCheckpoint {
            checkpoint,
            certificate: self.receipts[0].certificate.clone(),
        }));
        records
    }

    pub fn bodies(&self) -> Vec<Body> {
        self.blocks.iter().flat_map(|block| block.bodies.iter().cloned()).take(OF_EACH_KIND).collect()
    }

    pub fn certified_blocks(&self) -> Vec<CertifiedBlock> {
        let proof = |block: &Block| block.to_certified(Proof::Certificate(self.receipts[0].certificate.clone()));
        self.blocks.iter().filter_map(proof).take(2).collect()
    }
}

fn bounded<T, const MAX: usize>(elements: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::try_from(elements).unwrap_or_else(|error| panic!("{error}"))
}
