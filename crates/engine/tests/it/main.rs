//! The engine against fake ports whose calls are written down in order. One binary.

mod footing;
mod way_back;
mod world;
