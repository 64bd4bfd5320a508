//! The readers against a server of nothing but the contract.
