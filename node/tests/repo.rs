//! What `spool init` leaves behind, and who may use it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use spool_node::repo::{Error, Init, Repo};

fn create(dir: &Path) -> Repo {
    Repo::create(dir, &Init::default()).unwrap().0
}

#[test]
fn a_new_repository_opens_with_the_identity_of_its_phrase() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, phrase) = Repo::create(dir.path().join("one"), &Init::default()).unwrap();
    assert_eq!(phrase.split(' ').count(), 24);
    let again = Repo::open(repo.dir()).unwrap();
    assert_eq!(again.identity().unwrap().public(), repo.identity().unwrap().public());
    assert_eq!(again.node_key().unwrap().public(), repo.node_key().unwrap().public());
    assert_eq!(again.device().unwrap(), repo.device().unwrap());

    let recover = Init { recover: Some(format!("  {}\n", phrase.to_uppercase()).into()), ..Init::default() };
    let (other, _) = Repo::create(dir.path().join("two"), &recover).unwrap();
    assert_eq!(other.identity().unwrap().public(), repo.identity().unwrap().public());
    // Another installation of the same owner: its logs and its peer id are its own.
    assert_ne!(other.device().unwrap(), repo.device().unwrap());
    assert_ne!(other.node_key().unwrap().public(), repo.node_key().unwrap().public());
}

#[test]
fn a_wrong_phrase_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("repo");
    let recover = Init { recover: Some("zoo ".repeat(24).into()), ..Init::default() };
    assert!(matches!(Repo::create(&place, &recover), Err(Error::Phrase(_))));
    assert!(!place.exists());
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let identity = create(dir.path()).identity().unwrap().public();
    assert!(matches!(Repo::create(dir.path(), &Init::default()), Err(Error::Exists(_))));
    assert_eq!(Repo::open(dir.path()).unwrap().identity().unwrap().public(), identity);
    // Half of a repository is somebody's, too.
    std::fs::remove_file(dir.path().join("version")).unwrap();
    assert!(matches!(Repo::create(dir.path(), &Init::default()), Err(Error::Exists(_))));
}

#[cfg(unix)]
#[test]
fn secrets_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let repo = create(&dir.path().join("repo"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(repo.dir()), 0o700);
    for file in ["identity", "node.key"] {
        assert_eq!(mode(&repo.dir().join(file)), 0o600, "{file}");
    }
    assert!(repo.exposed().is_empty());
    let identity = repo.dir().join("identity");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(repo.exposed(), [(identity, 0o640)]);
}

#[test]
fn only_one_at_a_time_and_the_other_is_told_who() {
    let dir = tempfile::tempdir().unwrap();
    let repo = create(dir.path());
    let locked = repo.clone().lock().unwrap();
    let error = repo.clone().lock().unwrap_err();
    assert!(matches!(error, Error::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    drop(locked);
    repo.lock().unwrap();
}

#[test]
fn a_new_device_id_is_another_one_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let locked = create(dir.path()).lock().unwrap();
    let before = locked.device().unwrap();
    let after = locked.renew_device().unwrap();
    assert_ne!(before, after);
    assert_eq!(Repo::open(dir.path()).unwrap().device().unwrap(), after);
}

#[test]
fn the_api_is_known_while_somebody_serves_it() {
    let dir = tempfile::tempdir().unwrap();
    let locked = create(dir.path()).lock().unwrap();
    assert_eq!(locked.api(), None);
    let file = locked.publish_api(([127, 0, 0, 1], 4711).into()).unwrap();
    assert_eq!(locked.api().as_deref(), Some("127.0.0.1:4711"));
    drop(file);
    assert_eq!(locked.api(), None);
}

#[test]
fn what_is_not_a_repository_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Repo::open(dir.path()).unwrap_err();
    assert!(missing.to_string().contains("`spool init` makes one"), "{missing}");
    create(dir.path());
    std::fs::write(dir.path().join("version"), "3\n").unwrap();
    let newer = Repo::open(dir.path()).unwrap_err();
    assert!(newer.to_string().contains("has layout 3, this version of spool knows up to 2"), "{newer}");
}

#[test]
fn damaged_files_are_errors_that_do_not_quote_them() {
    let dir = tempfile::tempdir().unwrap();
    let repo = create(dir.path());
    for (file, content) in [
        ("identity", b"secret words".to_vec()),
        ("identity", vec![b'x'; 5000]),
        ("identity", vec![0xff; 10]),
        ("node.key", b"secret words".to_vec()),
        ("node.key", b"f".repeat(66)),
        ("device", b"secret words".to_vec()),
    ] {
        std::fs::write(repo.dir().join(file), content).unwrap();
        let error = match file {
            "identity" => repo.identity().map(|_| ()).unwrap_err(),
            "node.key" => repo.node_key().map(|_| ()).unwrap_err(),
            _ => repo.device().map(|_| ()).unwrap_err(),
        };
        assert!(error.to_string().contains(file), "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
