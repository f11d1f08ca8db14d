//! The simulator's tests, one binary.
