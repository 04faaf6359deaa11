//! A message by mail: plain text, handed to the mail server that the alert names (SMTP).

use std::time::Duration;

use assets::alert::{Mail, MailTls};
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::super::clock;
use super::super::secrets::{Secret, hide, look_up};
use super::Letter;
use super::words;

/// How long the server may take for one step of the conversation.
const LONGEST: Duration = Duration::from_secs(20);

pub(super) async fn send(to: &Mail, letter: &Letter) -> Result<(), String> {
    let password = match &to.login {
        Some((_, password)) => Some(
            look_up(password, &letter.root)
                .await
                .map_err(|error| error.to_string())?,
        ),
        None => None,
    };
    let mail = write(to, letter)?;
    let transport = match to.tls {
        MailTls::StartTls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&to.server),
        MailTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(&to.server),
        MailTls::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&to.server)),
    };
    let mut transport = transport
        .map_err(|error| format!("failed to prepare for mail: {error}"))?
        .port(to.port)
        .timeout(Some(LONGEST));
    if let (Some((user, _)), Some(password)) = (&to.login, &password) {
        transport = transport.credentials(Credentials::new(user.clone(), password.value().to_owned()));
    }
    match transport.build().send(mail).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let secrets: Vec<&Secret> = password.iter().collect();
            Err(hide(&told(&error, to), &secrets))
        }
    }
}

fn told(error: &lettre::transport::smtp::Error, to: &Mail) -> String {
    let server = &to.server;
    let mut causes = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if causes.iter().all(|known| !known.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    format!("the mail server `{server}` did not take it: {}", causes.join(": "))
}

fn write(to: &Mail, letter: &Letter) -> Result<Message, String> {
    let wrong = |what: &str| format!("the mail cannot be written: {what}");
    let address = |text: &str| {
        let address: Result<Address, _> = text.parse();
        address.map_err(|error| wrong(&format!("`{text}`: {error}")))
    };
    let message = &letter.message;
    let mut mail = Message::builder()
        .from(Mailbox::new(
            Some(format!("Millpond {}", letter.project)),
            address(&to.from)?,
        ))
        .subject(words::subject(letter))
        // The same at every try, so that mail that comes twice is one mail to its reader.
        .message_id(Some(format!("<{}@millpond.invalid>", message.id)))
        .date(std::time::UNIX_EPOCH + Duration::from_micros(clock::now().unsigned_abs()))
        .header(ContentType::TEXT_PLAIN);
    for receiver in &to.to {
        mail = mail.to(Mailbox::new(None, address(receiver)?));
    }
    let mut mail = mail
        .body(words::text(letter))
        .map_err(|error| wrong(&error.to_string()))?;
    // Machines do not answer machines (RFC 3834).
    let automatic = HeaderName::new_from_ascii("Auto-Submitted".to_owned()).expect("a plain name");
    let generated = HeaderValue::new(automatic, "auto-generated".to_owned());
    mail.headers_mut().insert_raw(generated);
    Ok(mail)
}
