//! Each behaviour of the shop, seen from outside: the real program under real requests.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod behaviours;
mod life;
mod shop;
