use std::os::unix::fs::PermissionsExt as _;

use panoptes_model::FrameId;

use super::*;
use crate::testing::{NOW, Temporary, alert, key, updates};
use crate::{AlertFilter, SourcePosition, blocking};

async fn reopen(temporary: &Temporary, byte: u8) -> Result<Catalog, CatalogError> {
    Catalog::open(&temporary.path(), &key(byte), OpenMode::Existing).await
}

#[tokio::test]
async fn opening_again_changes_nothing_and_keeps_everything() {
    let temporary = Temporary::new().await;
    temporary.fold(1, &[alert(7, "203.0.113.9", 100)]).await;
    let before = temporary.catalog.list_alerts(&AlertFilter::default()).await.unwrap();
    temporary.catalog.close().await;
    for _ in 0..3 {
        let catalog = reopen(&temporary, 1).await.unwrap();
        assert_eq!(catalog.list_alerts(&AlertFilter::default()).await.unwrap(), before);
        let mut transaction = catalog.read().await.unwrap();
        let steps = sqlx::query("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(&mut *transaction).await.unwrap();
        assert_eq!(steps.get::<i64, _>(0), 2);
        drop(transaction);
        catalog.close().await;
    }
}

#[tokio::test]
async fn another_key_is_refused_and_both_are_named() {
    let temporary = Temporary::new().await;
    let error = reopen(&temporary, 2).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(matches!(error, CatalogError::Key { .. }), "{error}");
    assert!(source.contains(&key(1).id().to_string()) && source.contains(&key(2).id().to_string()), "{source}");
}

#[tokio::test]
async fn a_missing_catalogue_is_made_only_if_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let missing = [folder.path().join("catalog.sqlite"), folder.path().join("none/catalog.sqlite"), "/".into()];
    for path in &missing {
        let error = Catalog::open(path, &key(1), OpenMode::Existing).await.unwrap_err();
        assert!(matches!(error, CatalogError::Missing { .. }), "{error}");
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }
    let error = Catalog::open(&missing[1], &key(1), OpenMode::Create).await.unwrap_err();
    assert!(matches!(error, CatalogError::File { .. }), "{error}");
    Catalog::open(&missing[0], &key(1), OpenMode::Create).await.unwrap();
}

#[tokio::test]
async fn a_path_with_odd_characters_is_a_path_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("a b?c#d%20\u{e4}&mode=memory");
    std::fs::create_dir(&odd).unwrap();
    let path = odd.join("catalog.sqlite");
    Catalog::open(&path, &key(1), OpenMode::Create).await.unwrap().close().await;
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let temporary = Temporary::new().await;
    temporary.fold(1, &[alert(7, "203.0.113.9", 100)]).await;
    let mut seen = 0;
    for entry in std::fs::read_dir(temporary.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen += 1;
    }
    assert!(seen >= 2, "the write-ahead file is there while the catalogue is open");
    temporary.catalog.close().await;
    // A mode that was widened meanwhile is mended.
    std::fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    reopen(&temporary, 1).await.unwrap().close().await;
    assert_eq!(std::fs::metadata(temporary.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn every_connection_is_set_up_to_survive_power_loss_and_to_wipe() {
    let temporary = Temporary::new().await;
    let mut transactions = vec![temporary.catalog.write().await.unwrap()];
    for _ in 0..READERS_MAX {
        transactions.push(temporary.catalog.read().await.unwrap());
    }
    for transaction in &mut transactions {
        // SQLite's numbers: FULL is 2, MEMORY is 2.
        for (pragma, expected) in
            [("synchronous", 2), ("secure_delete", 1), ("busy_timeout", 10_000), ("temp_store", 2)]
        {
            let sql = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
            let row = sqlx::raw_sql(sql).fetch_one(&mut **transaction).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), expected, "{pragma}");
        }
        let row = sqlx::raw_sql("PRAGMA journal_mode").fetch_one(&mut **transaction).await.unwrap();
        assert_eq!(row.get::<String, _>(0), "wal");
    }
}

#[tokio::test]
async fn a_file_that_is_no_catalogue_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    std::fs::write(&path, "This is a letter, not a database. ".repeat(100)).unwrap();
    let error = Catalog::open(&path, &key(1), OpenMode::Existing).await.unwrap_err();
    assert!(matches!(error, CatalogError::FileDamaged { .. }), "{error:?}");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let temporary = Temporary::new().await;
    let mut transaction = temporary.catalog.write().await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 99 WHERE version = 2").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let error = reopen(&temporary, 1).await.unwrap_err();
    assert!(matches!(error, CatalogError::Newer { step: 99, .. }), "{error}");
}

