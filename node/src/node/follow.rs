//! Following for others, and being followed: invitations, what was agreed, and whom to tell.
//!
//! On the side that follows, `decide` answers invitations by the node's policy and `agreements` keeps what was agreed, so that quotas hold over
//! restarts. On the side that is followed, `followers` keeps who was asked and `manage` has the calls of the interface. `retention` drops bodies that came long ago. `notices` are what one side has to
//! tell the other and could not yet.

mod agreements;
mod decide;
mod deliver;
mod figures;
mod followers;
pub(super) mod limits;
mod manage;
mod notices;
mod retention;

pub(super) use agreements::Agreements;
pub(super) use decide::Invited;
pub(super) use followers::{Follower, Followers, millis};
pub(super) use notices::Notices;
