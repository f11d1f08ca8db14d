//! Networks in CIDR notation: whose forwarding headers are believed.

use std::net::IpAddr;

/// Networks by address and prefix length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<(IpAddr, u8)>);

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a network: {why}; write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8")]
pub struct NotANetwork {
    /// The text as given.
    pub given: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Networks {
    /// Reads networks; a plain address is a network of one.
    pub fn parse(texts: &[String]) -> Result<Self, NotANetwork> {
        texts.iter().map(|text| parse_one(text)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the address lies in one of them. IPv4 mapped into IPv6 counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|(network, length)| {
            prefix(*network, *length).is_some_and(|wanted| prefix(address, *length) == Some(wanted))
                && network.is_ipv4() == address.is_ipv4()
        })
    }
}

fn parse_one(text: &str) -> Result<(IpAddr, u8), NotANetwork> {
    let fail = |why| NotANetwork { given: text.to_owned(), why };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => {
            (address, Some(length.parse::<u8>().map_err(|_| fail("the prefix length is not a number"))?))
        }
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| fail("the part before '/' is not an IP address"))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(bits);
    if length > bits {
        return Err(fail("the prefix is longer than the address"));
    }
    Ok((address, length))
}

/// The first `length` bits, the rest zero; none when the address has fewer.
fn prefix(address: IpAddr, length: u8) -> Option<u128> {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let shift = u32::from(u8::checked_sub(width, length)?);
    Some(bits.checked_shr(shift).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::parse(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn membership() {
        let n = networks(&["10.0.0.0/8", "192.0.2.7", "fd00::/8", "0.0.0.0/32"]);
        for inside in ["10.255.1.2", "192.0.2.7", "fd12::1", "::ffff:10.1.1.1", "0.0.0.0"] {
            assert!(n.contain(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "fe80::1", "::1"] {
            assert!(!n.contain(outside.parse().unwrap()), "{outside}");
        }
        assert!(networks(&["0.0.0.0/0"]).contain("203.0.113.9".parse().unwrap()));
        assert!(!networks(&["0.0.0.0/0"]).contain("::1".parse().unwrap()));
    }

    #[test]
    fn bad_networks_say_why() {
        for bad in ["10.0.0.0/33", "ten/8", "10.0.0.0/x", "", "::/129"] {
            let error = Networks::parse(&[bad.to_owned()]).unwrap_err();
            assert!(error.to_string().contains("write it like"), "{error}");
        }
    }
}
