//! A testnet: many nodes on one machine, to use and to break.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`], [`command`] | what can be typed, and what it does |
//! | [`directory`], [`settings`], [`home`], [`ports`] | what is on disk, and where the nodes listen |
//! | [`supervisor`], [`slot`], [`process`], [`record`], [`control`], [`interrupt`] | the one process that runs the nodes |
//! | [`life`], [`banner`], [`live`] | the first commit, the greeting, the line that moves |
//! | [`load`], [`usage`], [`bench`] | a load that is signed beforehand, what the processes used for it, and the figures |
//! | [`proxy`], [`pipe`], [`conditions`] | a link between two nodes that can be broken on purpose |
//! | [`links`], [`partition`], [`slow_disk`] | the links of all nodes, which of them are cut, and a disk that is slow |
//! | [`fault`], [`faults`], [`timeline`], [`units`] | the faults in force, when they began, and how they are typed |

pub mod arguments;
pub mod banner;
pub mod bench;
pub mod command;
pub mod conditions;
pub mod control;
pub mod directory;
pub mod fault;
pub mod faults;
pub mod home;
pub mod interrupt;
pub mod life;
pub mod links;
pub mod live;
pub mod load;
pub mod partition;
pub mod pipe;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod random;
pub mod record;
pub mod settings;
pub mod slot;
pub mod slow_disk;
pub mod supervisor;
pub mod timeline;
pub mod units;
pub mod usage;
