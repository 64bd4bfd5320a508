//! A node: the parts joined.
