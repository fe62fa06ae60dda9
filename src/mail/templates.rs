//! What people read: mails and the page behind a link, a directory a language. English is built in; files below
//! `TEMPLATES_DIR` stand in its place or beside it. Everything is read, compiled and tried once at start.

use std::{collections::BTreeMap, fs, path::Path};

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::{
    error::{self, Error},
    state::mails::Kind,
};

const BUILT_IN: &str = "en";
const PAGE: &str = "reset-password.html";
const STYLE: &str = "page.css";
/// File and text of each that is built in.
const FILES: [(&str, &str); 4] = [
    ("welcome.txt", include_str!("../../templates/en/welcome.txt")),
    ("reset.txt", include_str!("../../templates/en/reset.txt")),
    (PAGE, include_str!("../../templates/en/reset-password.html")),
    (STYLE, include_str!("../../templates/en/page.css")),
];

/// What a mail says. Its first line is `Subject: …`, an empty one follows.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// What its reader logs in with.
    pub name: &'a str,
    pub link: &'a str,
    /// Life of the link.
    pub minutes: u64,
}

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub enum Page<'a> {
    Form {
        code: &'a str,
        name: &'a str,
        /// Characters that a password has at least.
        shortest: usize,
        /// What is wrong with the one that was sent: `shortest`, `common`, `longest`.
        wrong: Option<&'static str>,
    },
    Done,
    /// The link does not hold.
    Dead,
    /// Not now.
    Unavailable,
}

impl Letter<'_> {
    fn context(self) -> Value {
        let Self { name, link, minutes } = self;
        context! { name, link, minutes }
    }
}

impl Page<'_> {
    fn context(self) -> Value {
        match self {
            Self::Form { code, name, shortest, wrong } => context! { state => "form", code, name, shortest, wrong },
            Self::Done => context! { state => "done" },
            Self::Dead => context! { state => "dead" },
            Self::Unavailable => context! { state => "unavailable" },
        }
    }
}

/// A page, and what its `style` may be by `Content-Security-Policy`.
pub struct Shown {
    pub html: String,
    pub style_source: String,
}

pub struct Templates {
    environment: Environment<'static>,
    /// By language, in small letters: the files that it has, by name, and under which name they are compiled.
    languages: BTreeMap<String, BTreeMap<&'static str, String>>,
    styles: BTreeMap<String, String>,
    default_locale: String,
}

impl Templates {
    /// A sentence for the operator where a file cannot be used.
    pub fn load(directory: Option<&Path>, default_locale: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let default_locale = folded(default_locale);
        let mut templates = Self { environment, languages: BTreeMap::new(), styles: BTreeMap::new(), default_locale };
        for (file, text) in FILES {
            templates.add(BUILT_IN, file, text.to_owned())?;
        }
        if let Some(directory) = directory {
            templates.read(directory).map_err(|what| format!("TEMPLATES_DIR: {what}"))?;
        }
        if !templates.languages.contains_key(&templates.default_locale) {
            return Err(format!("DEFAULT_LOCALE: there are no templates in {}", templates.default_locale));
        }
        templates.attempt().map_err(|what| format!("TEMPLATES_DIR: {what}"))?;
        Ok(templates)
    }

    /// Subject and text.
    pub fn letter(&self, locale: Option<&str>, kind: Kind, letter: Letter<'_>) -> Result<(String, String), Error> {
        let file = match kind {
            Kind::Welcome => "welcome.txt",
            Kind::Reset => "reset.txt",
        };
        let text = self.render(self.named(locale, file), letter.context());
        parted(&text.map_err(error::internal)?).map_err(error::internal)
    }

    pub fn page(&self, locale: Option<&str>, page: Page<'_>) -> Result<Shown, Error> {
        self.shown(locale, page).map_err(error::internal)
    }

    fn shown(&self, locale: Option<&str>, page: Page<'_>) -> Result<Shown, String> {
        let name = self.named(locale, PAGE);
        let language = name.split('/').next().unwrap_or(BUILT_IN);
        let style = self.styles.get(self.named(locale, STYLE)).map_or("", String::as_str);
        let shown = Value::from_safe_string(style.to_owned());
        let html = self.render(name, context! { language, style => shown, ..page.context() })?;
        Ok(Shown { html, style_source: style_source(style) })
    }

