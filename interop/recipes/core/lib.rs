//! Nothing: this crate is here to name the one that carries Bitcoin Core.
