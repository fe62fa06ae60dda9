//! Reads single variables and keeps what is found on the way: mistakes, notes, where each value came from.
//! Knows no variable by name.

use std::{fs, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{
    Compat, Effective, Mistake, Note, Source,
    settings::{Setting, setting},
    values::Value,
};

/// The mistake is written down already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted;

pub struct Reading {
    pub compat: Compat,
    pub mistakes: Vec<Mistake>,
    pub notes: Vec<Note>,
    pub effective: Vec<Effective>,
    /// Given, but of a driver that is not in use: variable and driver.
    pub idle: Vec<(&'static str, &'static str)>,
}

impl Reading {
    pub fn new() -> Self {
        Self {
            compat: Compat::Strict,
            mistakes: Vec::new(),
            notes: Vec::new(),
            effective: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// The given value, else the default, which the table has as text.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        given: Option<String>,
        parse: impl FnOnce(&str) -> Value<T>,
    ) -> Result<T, Noted> {
        let default = self.row(name)?.default;
        let (text, source) = match (given, default.text(self.compat)) {
            (Some(text), _) => (text, Source::Environment),
            (None, Some(text)) => {
                let moved = default.text(Compat::Strict) != Some(text);
                (text.to_owned(), if moved { Source::Compat } else { Source::Default })
            }
            (None, None) => return self.noted(Mistake::wrong(name, "it is not set", "a value")),
        };
        let value = self.parsed(name, &text, parse)?;
        self.effective.push(Effective { name, value: text, source });
        Ok(value)
    }

    /// The given value, if there is one. `otherwise` is what the check shows where there is none.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        given: Option<String>,
        parse: impl FnOnce(&str) -> Value<T>,
        otherwise: impl FnOnce() -> String,
    ) -> Result<Option<T>, Noted> {
        let Some(text) = given else {
            self.effective.push(Effective { name, value: otherwise(), source: Source::Default });
            return Ok(None);
        };
        let value = self.parsed(name, &text, parse)?;
        self.effective.push(Effective { name, value: text, source: Source::Environment });
        Ok(Some(value))
    }

    /// The given value, or a mistake saying why there must be one.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        given: Option<String>,
        parse: impl FnOnce(&str) -> Value<T>,
        because: &str,
    ) -> Result<T, Noted> {
        match self.optional(name, given, parse, String::new)? {
            Some(value) => Ok(value),
            None => self.noted(Mistake::wrong(name, format!("it is not set, and {because}"), "a value")),
        }
    }

    /// From the variable or from the file that `<NAME>_FILE` names.
    pub fn secret(
        &mut self,
        name: &'static str,
        given: Option<String>,
        file: Option<String>,
        otherwise: impl FnOnce() -> String,
    ) -> Result<Option<SecretString>, Noted> {
        let (text, source) = match (given, file) {
            (None, None) => {
                self.effective.push(Effective { name, value: otherwise(), source: Source::Default });
                return Ok(None);
            }
            (Some(_), Some(_)) => {
                return self.noted(Mistake::wrong(
                    name,
                    format!("it is set, and so is {name}_FILE"),
                    format!("{name} or {name}_FILE, not both"),
                ));
            }
            (Some(text), None) => (text, Source::Environment),
            (None, Some(path)) => (self.file(name, &path)?, Source::File(PathBuf::from(path))),
        };
        self.effective.push(Effective { name, value: "set".to_owned(), source });
        Ok(Some(SecretString::from(text)))
    }

    /// As [`Reading::secret`], for one that has a form; what is wrong with it must not be told in its own words.
    pub fn secret_of<T>(
        &mut self,
        name: &'static str,
        given: Option<String>,
        file: Option<String>,
        parse: impl FnOnce(&str) -> Value<T>,
    ) -> Result<Option<T>, Noted> {
        match self.secret(name, given, file, || "-".to_owned())? {
            Some(secret) => self.parsed(name, secret.expose_secret(), parse).map(Some),
            None => Ok(None),
        }
    }

    /// Of a driver that is not in use: only noted.
    pub fn unused(&mut self, names: impl IntoIterator<Item = (&'static str, bool)>, driver: &'static str) {
        for (name, given) in names {
            self.effective.push(Effective { name, value: "-".to_owned(), source: Source::Unused });
            if given {
                self.idle.push((name, driver));
            }
        }
    }

    pub fn noted<T>(&mut self, mistake: Mistake) -> Result<T, Noted> {
        self.mistakes.push(mistake);
        Err(Noted)
    }

    fn file(&mut self, name: &'static str, path: &str) -> Result<String, Noted> {
        let variable = format!("{name}_FILE");
        let right = "a readable file with the secret in it";
        let mut text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("{path:?} cannot be read ({})", error.kind());
                return self.noted(Mistake::wrong(&variable, what, right));
            }
        };
        if text.ends_with('\n') {
            text.pop();
        }
        if text.is_empty() {
            return self.noted(Mistake::wrong(&variable, format!("{path:?} is empty"), right));
        }
        Ok(text)
    }

    fn parsed<T>(&mut self, name: &'static str, text: &str, parse: impl FnOnce(&str) -> Value<T>) -> Result<T, Noted> {
        parse(text).or_else(|wrong| self.noted(Mistake::wrong(name, wrong.what, wrong.right)))
    }

    fn row(&mut self, name: &'static str) -> Result<&'static Setting, Noted> {
        match setting(name) {
            Some(row) => Ok(row),
            None => self.noted(Mistake::wrong(name, "the table of settings lacks it", "a version that has it")),
        }
    }
}