    fn read(&mut self, directory: &Path) -> Result<(), String> {
        let unreadable = |path: &Path, error| format!("{} cannot be read: {error}", path.display());
        let languages = fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
        for language in languages {
            let language = language.map_err(|error| unreadable(directory, error))?;
            let name = language.file_name();
            let (true, Some(name)) = (language.path().is_dir(), name.to_str()) else { continue };
            for (file, _) in FILES {
                let path = language.path().join(file);
                if path.exists() {
                    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                    self.add(&folded(name), file, text)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, language: &str, file: &'static str, text: String) -> Result<(), String> {
        let name = format!("{language}/{file}");
        if file == STYLE {
            self.styles.insert(name.clone(), text);
        } else {
            let unusable = |error: minijinja::Error| told(&name, &error);
            self.environment.add_template_owned(name.clone(), text).map_err(unusable)?;
        }
        self.languages.entry(language.to_owned()).or_default().insert(file, name);
        Ok(())
    }

    /// Every one of them once, with something in it: what is misspelt is found now.
    fn attempt(&self) -> Result<(), String> {
        let letter = Letter { name: "ada", link: "https://users.example.org/reset-password?code=x", minutes: 60 };
        for (language, files) in &self.languages {
            for name in files.values().filter(|name| name.ends_with(".txt")) {
                let text = self.render(name, letter.context())?;
                parted(&text).map_err(|what| format!("{name}: {what}"))?;
            }
            let form = |wrong| Page::Form { code: "x", name: "ada", shortest: 10, wrong };
            let wrongs = [None, Some("shortest"), Some("common"), Some("longest")].map(form);
            for page in wrongs.into_iter().chain([Page::Done, Page::Dead, Page::Unavailable]) {
                self.shown(Some(language), page)?;
            }
        }
        Ok(())
    }

    fn render(&self, name: &str, context: Value) -> Result<String, String> {
        let template = self.environment.get_template(name).map_err(|error| told(name, &error))?;
        template.render(context).map_err(|error| told(name, &error))
    }

    /// The file in that language, in the one that it is a part of, by default, or as it is built in: whichever is there first.
    fn named(&self, locale: Option<&str>, file: &'static str) -> &str {
        let locale = locale.map(folded).unwrap_or_default();
        let general = locale.split('-').next().unwrap_or_default();
        let mut wanted = [locale.as_str(), general, self.default_locale.as_str(), BUILT_IN].into_iter();
        let found = wanted.find_map(|language| self.languages.get(language)?.get(file));
        found.map_or("", String::as_str)
    }
}

/// What `Content-Security-Policy` calls a style that stands in its page.
pub fn style_source(style: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes())))
}

/// `de_AT` and `de-at` are one language.
fn folded(locale: &str) -> String {
    locale.to_ascii_lowercase().replace('_', "-")
}

/// Subject and text of a mail.
fn parted(letter: &str) -> Result<(String, String), String> {
    let parts = letter.strip_prefix("Subject: ").and_then(|rest| rest.split_once("\n\n"));
    match parts {
        Some((subject, text)) if !subject.contains(['\n', '\r']) => {
            Ok((subject.to_owned(), format!("{}\n", text.trim_end())))
        }
        Some(_) | None => Err("it does not begin with a line `Subject: …` and an empty one".to_owned()),
    }
}

fn told(name: &str, error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{name}{line}: {}{detail}", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)], default_locale: &str) -> Result<Templates, String> {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Templates::load(Some(directory.path()), default_locale)
    }

    fn reset(templates: &Templates, locale: Option<&str>) -> String {
        let letter = Letter { name: "ada", link: "https://x/y", minutes: 60 };
        templates.letter(locale, Kind::Reset, letter).unwrap().0
    }

    #[test]
    fn the_language_is_the_readers_else_the_default_one_else_english() {
        let files =
            [("de/reset.txt", "Subject: Neues Passwort\n\n{{ link }}\n"), ("FR_ca/reset.txt", "Subject: Mot\n\nx")];
        let templates = load(&files, "en").unwrap();
        let english = reset(&templates, None);
        for (locale, subject) in [("de", "Neues Passwort"), ("de-AT", "Neues Passwort"), ("DE_at", "Neues Passwort")] {
            assert_eq!(reset(&templates, Some(locale)), subject, "{locale}");
        }
        assert_eq!(reset(&templates, Some("fr-CA")), "Mot");
        for locale in ["fr", "../de", "", "tlh"] {
            assert_eq!(reset(&templates, Some(locale)), english, "{locale}");
        }
        assert_eq!(reset(&load(&files, "de").unwrap(), Some("tlh")), "Neues Passwort");
        // What a language lacks comes from the next one.
        assert!(templates.page(Some("de"), Page::Done).unwrap().html.contains("lang=\"en\""));
        assert!(load(&files, "es").is_err_and(|error| error.starts_with("DEFAULT_LOCALE")));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        for (file, text, place) in [
            ("de/reset.txt", "Subject: x\n\n{{ link", "de/reset.txt, line 3"),
            ("en/reset.txt", "Subject: x\n\n{{ lnik }}", "en/reset.txt"),
            ("en/welcome.txt", "Hello", "en/welcome.txt: it does not begin"),
            ("de/reset-password.html", "{% if state %}", "de/reset-password.html"),
            ("de/reset-password.html", "{{ nmae }}", "de/reset-password.html"),
        ] {
            let error = load(&[(file, text)], "en").map(|_| ()).unwrap_err();
            assert!(error.starts_with("TEMPLATES_DIR: ") && error.contains(place), "{error}");
        }
        assert!(Templates::load(Some(Path::new("/nowhere")), "en").is_err_and(|error| error.contains("/nowhere")));
    }

    #[test]
    fn the_page_escapes_what_it_shows_and_names_its_style() {
        let templates = Templates::load(None, "en").unwrap();
        let form = Page::Form { code: "a\"><script>", name: "<b>&\"'", shortest: 10, wrong: None };
        let Shown { html, style_source } = templates.page(None, form).unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let digest = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert_eq!(style_source, format!("'sha256-{digest}'"));
    }
}
