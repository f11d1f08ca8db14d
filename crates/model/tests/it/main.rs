//! The model's tests, one binary.

mod document_bad;
mod document_good;
mod reference;
