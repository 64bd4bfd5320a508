//! Where logs live when they are not in memory: one folder a broker, behind the trait of
//! [`tidings_core::broker`].

pub mod disk;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod nats;
pub mod redis;
