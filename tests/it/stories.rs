//! What people do and what becomes of it, in every world.

mod life;
