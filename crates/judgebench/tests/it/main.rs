//! The simulations are checked against closed forms, the design brief's figures and the peers' own published cases.

mod look;
mod peers;
mod simulation;
mod standard;
