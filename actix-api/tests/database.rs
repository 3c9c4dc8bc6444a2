//! What a server says about a database that it cannot use.

use std::time::Duration;

use actix_api::{Database, DatabaseUrl};

#[tokio::test]
async fn an_unreachable_server_is_named_without_its_password() {
    // Bound and dropped: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound")
        .port();
    let url: DatabaseUrl = format!("postgres://me:secret@127.0.0.1:{port}/x")
        .parse()
        .expect("valid");
    let error = Database::open_within(&url, Duration::from_millis(100))
        .await
        .expect_err("nothing there");
    let report = error.report();
    assert!(
        report.contains("--database-url") && report.contains("me:***@127.0.0.1"),
        "{report}"
    );
    assert!(!report.contains("secret"), "{report}");
}

#[tokio::test]
async fn a_file_is_made_with_its_folder_and_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = DatabaseUrl::sqlite_file(&folder.path().join("a b/50%/test.db"));
    let id = "demo".parse().expect("an id");
    let first = Database::open(&url).await.expect("opens");
    assert!(
        first
            .create_meeting(&id, None, 7)
            .await
            .expect("written")
            .is_some()
    );
    assert!(
        first
            .create_meeting(&id, None, 8)
            .await
            .expect("not written")
            .is_none()
    );
    first.close().await;
    assert!(folder.path().join("a b/50%/test.db").is_file());
    let second = Database::open(&url).await.expect("opens again");
    let found = second.find_meeting(&id).await.expect("read").expect("there");
    assert_eq!(found.created_at_ms, 7);
    second.close().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    let url = DatabaseUrl::sqlite_file(&folder.path().join("file/below/test.db"));
    let error = Database::open_within(&url, Duration::from_millis(100))
        .await
        .expect_err("not a folder");
    assert!(
        error.report().contains("file/below/test.db"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn concurrent_writers_wait_for_one_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(&DatabaseUrl::sqlite_file(&folder.path().join("test.db")))
        .await
        .expect("opens");
    let writes = (0..50).map(|n| {
        let database = database.clone();
        async move {
            let id = format!("m{n}").parse().expect("an id");
            database
                .create_meeting(&id, None, n)
                .await
                .expect("written")
                .expect("free")
        }
    });
    assert_eq!(futures::future::join_all(writes).await.len(), 50);
}
