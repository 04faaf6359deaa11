//! Messages by mail.

use super::smtp::Smtp;
use super::world::{Daemon, project, put};

fn alerts(port: u16, to: &str) -> String {
    format!(
        r#"
[alert.mail]
on = ["run_failed", "check_failed"]
mail = {{ server = "127.0.0.1", port = {port}, tls = "none", user = "me", password = {{ env = "PASSWORD" }}, from = "millpond@example.com", to = [{to}] }}
group_wait = "1s"
"#
    )
}

#[test]
fn a_failure_is_mailed_with_what_happened_and_what_to_do() {
    let smtp = Smtp::start();
    let toy = project(&alerts(smtp.port, r#""a@example.com", "b@example.com""#));
    let daemon = Daemon::start(&toy, &[("PASSWORD", "pa55word")]);
    put(&toy, 0);
    toy.run(&["materialize"]).expect(1);
    let mail = smtp.next();
    assert_eq!(mail.from, "millpond@example.com");
    assert_eq!(mail.to, ["a@example.com", "b@example.com"]);
    assert!(mail.login.is_some());
    assert!(
        mail.text.contains("Subject: [toy] gold.quotient: failed\n"),
        "{}",
        mail.text
    );
    assert!(mail.text.contains("Auto-Submitted: auto-generated\n"), "{}", mail.text);
    assert!(mail.text.contains("Message-ID: <msg_"), "{}", mail.text);
    assert!(mail.text.contains("failed: gold.quotient\n"), "{}", mail.text);
    assert!(mail.text.contains("millpond logs run_"), "{}", mail.text);
    daemon.stop();
    toy.sound();
}

#[test]
fn a_mail_that_is_refused_says_what_the_server_said_and_not_the_password() {
    let smtp = Smtp::start();
    let toy = project(&alerts(smtp.port, r#""nobody@example.com""#));
    let refused = toy
        .run_with(&["alert", "test", "mail"], &[("PASSWORD", "pa55word")])
        .expect(1);
    assert!(refused.err.contains("no such user here"), "{refused:#?}");
    assert!(!refused.err.contains("pa55word"));
    // A server that is not there.
    let toy = project(&alerts(1, r#""a@example.com""#));
    let away = toy
        .run_with(&["alert", "test", "mail"], &[("PASSWORD", "pa55word")])
        .expect(1);
    assert!(
        away.err.contains("the mail server `127.0.0.1` did not take it"),
        "{away:#?}"
    );
    assert!(away.err.to_lowercase().contains("refused"), "{away:#?}");
}
