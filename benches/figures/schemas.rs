//! What it costs to hold a person against the schema of his group.

use std::{hint::black_box, path::Path, time::Instant};

use serde_json::{Map, Value, json};
use user_manager::groups::{Group, built_in};

use crate::{
    Size,
    creates::{make, open, somebody},
    runtime, say,
    table::{Rounds, Table, Wanted, ms, ratio},
};

/// So often in a row is what takes microseconds done.
const TIMES: u32 = 2_000;

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let groups = built_in::documents().unwrap();
    let document = groups.into_iter().find(|group| group["userGroup"] == "users").unwrap();
    let (group, mut person) = (Group::compile(&document).unwrap(), person());
    let [mut cached, mut compiled, mut looked_up, mut made] = [(); 4].map(|()| Rounds::default());
    let [mut faster, mut share] = [(); 2].map(|()| Rounds::default());
    for _ in 0..size.rounds {
        let one = timed(TIMES, || group.check(black_box(&mut person)).unwrap());
        let anew = timed(TIMES / 20, || Group::compile(black_box(&document)).unwrap().check(&mut person).unwrap());
        let (found, create) = runtime().block_on(in_our_state(directory, size.requests));
        say(&format!(
            "  {one:.4} ms, compiled anew {anew:.3} ms, with its document {found:.4} ms, a create {create:.2} ms"
        ));
        cached.push(one);
        compiled.push(anew);
        looked_up.push(found);
        made.push(create);
        faster.push(anew / one);
        share.push(one / create);
    }
    table.stated("a person held against the compiled schema of the group `users`", cached.told(micros));
    table.stated("the same, compiled anew", compiled.told(micros));
    table.figure("compiled anew against compiled", Wanted::AtLeast(100.0), &faster, ratio);
    table.stated("the group's document read from our own state, and a person held against it", looked_up.told(micros));
    table.stated("one person made over our own state, one client", made.told(ms));
    table.figure("held against the schema, as part of that", Wanted::AtMost(0.01), &share, |part| format!("{part:.4}"));
}

/// Milliseconds each.
fn timed(times: u32, mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        work();
    }
    began.elapsed().as_secs_f64() * 1000.0 / f64::from(times)
}

async fn in_our_state(directory: &Path, requests: usize) -> (f64, f64) {
    let place = tempfile::tempdir_in(directory).unwrap();
    let app = open(place.path()).await;
    make(app.clone()).await;
    let began = Instant::now();
    for _ in 0..requests {
        let mut fields = somebody();
        app.groups.of(&fields).await.unwrap().check(&mut fields).unwrap();
    }
    let found = began.elapsed();
    let began = Instant::now();
    for _ in 0..requests {
        make(app.clone()).await;
    }
    let each = |length: std::time::Duration| length.as_secs_f64() * 1000.0 / requests as f64;
    (each(found), each(began.elapsed()))
}

fn person() -> Map<String, Value> {
    let person = json!({
        "userGroup": "users", "username": "ada", "email": "ada@example.org", "name": "Ada Lovelace", "phone": "+44 20 7946",
        "birthDate": "1815-12-10", "address": { "street": "St James's Square 12", "city": "London", "country": "GB" },
    });
    person.as_object().unwrap().clone()
}

fn micros(ms: f64) -> String {
    format!("{:.1} µs", ms * 1000.0)
}
