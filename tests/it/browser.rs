//! The page behind a mailed link, as somebody meets it who has a narrow screen, a keyboard and no script: in a real browser.
//! It is played where `CHROMEDRIVER` names the WebDriver of a Chromium, as `.ci/run` does, and left out elsewhere.

mod driver;
mod screen;

use std::{fs, io::Write, path::Path};

use serde_json::{Value, json};

use self::{driver::Browser, screen::Screen};
use crate::worlds::{PASSWORD, Place, World};

const NEW: &str = "wrong donkey capacitor";
/// CSS pixels; what is left of a wide screen at 400 %.
const NARROW: u32 = 320;
/// Longer than such a screen is wide.
const EMAIL: &str = "augustaadakingcountessoflovelace@analyticalengine.example.org";
/// WCAG 2.2, 1.4.3 and 1.4.11.
const TEXT: f64 = 4.5;
const SHAPE: f64 = 3.0;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_behind_a_link_is_used_in_a_browser_on_a_narrow_screen_without_mouse_and_script() {
    let Some(program) = chromedriver() else {
        say("the page in a browser: left out, since CHROMEDRIVER names no WebDriver\n");
        return;
    };
    let world = World::at(Place::Embedded).await;
    let browser = Browser::open(&program, NARROW).await;
    // Nothing of what follows is owed to a script.
    browser.go("data:text/html,<title>still</title><script>document.title = 'moved'</script>").await;
    browser.is_titled("still").await;

    let id = world.user(EMAIL).await;
    let identity = world.get(&format!("/users/{id}")).await.is(200).text("authUserId");
    world.post("/users/change-password", json!({ "authUserId": identity })).await.is(204);
    let link = world.url(&world.mailed(1).await.link());

    browser.go(&link).await;
    browser.is_titled("Choose a password").await;
    is_readable(&browser, "form").await;
    asks_for_one_password(&browser).await;

    browser.types(&format!("tiny{}", driver::ENTER)).await;
    browser.is_titled("Error: Choose a password").await;
    is_readable(&browser, "error").await;
    tells_what_is_wrong(&browser).await;
    // What stays in the history opens nothing, and nothing that was typed is in the page.
    assert_eq!(browser.address().await, world.url("/reset-password?"));
    assert!(!browser.source().await.contains("tiny"));
    world.nobody().logs_in(EMAIL, PASSWORD).await.is(200);

    browser.types(&format!("{NEW}{}", driver::ENTER)).await;
    browser.is_titled("Your password is set").await;
    is_readable(&browser, "done").await;
    world.nobody().logs_in(EMAIL, PASSWORD).await.refuses(401, "login-refused");
    world.nobody().logs_in(EMAIL, NEW).await.is(200);

    browser.go(&link).await;
    browser.is_titled("This link cannot be used").await;
    is_readable(&browser, "dead").await;

    let (mut asked, own) = (browser.requests().await, world.url("/"));
    asked.retain(|request| !request.url.starts_with("data:"));
    assert!(asked.iter().all(|request| request.url.starts_with(&own)), "{asked:#?}");
    assert!(asked.iter().all(|request| request.referrer.is_none()), "{asked:#?}");
    assert_eq!(asked.iter().filter(|request| request.url.contains("/reset-password?")).count(), 4, "{asked:#?}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    world.settled().await;
    say(&format!("the page in a browser: what was seen lies in {}\n", pictures().display()));
}

/// Whose, which, and how one gets there and on.
async fn asks_for_one_password(browser: &Browser) {
    assert!(browser.text("main").await.contains(EMAIL));
    let field = browser.accessible("#password").await;
    assert_eq!((field.name.as_str(), field.role.as_str()), ("New password", "textbox"));
    assert_eq!(field.description, "At least 10 characters. Several words are good.");
    assert_eq!(field.invalid, "false");
    let button = browser.accessible("button").await;
    assert_eq!((button.name.as_str(), button.role.as_str()), ("Set password", "button"));

    let fields = "return [...document.querySelectorAll('input, select, textarea')]
        .filter(one => one.checkVisibility()).map(one => one.id)";
    assert_eq!(browser.script(fields, json!([])).await, json!(["password"]));
    shows_its_focus(browser, "password").await;
    browser.types(driver::TAB).await;
    shows_its_focus(browser, "").await;
    browser.types(&format!("{}{}", driver::SHIFT, driver::TAB)).await;
    shows_its_focus(browser, "password").await;
}

/// To who sees it and to who hears it, who is where he goes on.
async fn tells_what_is_wrong(browser: &Browser) {
    let told = "This password is too short. Choose another one.";
    assert_eq!(browser.text("[role=alert]").await, told);
    let field = browser.accessible("#password").await;
    assert!(field.description.starts_with(told), "{}", field.description);
    assert_eq!(field.invalid, "true");
    shows_its_focus(browser, "password").await;
}

/// Where `CHROMEDRIVER` is set, a browser that does not start is a failure.
#[expect(clippy::disallowed_methods, reason = "a browser is not everywhere")]
fn chromedriver() -> Option<String> {
    std::env::var("CHROMEDRIVER").ok()
}

fn say(line: &str) {
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Where somebody finds what was seen.
fn pictures() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/page"))
}

/// By day and by night: nothing is wider than the screen, and everything stands out from what is behind it.
async fn is_readable(browser: &Browser, name: &str) {
    for scheme in ["light", "dark"] {
        browser.prefers(scheme).await;
        let picture = browser.picture().await;
        fs::create_dir_all(pictures()).unwrap();
        fs::write(pictures().join(format!("{name}-{scheme}.png")), &picture).unwrap();
        let screen = Screen::read(&picture);
        assert_eq!(screen.width, NARROW, "{name} {scheme}");
        assert!(screen.colours() > 20, "{name} {scheme} is blank: {} colours", screen.colours());
        let canvas = screen.corner();
        assert_eq!(scheme == "dark", screen::luminance(canvas) < 0.5, "{name} {scheme}: {canvas:?}");

        let wide = browser.script("return document.documentElement.scrollWidth", json!([])).await;
        assert!(wide.as_u64().unwrap() <= u64::from(NARROW), "{name} {scheme} is {wide} wide");
        let parts = browser.script(PARTS, json!([canvas])).await;
        let parts = parts.as_array().unwrap();
        assert!(parts.len() >= 2, "{name} {scheme}: {parts:?}");
        for part in parts {
            let contrast = screen::contrast(colour(&part["colour"]), colour(&part["behind"]));
            let wanted = if part["shape"] == true { SHAPE } else { TEXT };
            assert!(contrast >= wanted, "{name} {scheme}: contrast {contrast:.2} of {part}");
        }
    }
}

/// Every text with its colour and the one behind it, every edge of a field, and the line around what has the focus. Where
/// nothing is painted, the canvas shows.
const PARTS: &str = "
    const seen = colour => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return a ? [r, g, b] : null };
    const behind = one => one ? seen(getComputedStyle(one).backgroundColor) ?? behind(one.parentElement) : arguments[0];
    const parts = [];
    for (const one of document.body.querySelectorAll('*')) {
        if (!one.checkVisibility()) continue;
        const style = getComputedStyle(one);
        const text = [...one.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('').trim();
        if (text || one.matches('input')) parts.push({ text, colour: seen(style.color), behind: behind(one) });
        const shape = colour => parts.push({ shape: true, colour: seen(colour), behind: behind(one.parentElement) });
        if (one.matches('input')) shape(style.borderTopColor);
        if (one.matches(':focus-visible')) shape(style.outlineColor);
    }
    return parts;";

fn colour(value: &Value) -> [u8; 3] {
    serde_json::from_value(value.clone()).unwrap()
}

/// Whoever has the focus has a line around it that stands out.
async fn shows_its_focus(browser: &Browser, id: &str) {
    let style = "const [one, style] = [document.activeElement, getComputedStyle(document.activeElement)];
        return [one.id, style.outlineStyle, parseFloat(style.outlineWidth), one.matches('input, button')]";
    let shown = browser.script(style, json!([])).await;
    assert_eq!((&shown[0], &shown[1], &shown[3]), (&json!(id), &json!("solid"), &json!(true)), "{shown}");
    assert!(shown[2].as_f64().unwrap() >= 2.0, "{shown}");
}
