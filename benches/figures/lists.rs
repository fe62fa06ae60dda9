//! Lists of 25 over our own state: what a hundred times as many users cost.

use std::{path::Path, time::Instant};

use rusqlite::Connection;
use user_manager::{
    clock::Clock,
    query::{Filter, Query},
    state::sqlite::Sqlite,
    store::{Store, embedded::Embedded},
    users::State,
};

use crate::{
    Size, runtime, say,
    table::{Rounds, Table, Wanted},
};

const FEW: u32 = 10_000;
const MANY: u32 = 1_000_000;
/// A tenth of all users is in each.
const GROUPS: u32 = 10;
/// `GET /users/` of 25 by an indexed field, many against few.
const MOST: f64 = 1.5;

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let runtime = runtime();
    let place = tempfile::tempdir_in(directory).unwrap();
    let [few, many] = [FEW, MANY].map(|users| {
        say(&format!("  {users} users"));
        runtime.block_on(store(place.path(), users))
    });
    let kinds: [(&str, Query); 4] = [
        ("in a group", page(Filter::equals("userGroup", "group 3"))),
        (
            "in a group, not blocked",
            page(Filter::all([Filter::equals("userGroup", "group 3"), Filter::differs("blocked", true)])),
        ),
        ("by e-mail", page(Filter::equals("email", "user-5000@example.org"))),
        ("without a filter", page(Filter::Everything)),
    ];
    for (what, query) in kinds {
        let (mut told, mut ratios) = (Rounds::default(), Rounds::default());
        for _ in 0..size.rounds {
            let [least, most] = [&few, &many].map(|store| runtime.block_on(micros(store, &query, size.requests * 10)));
            told.push(most);
            ratios.push(most / least);
        }
        table.stated(&format!("list of 25 {what}, among {MANY} users"), told.told(|micros| format!("{micros:.0} µs")));
        table.figure(
            &format!("list of 25 {what}: {MANY} users against {FEW}"),
            Wanted::AtMost(MOST),
            &ratios,
            |ratio| format!("{ratio:.2}"),
        );
    }
}

fn page(filter: Filter) -> Query {
    Query::everybody_where(filter).in_states(&[State::Public]).limit(25)
}

async fn micros(store: &Embedded, query: &Query, times: usize) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        assert!(!store.list(query).await.unwrap().is_empty());
    }
    began.elapsed().as_secs_f64() * 1e6 / times as f64
}

/// With so many users, who are written into its tables by one statement each: it is not the writing that is measured.
async fn store(directory: &Path, users: u32) -> Embedded {
    let file = directory.join(format!("{users}.db"));
    let open = async || {
        let state = Sqlite::open(&file, Clock::system()).unwrap();
        Embedded::open(state, &["email".to_owned(), "username".to_owned()]).await.unwrap()
    };
    drop(open().await);
    let fill = Connection::open(&file).unwrap();
    let with =
        format!("WITH RECURSIVE user (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM user WHERE n < {} ) ", users - 1);
    let group = format!("'group ' || (n % {GROUPS})");
    let id = "printf('%024x', n * 7919 % 1000003 * 4096 + n)";
    fill.execute_batch(&format!(
        "PRAGMA synchronous = OFF; BEGIN;
         {with} INSERT INTO document SELECT 'users', {id}, json_object('userGroup', {group}, 'email',
            'user-' || n || '@example.org', 'name', 'Somebody with a name', 'blocked', json('false'), 'authUserId', {id},
            '__STATE__', 'PUBLIC', 'creatorId', 'public', 'updaterId', 'public',
            'address', json_object('street', 'A street with a number', 'city', 'Rome', 'country', 'IT')),
            1700000000000 + n, 1700000000000 + n FROM user ORDER BY 2;
         {with} INSERT INTO unique_value SELECT 'users', 'email', 'user-' || n || '@example.org', {id} FROM user ORDER BY 3;
         {with} INSERT INTO indexed_value SELECT 'users', 'userGroup', {group}, {id} FROM user ORDER BY 3, 4;
         {with} INSERT INTO indexed_value SELECT 'users', 'authUserId', {id}, {id} FROM user ORDER BY 3;
         COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
    ))
    .unwrap();
    drop(fill);
    open().await
}
