//! Messages to a program: one that fails, hangs, says too much, or is not there.

use super::world::project;

#[test]
fn a_program_takes_a_message_by_ending_well() {
    let toy = project(
        r#"
[alert.good]
command = ["sh", "-c", "cat > got.json; echo $MILLPOND_ALERT_TITLE > title"]

[alert.deaf]
command = ["true"]

[alert.bad]
command = ["sh", "-c", "cat > /dev/null; echo first >&2; echo why it failed >&2; exit 7"]

[alert.flood]
command = ["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 1"]

[alert.leaves_a_child]
command = ["sh", "-c", "sleep 1000 & exit 0"]

[alert.gone]
command = ["no-such-program"]
"#,
    );
    toy.run(&["alert", "test", "good"]).expect(0);
    let got: serde_json::Value = serde_json::from_slice(&std::fs::read(toy.path().join("got.json")).unwrap()).unwrap();
    assert_eq!(got["alert"], "good");
    let title = std::fs::read_to_string(toy.path().join("title")).unwrap();
    assert_eq!(title.trim(), "a test of alert good: nothing is wrong");
    toy.run(&["alert", "test", "deaf"]).expect(0);
    let bad = toy.run(&["alert", "test", "bad"]).expect(1);
    assert!(
        bad.err.contains("`sh` ended with exit code 7: why it failed"),
        "{bad:#?}"
    );
    let flood = toy.run(&["alert", "test", "flood"]).expect(1);
    assert!(flood.err.contains("ended with exit code 1"), "{}", flood.err.len());
    // What it left behind is ended, and does not hold the message up.
    toy.run(&["alert", "test", "leaves_a_child"]).expect(0);
    let gone = toy.run(&["alert", "test", "gone"]).expect(1);
    assert!(
        gone.err.contains("failed to run `no-such-program`: No such file"),
        "{gone:#?}"
    );
}
