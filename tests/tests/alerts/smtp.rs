//! A small mail server (RFC 5321): it takes mail for some, and refuses it for others.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use millpond_tests::program::PATIENCE;

/// One mail that was taken.
#[derive(Debug, Default, Clone)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub login: Option<String>,
    pub text: String,
}

/// The server; it ends with the test.
pub struct Smtp {
    pub port: u16,
    got: Receiver<Mail>,
}

impl Smtp {
    /// Mail for an address that begins with `nobody` is refused.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (send, got) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let send = send.clone();
                std::thread::spawn(move || talk(&stream, &send));
            }
        });
        Self { port, got }
    }

    #[track_caller]
    pub fn next(&self) -> Mail {
        self.got.recv_timeout(PATIENCE).expect("a mail comes")
    }
}

fn talk(mut stream: &TcpStream, send: &Sender<Mail>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut mail = Mail::default();
    let mut say = |text: &str| write!(stream, "{text}\r\n").is_ok();
    say("220 test ESMTP");
    while let Some(line) = lines.next() {
        let address = || {
            line.split_once('<')
                .and_then(|(_, rest)| Some(rest.split_once('>')?.0.to_owned()))
        };
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let goes_on = match verb.as_str() {
            "EHLO" => say("250-test") && say("250-AUTH PLAIN LOGIN") && say("250 8BITMIME"),
            "AUTH" => {
                mail.login = line.split(' ').nth(2).map(str::to_owned);
                say("235 2.7.0 welcome")
            }
            "MAIL" => {
                mail.from = address().unwrap_or_default();
                say("250 2.1.0 ok")
            }
            "RCPT" => match address().unwrap_or_default() {
                to if to.starts_with("nobody") => say("550 5.1.1 no such user here"),
                to => {
                    mail.to.push(to);
                    say("250 2.1.5 ok")
                }
            },
            "DATA" => {
                say("354 go on");
                for line in lines.by_ref().take_while(|line| line != ".") {
                    mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.text.push('\n');
                }
                send.send(std::mem::take(&mut mail)).ok();
                say("250 2.0.0 taken")
            }
            "QUIT" => {
                say("221 2.0.0 bye");
                false
            }
            _ => say("250 2.0.0 ok"),
        };
        if !goes_on {
            return;
        }
    }
}
