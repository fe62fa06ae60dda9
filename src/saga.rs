//! How an operation is carried out: steps, each with its undo, recorded in the journal before they run.
//! Knows nothing of users.

pub struct Sagas;
