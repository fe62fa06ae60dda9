//! The route table.

mod json;
