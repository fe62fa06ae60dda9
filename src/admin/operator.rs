//! Who sits at the command line, as the operating system knows him.

use std::fs;

/// The actor of his operations: `cli:root`, or `cli:1000` where the system has no name for him.
pub fn actor(uid: u32) -> String {
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match name_of(uid, &names) {
        Some(name) => format!("cli:{name}"),
        None => format!("cli:{uid}"),
    }
}

/// passwd(5): name, password, uid and more, separated by colons.
fn name_of(uid: u32, passwd: &str) -> Option<&str> {
    let of_line = |line: &'_ str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name.len())
    };
    passwd.lines().find_map(|line| of_line(line).map(|length| &line[..length])).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_the_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n:x:7:7:::\n";
        assert_eq!(name_of(0, passwd), Some("root"));
        assert_eq!(name_of(1000, passwd), Some("ada"));
        assert_eq!(name_of(7, passwd), None);
        assert_eq!(name_of(9, passwd), None);
    }
}
