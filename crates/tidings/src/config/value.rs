//! The values of keys that are more than a TOML type: a duration, a size, an address, a secret.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::place::shown;

/// A duration, written `"10s"`, `"1h 30m"`, `"24h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A number of bytes, written `1048576` or `"1MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// An IP address with a port, written `"0.0.0.0:8080"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// A text that is never printed and never serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The units of [`Size`], the larger first; the binary one of a pair is what is printed.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Period {
    /// So many seconds.
    pub const fn secs(seconds: u64) -> Self {
        Period(Duration::from_secs(seconds))
    }

    /// The duration in milliseconds.
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Secret {
    /// The text itself: for the one place that compares or verifies with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text.trim())
            .map(Period)
            .map_err(|_| format!("is not a duration: `{}`", shown(text)))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim();
        let times = if unit.is_empty() {
            Some(1)
        } else {
            UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, times)| *times)
        };
        let size =
            times.zip(number.parse::<u64>().ok()).and_then(|(times, number)| number.checked_mul(times));
        size.map(Size).ok_or_else(|| format!("is not a size: `{}`", shown(text)))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        trimmed.parse().map(Address).map_err(|_| {
            let host = trimmed.rsplit_once(':').map(|(host, _)| host);
            match host {
                Some("localhost") => format!("is a name, and not an IP address: `{}`", shown(text)),
                Some("") => format!("has no IP address before its port: `{}`", shown(text)),
                _ => format!("is not an IP address with a port: `{}`", shown(text)),
            }
        })
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address(address)
    }
}

impl Deref for Period {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl Deref for Address {
    type Target = SocketAddr;

    fn deref(&self) -> &SocketAddr {
        &self.0
    }
}

/// As one would write it: `24h` and not `1day`, `7days` and not `168h`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_secs();
        let whole = self.subsec_nanos() == 0 && seconds > 0;
        match seconds {
            _ if !whole => write!(f, "{}", humantime::format_duration(self.0)),
            s if s % 86_400 == 0 && s > 86_400 => write!(f, "{}days", s / 86_400),
            s if s % 3_600 == 0 => write!(f, "{}h", s / 3_600),
            s if s % 60 == 0 && s > 60 && s < 3_600 => write!(f, "{}m", s / 60),
            s if s < 120 => write!(f, "{s}s"),
            _ => write!(f, "{}", humantime::format_duration(self.0)),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..4].iter().find(|(_, times)| self.0 >= *times && self.0.is_multiple_of(*times));
        match binary {
            Some((unit, times)) => write!(f, "{}{unit}", self.0 / times),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// `Deserialize` from a string by `FromStr`, `Serialize` by `Display`, and a schema that names
/// the type to [`super::shape`]. The serialised form is what the reference prints as default.
macro_rules! text_value {
    ($type:ident, $kind:literal, $json:tt, $visitor:ident, $expects:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $json, "x-type": $kind })
            }
        }

        struct $visitor;

        impl Visitor<'_> for $visitor {
            type Value = $type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expects)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                $type::from_number(number).ok_or_else(|| E::custom(concat!("should be ", $expects)))
            }
        }
    };
}

text_value!(Period, "duration", "string", PeriodVisitor, "a duration such as \"10s\" or \"24h\"");
text_value!(Size, "size", ["integer", "string"], SizeVisitor, "a size such as 1048576 or \"1MiB\"");
text_value!(Address, "address", "string", AddressVisitor, "an address such as \"0.0.0.0:8080\"");

impl Period {
    /// A bare number has no unit, so it is no duration.
    fn from_number(_: i64) -> Option<Self> {
        None
    }
}

impl Size {
    /// A bare number counts bytes.
    fn from_number(number: i64) -> Option<Self> {
        u64::try_from(number).ok().map(Size)
    }
}

impl Address {
    /// A bare number is a port without an address: which interfaces are meant has to be said.
    fn from_number(_: i64) -> Option<Self> {
        None
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message would quote a value of the wrong type.
        String::deserialize(deserializer).map(Secret).map_err(|_| D::Error::custom("is not a string"))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-type": "secret", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_prints_as_it_is_written() {
        for text in ["10s", "60s", "90s", "2m", "1h", "24h", "48h", "7days", "1h 30m", "250ms", "0s"] {
            let printed = text.parse::<Period>().unwrap().to_string();
            let expected = if text == "48h" { "2days" } else { text };
            assert_eq!(printed, expected);
            assert_eq!(printed.parse::<Period>().unwrap(), text.parse().unwrap());
        }
        for text in ["", "10", "10 parsecs", "-1s", "s", "99999999999999999999s", "9999999999999999999y"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_a_number_or_has_a_unit() {
        for (text, bytes) in [("0", 0), ("512MiB", 512 << 20), ("1 GiB", 1 << 30), ("1kb", 1000), ("7B", 7)] {
            assert_eq!(text.parse::<Size>().unwrap(), Size(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "1XiB", "99999999TiB", "1_000", "1Mi B"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!(Size(1 << 20).to_string(), "1MiB");
        assert_eq!(Size(1500).to_string(), "1500B");
        assert_eq!(Size(0).to_string(), "0B");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "… … Some(…)");
    }
}
