//! What the program does over a state that is damaged (truncated at any byte, with bits turned over, edited behind its
//! back), on a disk that fails, and with a clock that goes back. It goes on from a true beginning of what was written, or
//! refuses with a sentence; it never makes anything up.

mod cells;
mod disk;
mod edits;
mod flips;
mod refused_writes;
mod scene;
mod time;
mod truncation;
