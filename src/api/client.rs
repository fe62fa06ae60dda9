//! Whose address a request comes from: the peer's, or what trusted proxies say of him.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The last address in `X-Forwarded-For` that no trusted proxy has, where a trusted one sent the request. Each proxy appends
/// the peer that it saw, so that what stands before that address is only what the client says.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    // Lines of one name are one list (RFC 9110 5.3).
    let lines = headers.get_all(FORWARDED_FOR).iter();
    let entries: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
    for entry in entries.into_iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        // What cannot be read has nobody seen.
        let Some(address) = read(entry) else { break };
        client = address;
    }
    client
}

/// Some proxies write the port too, and an IPv6 address in brackets.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse::<IpAddr>().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What counts of a request of that peer with these lines, where these are trusted.
    #[track_caller]
    fn check(peer: &str, lines: &[&str], trusted: &str, wanted: &str) {
        let trusted: Vec<IpNet> = trusted.split_whitespace().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        assert_eq!(address(peer.parse().unwrap(), &headers, &trusted).to_string(), wanted);
    }

    #[test]
    fn what_an_untrusted_peer_says_counts_for_nothing() {
        check("203.0.113.7", &[], "", "203.0.113.7");
        check("203.0.113.7", &["198.51.100.1"], "", "203.0.113.7");
        check("203.0.113.7", &["198.51.100.1"], "10.0.0.0/8", "203.0.113.7");
    }

    #[test]
    fn the_last_address_that_is_not_a_trusted_proxys_counts() {
        let proxies = "10.0.0.0/8 ::1/128 2001:db8:1::/48";
        check("10.0.0.1", &[], proxies, "10.0.0.1");
        check("10.0.0.1", &["203.0.113.7"], proxies, "203.0.113.7");
        check("10.0.0.1", &["1.2.3.4, 203.0.113.7"], proxies, "203.0.113.7");
        check("10.0.0.1", &["1.2.3.4, 203.0.113.7 ,10.9.9.9"], proxies, "203.0.113.7");
        check("::1", &["10.0.0.3, 10.0.0.2"], proxies, "10.0.0.3");
        check("2001:db8:1::5", &["2001:db8:2::9"], proxies, "2001:db8:2::9");
    }

    #[test]
    fn two_lines_are_one_list() {
        check("10.0.0.1", &["1.2.3.4, 203.0.113.7", "10.0.0.2"], "10.0.0.0/8", "203.0.113.7");
        check("10.0.0.1", &["1.2.3.4", "203.0.113.7"], "10.0.0.0/8", "203.0.113.7");
    }

    #[test]
    fn what_cannot_be_read_ends_the_search() {
        for broken in ["unknown", "", "203.0.113", "203.0.113.7.", "_hidden", "1.2.3.4:x", "\u{e9}"] {
            check("10.0.0.1", &[&format!("203.0.113.7, {broken}")], "10.0.0.0/8", "10.0.0.1");
            check("10.0.0.1", &[&format!("203.0.113.7, {broken}, 10.0.0.2")], "10.0.0.0/8", "10.0.0.2");
        }
    }

    #[test]
    fn one_address_in_many_spellings() {
        check("::ffff:203.0.113.7", &[], "", "203.0.113.7");
        check("::ffff:10.0.0.1", &["::ffff:203.0.113.7"], "10.0.0.0/8", "203.0.113.7");
        for spelling in ["203.0.113.7:4711", "203.0.113.7"] {
            check("10.0.0.1", &[spelling], "10.0.0.0/8", "203.0.113.7");
        }
        for spelling in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:DB8:0::1"] {
            check("10.0.0.1", &[spelling], "10.0.0.0/8", "2001:db8::1");
        }
    }
}
