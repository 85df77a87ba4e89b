//! Followers from the command line: asked, waited for, looked at, and let go.

use serde_json::json;
use spool_integration_tests::daemon::Repo;

#[test]
fn a_follower_is_asked_waited_for_and_let_go() {
    let (writer, follower) = (Repo::new("writer"), Repo::new("follower"));
    // One thread, and not the home thread behind it.
    let _one = writer.start(&["--home", "false"]);
    let two = follower.start(&["--follow", "code", "--follow-code", "open sesame", "--follow-bodies-days", "30"]);
    let thread = writer.text(&["thread", "create", "notes"]);
    let nobody = writer.run(["thread", "status", "notes"]);
    assert_eq!(nobody.code, Some(0), "{nobody:?}");
    let refused = writer.run(["follower", "add", &two.address(), "notes", "--json"]);
    let (code, reason, message) = refused.error();
    assert_eq!((refused.code, code, reason.as_str()), (Some(6), 6, "wrong-code"), "{message}");
    let added = writer.json(&["follower", "add", &two.address(), "notes", "--code", "open sesame"]).remove(0);
    assert_eq!(
        (&added["peer_id"], &added["bodies_days"], &added["gone"]),
        (&json!(two.peer()), &json!(30), &json!(null))
    );

    writer.text(&["append", "notes", "milk", "--wait-for", "1", "--timeout", "60"]);
    let late = writer.run(["append", "notes", "bread", "--wait-for", "2", "--timeout", "1", "--json"]);
    let (code, reason, message) = late.error();
    assert_eq!((late.code, code, reason.as_str()), (Some(7), 7, "not-in-time"), "{message}");
    assert!(
        message.contains("of 1 followers, 2 were waited for") && message.contains("in the log all the same"),
        "{message}"
    );
    // So it is, and its receipt was printed.
    let receipt = late.json().remove(0);
    let entries = writer.json(&["log", "notes"]);
    assert!(entries.iter().any(|entry| entry["cid"] == receipt["cid"]), "{entries:?}");
    let many = writer.feed(["append", "notes", "--stdin", "--wait-for", "1", "--timeout", "60"], b"1\n2\n3\n");
    assert_eq!(many.code, Some(0), "{many:?}");

    let status = writer.json(&["thread", "status", "notes"]).remove(0);
    assert_eq!(
        (&status["followers"], &status["durable"], &status["missing_blocks"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(status["logs"][0]["head"], status["logs"][0]["newest"]);
    let peer = &status["peers"][0];
    let shown = (&peer["peer_id"], &peer["role"], &peer["asked"], &peer["connected"], &peer["bodies_days"]);
    assert_eq!(shown, (&json!(two.peer()), &json!("follower"), &json!(true), &json!(true), &json!(30)));
    assert!(writer.text(&["thread", "status", "notes"]).contains("on 1 of 1 follower"));

    // The other side.
    let followed = follower.json(&["follower", "ls"]).remove(0);
    assert_eq!(followed["followed"][0]["thread"], json!(thread));
    let kept = follower.json(&["follower", "retention", &thread, "--everything"]).remove(0);
    assert_eq!(kept["bodies_days"], json!(null));
    follower.fails(&["follower", "retention", &thread], 2);
    writer.fails(&["follower", "retention", "notes", "--bodies-days", "3"], 2);
    follower.fails(&["append", &thread, "no"], 6);
    let removed = writer.json(&["follower", "rm", two.peer(), "notes"]).remove(0);
    assert_eq!(removed["told"], json!(true));
    writer.fails(&["follower", "rm", two.peer(), "notes"], 3);
    assert_eq!(follower.json(&["thread", "ls"]), [json!([])]);
    // And the follower's own end of it.
    writer.json(&["follower", "add", &two.address(), "notes", "--code", "open sesame"]);
    let dropped = follower.json(&["follower", "drop", &thread]).remove(0);
    assert_eq!((&dropped["nodes"], &dropped["told"]), (&json!(1), &json!(1)));
    let left = writer.json(&["follower", "ls", "notes"]).remove(0);
    assert!(left["followers"][0]["gone"].is_string(), "{left}");
    follower.fails(&["follower", "drop", &thread], 3);
}
