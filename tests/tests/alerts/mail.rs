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

#[test]
#[ignore = "needs Python with aiosmtpd: MILLPOND_PYTHON=…/bin/python"]
fn a_mail_server_of_others_takes_the_mail_as_it_is() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let python = std::env::var("MILLPOND_PYTHON").expect("MILLPOND_PYTHON names a Python with aiosmtpd");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = format!(
        "import email, sys\nfrom email import policy\nfrom aiosmtpd.controller import Controller\n\
         class Take:\n    async def handle_DATA(self, server, session, envelope):\n        \
         mail = email.message_from_bytes(envelope.content, policy=policy.default)\n        \
         print('|'.join([envelope.mail_from, ','.join(envelope.rcpt_tos), mail['subject'], mail['message-id'], \
         str(len(mail.defects)), mail.get_content().splitlines()[0]]), flush=True)\n        return '250 taken'\n\
         controller = Controller(Take(), hostname='127.0.0.1', port={port})\ncontroller.start()\n\
         print('ready', flush=True)\nsys.stdin.read()\n"
    );
    let mut child = Command::new(python)
        .args(["-c", &server])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let toy = project(&format!(
        "[alert.mail]\nmail = {{ server = \"127.0.0.1\", port = {port}, tls = \"none\", from = \"m@example.com\", \
         to = [\"a@example.com\", \"b@example.com\"] }}\n"
    ));
    toy.run(&["alert", "test", "mail"]).expect(0);
    let said = lines.next().unwrap().unwrap();
    let parts: Vec<&str> = said.split('|').collect();
    assert_eq!(
        parts[..3],
        [
            "m@example.com",
            "a@example.com,b@example.com",
            "[toy] a test of alert mail: nothing is wrong"
        ]
    );
    assert!(parts[3].starts_with("<msg_"), "{said}");
    assert_eq!(parts[4..], ["0", "a test of alert mail: nothing is wrong"]);
    // Its input closes, and it ends.
    drop(child.stdin.take());
    child.wait().unwrap();
}
