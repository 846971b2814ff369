//! A testnet: many nodes on one machine, to use and to break.
//!
//! | module | what it does |
//! |---|---|
//! | [`arguments`], [`command`] | what can be typed, and what it does |
//! | [`directory`], [`home`], [`ports`] | what is on disk, and where the nodes listen |
//! | [`supervisor`], [`process`], [`record`], [`control`], [`interrupt`] | the one process that runs the nodes |
//! | [`life`], [`banner`], [`live`] | the first commit, the greeting, the line that moves |
//! | [`load`], [`usage`], [`bench`] | a load that is signed beforehand, what the processes used for it, and the figures |
//! | [`proxy`] | a link between two nodes that can be broken on purpose |

pub mod arguments;
pub mod banner;
pub mod bench;
pub mod command;
pub mod control;
pub mod directory;
pub mod home;
pub mod interrupt;
pub mod life;
pub mod live;
pub mod load;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod random;
pub mod record;
pub mod supervisor;
pub mod usage;
