//! What our own state can do: the journal alone, in three ways of writing, and people made in it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Map, json};
use user_manager::{
    access::Caller,
    app::App,
    clock::Clock,
    config::Config,
    state::sqlite::{Batch, Synchronous, Writing},
    users::{self, create::Draft},
};

use crate::{
    Size, crowd,
    disk::Disk,
    journal, runtime, say,
    table::{Rounds, Table, Wanted, per_second, ratio},
};

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let full = Writing::default();
    let off = Writing { synchronous: Synchronous::Off, ..full };
    let single = Writing { batch: Batch::Single, ..full };
    let mut disk = Disk::open(directory).unwrap();
    let durable = runtime().block_on(durable_writes(directory));

    let [mut syncs, mut fulls, mut offs, mut singles, mut creates] = [(); 5].map(|()| Rounds::default());
    let [mut of_off, mut of_single, mut of_journal] = [(); 3].map(|()| Rounds::default());
    for round in 0..size.rounds {
        let write =
            |writing| runtime().block_on(journal::writes_per_second(directory, size.clients, size.slot, writing));
        let sync = disk.syncs_per_second(size.slot / 3).unwrap();
        // In turns, and every second round the other way round: nobody is always the one who comes after the other.
        let (mut written, mut unsafely) = (0.0, 0.0);
        for turn in 0..2 {
            if (round + turn) % 2 == 0 { written = write(full) } else { unsafely = write(off) }
        }
        let made = runtime().block_on(made_per_second(directory, size));
        let alone = write(single);
        say(&format!("  {sync:.0} syncs, {written:.0} full, {unsafely:.0} off, {alone:.0} single, {made:.0} people"));
        syncs.push(sync);
        fulls.push(written);
        offs.push(unsafely);
        singles.push(alone);
        creates.push(made);
        of_off.push(written / unsafely);
        of_single.push(written / alone);
        of_journal.push(made / (written / durable as f64));
    }

    let clients = size.clients;
    table.stated("one page written and kept by the disk, one after the other", syncs.told(per_second));
    table.stated(&format!("journal, {clients} writers, `synchronous=FULL`"), fulls.told(per_second));
    table.stated("the same, `synchronous=OFF`", offs.told(per_second));
    table.stated("the same, `FULL`, a commit a write", singles.told(per_second));
    table.figure("journal: `FULL` against `OFF`", Wanted::AtLeast(0.8), &of_off, ratio);
    table.figure("journal: shared commits against one a write", Wanted::AtLeast(5.0), &of_single, ratio);
    table.stated(&format!("people made over our own state, {clients} clients, no password"), creates.told(per_second));
    let what = format!("people made against journal writes ÷ {durable}, the durable writes of one");
    table.figure(&what, Wanted::AtLeast(0.5), &of_journal, ratio);
}

async fn made_per_second(directory: &Path, size: Size) -> f64 {
    let place = tempfile::tempdir_in(directory).unwrap();
    let app = open(place.path()).await;
    crowd::rate(size.clients, size.slot, move |done| {
        let app = Arc::clone(&app);
        async move {
            make(app).await;
            done.one();
        }
    })
    .await
}

pub async fn open(place: &Path) -> Arc<App> {
    let pairs = [("DATA_DIR".to_owned(), place.display().to_string())];
    App::open(Config::resolve(pairs).unwrap().config, Clock::system()).await.unwrap()
}

pub async fn make(app: Arc<App>) {
    let caller = Caller::inside("bench", "system", uuid::Uuid::now_v7().to_string());
    users::create(&app, &caller, Draft { fields: somebody(), ..Draft::default() }).await.unwrap();
}

/// Somebody new.
pub fn somebody() -> Map<String, serde_json::Value> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let fields = json!({ "userGroup": "users", "email": format!("somebody-{number}@example.org"), "name": "Somebody" });
    fields.as_object().unwrap().clone()
}

/// How many commits the making of one person is, counted in the write-ahead log of the file.
async fn durable_writes(directory: &Path) -> usize {
    let place = tempfile::tempdir_in(directory).unwrap();
    let app = open(place.path()).await;
    make(Arc::clone(&app)).await;
    let log = app.config.state_file.with_extension("db-wal");
    let before = commits(&std::fs::read(&log).unwrap());
    make(Arc::clone(&app)).await;
    commits(&std::fs::read(&log).unwrap()) - before
}

/// <https://sqlite.org/fileformat2.html#walformat>: a header of 32 bytes, then frames; the one that ends a commit tells how
/// large the file is then.
fn commits(log: &[u8]) -> usize {
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    let (header, frames) = log.split_at(32);
    let frame = 24 + number(&header[8..12]);
    let ours = frames.chunks_exact(frame).take_while(|frame| frame[8..16] == header[16..24]);
    ours.filter(|frame| number(&frame[4..8]) > 0).count()
}
