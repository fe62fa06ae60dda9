//! Passwords that the program makes, and those that an operator types. Knows nobody whose they are.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{self, Error};

/// Without letters that are mistaken for each other. 32 of them: a random byte gives one without a bias.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 24 letters of five bits each: nobody guesses 120 bits.
const LENGTH: usize = 24;

pub fn generate() -> Result<SecretString, Error> {
    let mut random = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| error::internal("no random numbers"))?;
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    Ok(SecretString::from(letters.collect::<String>()))
}

/// Where the first administrator's generated password is written, below `DATA_DIR`.
pub const FIRST: &str = "first-admin";
/// Where any later one is, so that it takes the first one away from nobody.
pub const LATER: &str = "new-password";

/// Shows a generated password where a person sits, else writes it to that file (0600; two lines: name to log in with,
/// password). The file, where it was written.
pub fn hand_over(file: &Path, name: &str, password: &SecretString) -> io::Result<Option<PathBuf>> {
    let mut person = io::stdout();
    if person.is_terminal() {
        writeln!(person, "\n  log in as:  {name}\n  password:   {}", password.expose_secret())?;
        writeln!(person, "  It is good only for changing it, by POST /users/me/change-password.\n")?;
        return Ok(None);
    }
    // A new file, so that one with other rights or a link in its place is not written through.
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(made, "{name}\n{}", password.expose_secret())?;
    made.sync_all()?;
    Ok(Some(file.to_owned()))
}

/// Asks for a password on the terminal, twice, without showing it.
pub fn prompt() -> io::Result<SecretString> {
    let first = typed("Password: ")?;
    if first.expose_secret() != typed("Once more: ")?.expose_secret() {
        return Err(io::Error::other("the two are not the same"));
    }
    Ok(first)
}

fn typed(label: &str) -> io::Result<SecretString> {
    let keyboard = io::stdin();
    if !keyboard.is_terminal() {
        return Err(io::Error::other("there is no terminal to ask on; use --password-file"));
    }
    let mut screen = io::stderr();
    write!(screen, "{label}")?;
    screen.flush()?;
    let shown = tcgetattr(&keyboard)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&keyboard, OptionalActions::Flush, &hidden)?;
    let mut line = String::new();
    let read = keyboard.read_line(&mut line);
    tcsetattr(&keyboard, OptionalActions::Flush, &shown)?;
    writeln!(screen)?;
    read?;
    if line.ends_with('\n') {
        line.pop();
    }
    Ok(SecretString::from(line))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn generated_passwords_differ_and_are_accepted() {
        let made = (0..100).map(|_| generate().unwrap()).collect::<Vec<_>>();
        for password in &made {
            crate::users::passwords::check(password, Default::default()).unwrap();
            assert_eq!(password.expose_secret().len(), LENGTH);
        }
        let different = made.iter().map(ExposeSecret::expose_secret).collect::<BTreeSet<_>>();
        assert_eq!(different.len(), 100);
    }
}
