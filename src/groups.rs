//! Groups: a JSON Schema, a label, whether its users have identities. Compiled in from `schemas/groups/`.

pub struct Groups;
