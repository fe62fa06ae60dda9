//! The log of operations: what was asked, how far it is, what comes next. Reading it, and asking for another try.
