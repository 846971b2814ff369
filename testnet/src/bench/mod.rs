//! What `quorate-testnet bench` measures, and how it is kept.
//!
//! | file | what it does |
//! |---|---|
//! | `reference` | what the machine's signatures and syncs cost, measured in the same run |
//! | `figures` | what was measured |
//! | `chart`, `page` | the page of plots |
//! | `history` | results kept as lines, and the comparison with the last one |

mod chart;
mod figures;
mod history;
mod page;
mod reference;

pub use figures::{Cost, Figures, Full, Step, Subject};
pub use history::{Kept, append, last_like};
pub use page::page;
pub use reference::{reference_micros, sync_millis, wake_micros};
