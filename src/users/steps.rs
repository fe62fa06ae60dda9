//! The steps and promises that operations on a person are made of, and the one list by which they come back from a journal.

mod burial;
mod choice;
mod documents;
mod grants;
mod identity;
mod mails;
mod store;
mod timers;

pub use burial::{BuryUser, UnlinkUser};
pub use choice::ChooseTargets;
pub use documents::{DeleteDocument, Over};
pub use grants::{DropGrants, GrantPermissions};
pub use identity::{ChangeIdentity, CreateIdentity, DeleteIdentity};
pub use mails::MailLink;
pub use store::{DeleteUser, InsertUser, LinkIdentity, MoveUser, PatchUser};
pub use timers::{DropTimer, MoveTimer};

use crate::saga::kinds::{Kind, promise, step};

/// Names stand in journals for ever: lines are added here, never changed.
pub const KINDS: &[Kind] = &[
    step::<InsertUser>(),
    step::<CreateIdentity>(),
    step::<LinkIdentity>(),
    step::<PatchUser>(),
    step::<MoveUser>(),
    step::<ChangeIdentity>(),
    step::<GrantPermissions>(),
    step::<Over<InsertUser>>(),
    step::<Over<PatchUser>>(),
    step::<Over<MoveUser>>(),
    promise::<DeleteIdentity>(),
    promise::<DeleteUser>(),
    promise::<DropGrants>(),
    step::<MoveTimer>(),
    promise::<DropTimer>(),
    promise::<UnlinkUser>(),
    promise::<BuryUser>(),
    promise::<DeleteDocument>(),
    step::<ChooseTargets>(),
    promise::<MailLink>(),
];
