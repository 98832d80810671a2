//! What goes over the socket between an instance and `panoptes tail`.
//!
//! # Format, version 1
//!
//! The instance begins with 36 bytes: `PTL1` and a random number of 32 bytes, the *session*. All else are frames: their
//! length (u32, little-endian, at most [`FRAME_BYTES_MAX`]) and a JSON [`Message`], sealed ([`ValueSealer`]) under a key
//! that is derived from the data folder's for `panoptes tail v1`. Sealed with it are the session, the direction (`c` or
//! `s`) and the number of the frame in its direction (u64, little-endian): a frame opens only in its place, so that
//! nobody without the key can ask, read, or play anything again.
//!
//! The client sends one [`Message::Ask`]; the instance answers with [`Message::Refused`], or [`Message::Begun`] and then
//! events as they come.

use std::io::{self, Read, Write};

use panoptes_seal::{KeyEncryptionKey, SealError, ValueSealer};
use serde::{Deserialize, Serialize};

/// How long a frame may be; a longer one ends the connection.
const FRAME_BYTES_MAX: usize = 32 << 20;
const MAGIC: [u8; 4] = *b"PTL1";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    Ask {
        query: String,
    },
    Refused {
        problem: String,
    },
    Begun,
    /// Events as JSON objects, and how many were lost before them.
    Events {
        events: Vec<Box<serde_json::value::RawValue>>,
        dropped: u64,
    },
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection ended")]
    Ended(#[source] io::Error),
    #[error("the other side speaks another version; use the same binary")]
    Version,
    #[error("the other side has another key")]
    Key(#[source] SealError),
    #[error("what came is no message")]
    Message(#[source] serde_json::Error),
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
}

pub(crate) struct Wire<S> {
    stream: S,
    sealer: ValueSealer,
    session: [u8; 32],
    is_client: bool,
    sent: u64,
    received: u64,
}

impl<S: Read + Write> Wire<S> {
    /// The instance's side; `session` must be random.
    pub(crate) fn serve(mut stream: S, key: &KeyEncryptionKey, session: [u8; 32]) -> Result<Self, WireError> {
        let mut head = [0; 36];
        let (magic, rest) = head.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        rest.copy_from_slice(&session);
        stream.write_all(&head).map_err(WireError::Ended)?;
        Ok(Self::new(stream, key, session, false))
    }

    /// The other side.
    pub(crate) fn join(mut stream: S, key: &KeyEncryptionKey) -> Result<Self, WireError> {
        let mut magic = [0; 4];
        let mut session = [0; 32];
        stream.read_exact(&mut magic).map_err(WireError::Ended)?;
        stream.read_exact(&mut session).map_err(WireError::Ended)?;
        if magic != MAGIC {
            return Err(WireError::Version);
        }
        Ok(Self::new(stream, key, session, true))
    }

    fn new(stream: S, key: &KeyEncryptionKey, session: [u8; 32], is_client: bool) -> Self {
        let sealer = ValueSealer::new(&key.derive("panoptes tail v1"));
        Self { stream, sealer, session, is_client, sent: 0, received: 0 }
    }

    fn place(&self, from_client: bool, number: u64) -> Vec<u8> {
        [self.session.as_slice(), if from_client { b"c" } else { b"s" }, &number.to_le_bytes()].concat()
    }

    pub(crate) fn send(&mut self, message: &Message) -> Result<(), WireError> {
        let plain = serde_json::to_vec(message).map_err(WireError::Message)?;
        let place = self.place(self.is_client, self.sent);
        let sealed = self.sealer.seal(&plain, &place).map_err(WireError::Key)?;
        if sealed.len() > FRAME_BYTES_MAX {
            return Err(WireError::TooLong(sealed.len()));
        }
        self.sent += 1;
        let length = (sealed.len() as u32).to_le_bytes();
        self.stream.write_all(&length).and_then(|()| self.stream.write_all(&sealed)).map_err(WireError::Ended)?;
        self.stream.flush().map_err(WireError::Ended)
    }

    pub(crate) fn receive(&mut self) -> Result<Message, WireError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(WireError::Ended)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(WireError::TooLong(length));
        }
        let mut sealed = Vec::new();
        // Grows as bytes come: the length alone takes no memory.
        (&mut self.stream).take(length as u64).read_to_end(&mut sealed).map_err(WireError::Ended)?;
        if sealed.len() < length {
            return Err(WireError::Ended(io::ErrorKind::UnexpectedEof.into()));
        }
        let place = self.place(!self.is_client, self.received);
        let plain = self.sealer.open(&sealed, &place).map_err(WireError::Key)?;
        self.received += 1;
        serde_json::from_slice(&plain).map_err(WireError::Message)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn ask() -> Message {
        Message::Ask { query: "a".to_owned() }
    }

    fn pair(client: u8, session: u8) -> (Wire<UnixStream>, Wire<UnixStream>) {
        let (here, there) = UnixStream::pair().unwrap();
        let server = Wire::serve(here, &KeyEncryptionKey::from_bytes([1; 32]), [session; 32]).unwrap();
        (server, Wire::join(there, &KeyEncryptionKey::from_bytes([client; 32])).unwrap())
    }

    #[test]
    fn messages_go_both_ways_in_order() {
        let (mut server, mut client) = pair(1, 7);
        for _ in 0..2 {
            client.send(&ask()).unwrap();
            assert!(matches!(server.receive(), Ok(Message::Ask { query }) if query == "a"));
            server.send(&Message::Begun).unwrap();
            assert!(matches!(client.receive(), Ok(Message::Begun)));
        }
    }

    #[test]
    fn nobody_without_the_key_is_heard() {
        let (mut server, mut client) = pair(2, 7);
        client.send(&ask()).unwrap();
        assert!(matches!(server.receive(), Err(WireError::Key(_))));
    }

    #[test]
    fn what_was_said_once_counts_only_once_and_only_there() {
        let (mut server, mut client) = pair(1, 7);
        let place = client.place(true, 0);
        let sealed = client.sealer.seal(&serde_json::to_vec(&ask()).unwrap(), &place).unwrap();
        for _ in 0..2 {
            client.stream.write_all(&(sealed.len() as u32).to_le_bytes()).unwrap();
            client.stream.write_all(&sealed).unwrap();
        }
        assert!(server.receive().is_ok());
        assert!(matches!(server.receive(), Err(WireError::Key(_))), "played again");
        let (mut other, mut later) = pair(1, 8);
        later.stream.write_all(&(sealed.len() as u32).to_le_bytes()).unwrap();
        later.stream.write_all(&sealed).unwrap();
        assert!(matches!(other.receive(), Err(WireError::Key(_))), "in another session");
    }

    #[test]
    fn lengths_are_bounded_and_torn_frames_end_it() {
        let (mut server, mut client) = pair(1, 7);
        client.stream.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(matches!(server.receive(), Err(WireError::TooLong(_))));
        let (mut server, mut client) = pair(1, 7);
        client.stream.write_all(&[9, 0, 0, 0, 1]).unwrap();
        drop(client);
        assert!(matches!(server.receive(), Err(WireError::Ended(_))));
    }
}
