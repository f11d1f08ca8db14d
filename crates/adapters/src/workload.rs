//! Where versions run, one system a module.

pub mod process;
