//! What an epoch is made of.

/// The life of a channel's bucket, and what the channel adds to it. Either of them is another one
/// when something was lost; both outlive a restart that kept the data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epoch<'a> {
    /// 16 hexadecimal digits.
    pub(super) life: &'a str,
    /// A word.
    pub(super) seed: &'a str,
}

impl Epoch<'_> {
    /// The number by which cursors know it. No log has epoch 0.
    pub(super) fn number(self) -> u64 {
        let seed = self.seed.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        mix(life_of(self.life) ^ mix(seed)).max(1)
    }
}

/// The number of a life; 0, which is none, where it is not one.
pub(super) fn life_of(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

/// As it is written down.
pub(super) fn digits(life: u64) -> String {
    format!("{life:016x}")
}

/// Spreads the bits (the last step of splitmix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
