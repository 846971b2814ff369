//! The network of a world: for each ordered pair of replicas one link that delays, loses, doubles and reorders.

use super::random::Random;
use crate::id::NodeIndex;
use std::time::Duration;

/// One direction between two replicas. Messages overtake each other when their delays say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Shortest delay of a message.
    pub delay_min: Duration,
    /// Longest delay of a message.
    pub delay_max: Duration,
    /// How many messages of a thousand are lost.
    pub loss_per_mille: u32,
    /// How many messages of a thousand arrive twice.
    pub duplicate_per_mille: u32,
    /// Whether nothing passes.
    pub is_cut: bool,
}

impl Link {
    /// A link that delivers everything after exactly this time.
    #[must_use]
    pub const fn exact(delay: Duration) -> Self {
        Link { delay_min: delay, delay_max: delay, loss_per_mille: 0, duplicate_per_mille: 0, is_cut: false }
    }

    /// When the copies of one message arrive, counted from its sending: none, one or two.
    pub(super) fn deliveries(&self, random: &mut Random) -> Vec<Duration> {
        // Every draw is made whatever comes of it, so that cutting a link does not shift the draws that follow.
        let lost = random.chance(self.loss_per_mille);
        let copies = if random.chance(self.duplicate_per_mille) { 2 } else { 1 };
        let delays = [(); 2].map(|()| random.duration(self.delay_min, self.delay_max));
        let arriving = if lost || self.is_cut { 0 } else { copies };
        delays[..arriving].to_vec()
    }
}

/// All links.
#[derive(Clone, Debug)]
pub struct Network {
    n: usize,
    links: Vec<Link>,
}

impl Network {
    /// Links between `n` replicas, all alike.
    #[must_use]
    pub fn new(n: usize, link: Link) -> Self {
        Network { n, links: vec![link; n * n] }
    }

    /// One more machine, with links like this to all others.
    pub(super) fn grow(&mut self, link: Link) {
        let old = std::mem::replace(self, Network::new(self.n + 1, link));
        for from in 0..old.n {
            for to in 0..old.n {
                self.links[from * self.n + to] = old.links[from * old.n + to];
            }
        }
    }

    /// The direction from one replica to another.
    ///
    /// # Panics
    ///
    /// When there is no such replica.
    pub fn link_mut(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Link {
        &mut self.links[from.as_usize() * self.n + to.as_usize()]
    }

    /// The direction from one replica to another.
    ///
    /// # Panics
    ///
    /// When there is no such replica.
    #[must_use]
    pub fn link(&self, from: NodeIndex, to: NodeIndex) -> Link {
        self.links[from.as_usize() * self.n + to.as_usize()]
    }

    /// Makes every link like this one, cuts included.
    pub fn set_all(&mut self, link: Link) {
        self.links.fill(link);
    }

    /// Lets nothing pass from one replica to another; the other direction stays as it is.
    pub fn cut(&mut self, from: NodeIndex, to: NodeIndex) {
        self.link_mut(from, to).is_cut = true;
    }

    /// Lets nothing pass between the replicas of `side` and the others.
    pub fn partition(&mut self, side: &[NodeIndex]) {
        for from in 0..self.n {
            for to in 0..self.n {
                let (from, to) = (NodeIndex(from as u8), NodeIndex(to as u8));
                if side.contains(&from) != side.contains(&to) {
                    self.cut(from, to);
                }
            }
        }
    }

    /// Ends all cuts; delays and losses stay.
    pub fn mend(&mut self) {
        for link in &mut self.links {
            link.is_cut = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_delays_loses_and_doubles_as_it_is_told() {
        let mut random = Random::new(1);
        let mut link = Link::exact(Duration::from_millis(3));
        assert_eq!(link.deliveries(&mut random), [Duration::from_millis(3)]);
        link.duplicate_per_mille = 1_000;
        assert_eq!(link.deliveries(&mut random).len(), 2);
        link.loss_per_mille = 1_000;
        assert_eq!(link.deliveries(&mut random), []);
    }

    #[test]
    fn a_cut_is_one_way_and_a_partition_is_not() {
        let (a, b, c) = (NodeIndex(0), NodeIndex(1), NodeIndex(2));
        let mut network = Network::new(3, Link::exact(Duration::ZERO));
        network.cut(a, b);
        assert!(network.link(a, b).is_cut && !network.link(b, a).is_cut);
        network.mend();
        network.partition(&[a]);
        assert!(network.link(a, b).is_cut && network.link(c, a).is_cut && !network.link(b, c).is_cut);
    }

    #[test]
    fn a_new_machine_leaves_the_links_of_the_others_as_they_were() {
        let (a, b, c) = (NodeIndex(0), NodeIndex(1), NodeIndex(2));
        let mut network = Network::new(2, Link::exact(Duration::ZERO));
        network.cut(a, b);
        network.grow(Link::exact(Duration::from_millis(1)));
        assert!(network.link(a, b).is_cut && !network.link(b, a).is_cut && !network.link(a, c).is_cut);
        assert_eq!(network.link(c, b).delay_max, Duration::from_millis(1));
    }

    #[test]
    fn cutting_a_link_does_not_change_what_else_is_drawn() {
        let mut cut = Link::exact(Duration::ZERO);
        cut.is_cut = true;
        let (mut first, mut second) = (Random::new(9), Random::new(9));
        cut.deliveries(&mut first);
        Link::exact(Duration::ZERO).deliveries(&mut second);
        assert_eq!(first.next_u64(), second.next_u64());
    }
}
