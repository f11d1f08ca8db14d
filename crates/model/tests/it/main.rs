//! The model's tests, one binary.

mod canary_config;
mod document_bad;
mod document_good;
mod means;
mod measures;
mod openslo;
mod reference;
mod sources;
mod template;
