//! Messages between the daemon and its workers: JSON, each after its length in four bytes, little end first.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest message. A step's staged files and samples take kilobytes; more is a sign that the pipe holds something else.
const LONGEST: u32 = 256 << 20;

/// Reads one message; `None` at the end of the pipe.
pub async fn read<T: DeserializeOwned>(pipe: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let length = match pipe.read_u32_le().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > LONGEST {
        let message = format!("a message claims {length} bytes: something else was written to the pipe");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut bytes = vec![0; length as usize];
    pipe.read_exact(&mut bytes).await?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads one message and waits for it; `None` at the end of the pipe.
pub fn read_now<T: DeserializeOwned>(pipe: &mut impl io::Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match pipe.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "something else than a message was written to the pipe",
        ));
    }
    let mut bytes = vec![0; length as usize];
    pipe.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes one message.
pub async fn write(pipe: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let bytes = encode(message);
    pipe.write_all(&bytes).await?;
    pipe.flush().await
}

/// One message with its length.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).expect("messages are plain records, which have a JSON form");
    let length = u32::try_from(bytes.len() - 4).expect("no message comes near four gigabytes");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_back_in_order_and_the_end_is_the_end() {
        let mut pipe = Vec::new();
        for message in ["a", "", "ü"] {
            write(&mut pipe, &message).await.unwrap();
        }
        let mut reader = pipe.as_slice();
        let mut found = Vec::new();
        while let Some(message) = read::<String>(&mut reader).await.unwrap() {
            found.push(message);
        }
        assert_eq!(found, ["a", "", "ü"]);
        let cut = &pipe[..6];
        assert!(
            read::<String>(&mut &cut[..4]).await.is_err(),
            "half a message is an error, not the end"
        );
    }

    #[tokio::test]
    async fn text_on_the_pipe_is_told_from_a_message() {
        let error = read::<String>(&mut &b"hello, I am a library that prints"[..])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("something else was written"));
    }
}