#[test]
fn many_may_make_the_same_catalogue_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || blocking::Catalog::open(&path, &key(1), OpenMode::Create).unwrap())
        })
        .collect();
    let catalogs: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
    catalogs[0].commit_fold(FrameId(1), NOW, &updates(&[alert(7, "a", 100)]), &[]).unwrap();
    for catalog in &catalogs {
        assert_eq!(catalog.list_alerts(&AlertFilter::default()).unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_changed_cell_or_one_of_another_row_is_refused() {
    let temporary = Temporary::new().await;
    temporary.fold(1, &[alert(7, "a", 100), alert(8, "b", 200)]).await;
    let mut transaction = temporary.catalog.write().await.unwrap();
    let sql = "UPDATE alerts SET sealed = (SELECT sealed FROM alerts WHERE id LIKE '%8') WHERE id LIKE '%7'";
    sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let error = temporary.catalog.list_alerts(&AlertFilter::default()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Sealed { table: "alerts", .. }), "{error}");
}

/// Looks at every byte of every file for `words`, in clear (in any case) and behind base64.
fn found_in(folder: &Path, words: &[&str]) -> Vec<String> {
    /// Shorter ones are met by chance in so much ciphertext.
    const BYTES_MIN: usize = 7;
    let mut found = Vec::new();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let folded = bytes.to_ascii_lowercase();
        files += usize::from(!bytes.is_empty());
        for word in words {
            assert!(word.len() >= BYTES_MIN, "{word}");
            let plain = word.to_ascii_lowercase().into_bytes();
            // The letters of the word in each of the three ways in which they can fall into groups of three.
            let mut encoded = (0..3).filter_map(|skip| {
                let rest = &word.as_bytes()[skip..];
                let text = BASE64.encode(&rest[..rest.len() / 3 * 3]).into_bytes();
                (text.len() > BYTES_MIN).then_some(text)
            });
            let contains = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|it| it == needle);
            if contains(&folded, &plain) || encoded.any(|it| contains(&bytes, &it)) {
                found.push(format!("{word} in {}", path.display()));
            }
        }
    }
    assert!(files >= 1);
    found
}

#[tokio::test]
async fn no_file_holds_a_word_that_came_from_a_sender_or_a_person() {
    let temporary = Temporary::new().await;
    let catalog = &temporary.catalog;
    let first = alert(crate::testing::id("abcd"), "203.0.113.9", 100);
    temporary.fold(1, std::slice::from_ref(&first)).await;
    let position = SourcePosition {
        source: "/srv/shopfront/orders.log".to_owned(),
        identity: "device-fingerprint".to_owned(),
        position: 77,
    };
    let seen_again = updates(&[crate::testing::again(&first, 200)]);
    catalog.commit_fold(FrameId(2), NOW, &seen_again, &[position]).await.unwrap();
    catalog.acknowledge("abcd", Some("calling the customer"), "Grace Hopper", NOW).await.unwrap();
    catalog.note("abcd", "a botnet of toasters", "Grace Hopper", NOW).await.unwrap();
    let resolution = panoptes_model::Resolution::TruePositive;
    catalog.resolve("abcd", resolution, Some("blocked upstream"), "Ada Lovelace", NOW).await.unwrap();

    let secret = [
        "203.0.113.9",
        "source.ip",
        "user.name",
        "host.name",
        "web1.example.org",
        "Failed password",
        "Password guessing",
        "attack.t1110",
        "failures in 60",
        "auth.log",
        "shopfront",
        "device-fingerprint",
        "customer",
        "Grace Hopper",
        "toasters",
        "Lovelace",
        "upstream",
    ];
    let folder = temporary.folder.path();
    assert!(folder.join("catalog.sqlite-wal").metadata().unwrap().len() > 0, "the write-ahead file is looked at too");
    assert_eq!(found_in(folder, &secret), Vec::<String>::new());
    // What is in clear on purpose is found, so the search does search; and so it does behind base64.
    assert!(!found_in(folder, &["auth.password_guessing"]).is_empty());
    catalog.close().await;
    assert_eq!(found_in(folder, &secret), Vec::<String>::new());
    std::fs::write(folder.join("leak"), BASE64.encode("xx 203.0.113.9 Ada Lovelace")).unwrap();
    assert_eq!(found_in(folder, &secret).len(), 2);
}

#[tokio::test]
async fn positions_that_no_frame_carries_are_kept() {
    let temporary = Temporary::new().await;
    let position = SourcePosition { source: "/var/log/quiet.log".into(), identity: "1:2".into(), position: 7 };
    temporary.catalog.set_positions(std::slice::from_ref(&position)).await.unwrap();
    assert_eq!(temporary.catalog.positions().await.unwrap(), [position]);
}

#[test]
fn calls_can_be_made_from_any_thread_of_a_runtime() {
    fn assert_send(_: impl Send) {}
    fn calls(catalog: &Catalog) {
        assert_send(catalog.commit_fold(FrameId(1), NOW, &[], &[]));
        assert_send(catalog.alert("abcd"));
        assert_send(catalog.note("abcd", "", "", NOW));
        assert_send(catalog.stats(None));
    }
    let _only_compiled: fn(&Catalog) = calls;
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_told_as_such() {
    let temporary = Temporary::new().await;
    let other = reopen(&temporary, 1).await.unwrap();
    let mut impatient = other.write().await.unwrap();
    sqlx::raw_sql("PRAGMA busy_timeout = 0").execute(&mut *impatient).await.unwrap();
    impatient.rollback().await.unwrap();
    let held = temporary.catalog.write().await.unwrap();
    let error = other.commit_fold(FrameId(1), NOW, &[], &[]).await.unwrap_err();
    assert!(matches!(error, CatalogError::Locked { .. }), "{error:?}");
    // Readers do not mind.
    assert_eq!(other.folded_through().await.unwrap(), FrameId(0));
    held.rollback().await.unwrap();
    assert!(other.commit_fold(FrameId(1), NOW, &[], &[]).await.unwrap().applied);
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_the_fold_can_be_tried_again() {
    let temporary = Temporary::new().await;
    let catalog = &temporary.catalog;
    // SQLite lowers the limit no further than to what is in use.
    let mut transaction = catalog.write().await.unwrap();
    sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let many: Vec<_> = (1..200).map(|n| alert(n, "203.0.113.9", 100)).collect();
    let error = catalog.commit_fold(FrameId(1), NOW, &updates(&many), &[]).await.unwrap_err();
    assert!(matches!(error, CatalogError::DiskFull { .. }), "{error:?}");
    // A limit lasts as long as its connection, and the broken one was given up.
    assert_eq!(temporary.fold(1, &many).await.opened.len(), many.len());
}
