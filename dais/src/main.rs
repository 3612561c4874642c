//! The program: one binary, thin.
fn main() {}
