//! Repairs beside a writer that lives: it is found by whatever path it has, and can't go on in a file that was replaced.

mod common;

use std::path::Path;

use common::{describe, look, open, options, reception, record, stored};
use meshcore_store::doctor::{checkpoint_file, recount_file, vacuum_file};
use meshcore_store::{Error, Store, StoreOptions};

const DOCTOR: &str = "meshcore doctor";

async fn is_refused_while_the_other_writes(path: &Path) {
    let refused = [
        vacuum_file(path, DOCTOR).await.map(drop),
        checkpoint_file(path, DOCTOR).await.map(drop),
        recount_file(path, DOCTOR).await,
    ];
    for refused in refused {
        let holder = match &refused {
            Err(Error::Locked { holder, .. }) => holder,
            other => panic!("{}: {other:?}", path.display()),
        };
        assert!(holder.contains("store test"), "{holder}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_is_refused_while_a_writer_has_the_file_by_another_path() {
    let dir = tempfile::tempdir().unwrap();
    let (real, linked) = (dir.path().join("mesh.db"), dir.path().join("link.db"));
    std::os::unix::fs::symlink("mesh.db", &linked).unwrap();
    let by_link = StoreOptions {
        path: linked.clone(),
        ..options(dir.path())
    };
    // The first time the link leads to a file that is not there yet.
    for (options, other) in [(by_link, &real), (options(dir.path()), &linked)] {
        let (mut store, _) = Store::open(options).await.unwrap();
        is_refused_while_the_other_writes(other).await;
        let records = [record(reception(1, "a", "01"))];
        store.write(&records, &describe).await.unwrap();
        store.close().await.unwrap();
    }
    vacuum_file(&linked, DOCTOR).await.unwrap();
    assert!(linked.is_symlink(), "a link stays a link");
    assert_eq!(stored(&mut look(dir.path()).await).await, [1]);
    // Nothing is beside the link: who looks beside the file must find all of it.
    let beside_link = std::fs::read_dir(dir.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("link.db.")
    });
    assert_eq!(beside_link.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_the_lock_does_not_stop_writes_nothing_to_a_file_that_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).await;
    let write = |n| [record(reception(n, "a", "01"))];
    store.write(&write(1), &describe).await.unwrap();
    std::fs::remove_file(dir.path().join("mesh.db.writer")).unwrap();
    vacuum_file(&dir.path().join("mesh.db"), DOCTOR)
        .await
        .unwrap();
    let refused = store.write(&write(2), &describe).await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused}");
    drop(store);
    let (mut store, _) = open(dir.path()).await;
    store.write(&write(3), &describe).await.unwrap();
    assert_eq!(stored(&mut look(dir.path()).await).await, [1, 3]);
}
