//! Ranges of addresses that plugins may call from, beside this machine. Whatever a range says, what
//! no plugin can be is left out: this machine, neighbours on the link (and with them the metadata
//! services of clouds), groups, nobody.

use std::{fmt, net::IpAddr, str::FromStr};

/// A range such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no range of addresses, such as \"10.0.0.0/8\" with nothing set beyond the 8 bits"
)]
pub struct NotANetwork(String);

// === impl Network ===

impl Network {
    /// Whether a plugin may call from `address` as far as this range is concerned.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (own, size) = bits(self.address);
        let (asked, width) = bits(address);
        let same = size == width && masked(asked, size, self.prefix) == own;
        same && !never(address)
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        let (own, size) = bits(address);
        if prefix > size || masked(own, size, prefix) != own {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// An address as a number, and how many bits that has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(four) => (u32::from(four).into(), 32),
        IpAddr::V6(six) => (u128::from(six), 128),
    }
}

/// The first `prefix` of `size` bits.
fn masked(number: u128, size: u8, prefix: u8) -> u128 {
    let rest = u32::from(size.saturating_sub(prefix));
    let kept = number.checked_shr(rest).unwrap_or_default();
    kept.checked_shl(rest).unwrap_or_default()
}

fn never(address: IpAddr) -> bool {
    let near = match address {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    near || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_range_holds_what_begins_as_it_does() {
        for (range, address, held) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.4", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "10.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let range: Network = range.parse().unwrap();
            assert_eq!(range.holds(address.parse().unwrap()), held, "{range} {address}");
            assert_eq!(range.to_string().parse(), Ok(range));
        }
    }

    #[test]
    fn what_no_plugin_can_be_is_in_no_range() {
        let all: [Network; 2] = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        for address in
            ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "ff02::1"]
        {
            let address = address.parse().unwrap();
            assert!(all.iter().all(|range| !range.holds(address)), "{address}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "x/8", "10.0.0.0/-1", "fd00::/129"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
