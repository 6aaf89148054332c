//! The schedule: the rules by which a rank chooses what to fetch, from whom, and what to send.
//!
//! Each rule is a policy in a file of its own: it takes values and gives values, knows no message
//! and no peer, and a test drives it alone. In the order in which they act on a piece:
//!
//! 1. [`topology`]: each other rank is on this rank's host, in its rack, or remote.
//! 2. [`ownership`]: a piece enters a host and a rack through its owner there; where the owner
//!    does not deliver, through a backup.
//! 3. [`holder_choice`]: of the holders that have a piece to choose, the one with the fewest
//!    requests under way is asked, near ones first, then those with the least to send, in turn.
//! 4. [`picker`]: of the pieces of that holder the rarest are chosen, ties differently on each
//!    rank.
//! 5. [`request_size`]: a request is for a small part of the window, so that pieces spread.
//! 6. [`window`]: what is under way is what moves in a fixed time, however fast the link.
//! 7. [`rate_limiter`]: a cap holds over any time; a piece is paid for before it moves.
//! 8. [`straggler`]: a rank that gets its pieces late takes what is common, and leaves the holders
//!    of rare pieces to others.
//! 9. [`sent_once`]: a holder sends each piece to one rank before it sends any twice, and out of
//!    its rack once.
//!
//! Decisions 7 and 9 (`docs/adr`) give the reasons. `tracker/places.rs` computes the topology that
//! a rank is told; the roles of a peer (`peer/`) carry the choices out.

pub(crate) mod holder_choice;
pub(crate) mod ownership;
pub(crate) mod picker;
pub(crate) mod rate_limiter;
pub(crate) mod request_size;
pub(crate) mod sent_once;
pub(crate) mod straggler;
pub(crate) mod topology;
pub(crate) mod window;

pub(crate) use holder_choice::Ahead;
pub(crate) use ownership::Ownership;
pub(crate) use picker::{Order, Picker, SLOTS};
pub use rate_limiter::Limits;
pub(crate) use rate_limiter::RateLimiter;
pub(crate) use sent_once::SentOnce;
pub(crate) use straggler::Straggler;
pub use topology::{Locality, Portion, Topology};
pub(crate) use window::Window;
