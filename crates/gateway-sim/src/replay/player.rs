//! The playing itself: one pass over the recorded items.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{Answer, Exchange, Outcome, RECORDED_AUTHORIZATION, Target, Trouble};
use crate::transcript::{Ids, Item, Kind, Side, Transcript};
use crate::wire::frame::{BINARY, Frame, PONG, write_frame};
use crate::wire::{HeadKind, Length, Wire};

/// A far side that says nothing for so long has lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of a followed log that are waited for.
const FOLLOWED: usize = 12;

/// One connection of the client.
struct Connection {
    wire: Wire<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// The exchange that is under way.
    current: usize,
    /// The upgrade was answered with 101.
    upgraded: bool,
}

pub(super) struct Player<'a> {
    transcript: &'a Transcript,
    target: &'a Target,
    ids: &'a mut Ids,
    connections: BTreeMap<u32, Connection>,
    outcome: Outcome,
}

/// Waits, but not for ever.
async fn patiently<T>(what: impl Future<Output = io::Result<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble::Broken(error.kind())),
        Err(_) => Err(Trouble::Silence),
    }
}

impl<'a> Player<'a> {
    pub(super) fn new(transcript: &'a Transcript, target: &'a Target, ids: &'a mut Ids) -> Self {
        let outcome = Outcome { name: transcript.name.clone(), exchanges: Vec::new() };
        Self { transcript, target, ids, connections: BTreeMap::new(), outcome }
    }

    /// Plays all of it.
    pub(super) async fn run(mut self) -> Outcome {
        let transcript = self.transcript;
        for (position, item) in transcript.items.iter().enumerate() {
            let result = match (item.from, &item.kind) {
                (Side::Client, Kind::Request { .. }) => self.send(position, item).await,
                (Side::Rack, Kind::Response { .. }) => self.receive(position, item).await,
                (Side::Client, Kind::Frame(frame)) => self.send_frame(item, frame).await,
                (Side::Rack, Kind::Frame(frame)) => self.receive_frame(position, item, frame).await,
                (Side::Rack, Kind::Close) => self.receive_close(item).await,
                (Side::Client, Kind::Close) => {
                    self.connections.remove(&item.connection);
                    Ok(())
                }
                // Bodies go with their heads.
                (_, Kind::Body { .. } | Kind::Request { .. } | Kind::Response { .. }) => Ok(()),
            };
            if let Err(trouble) = result {
                self.note(item.connection, trouble);
            }
        }
        self.outcome
    }

    /// The exchange of a connection.
    fn exchange(&mut self, connection: u32) -> Option<&mut Exchange> {
        let current = self.connections.get(&connection)?.current;
        self.outcome.exchanges.get_mut(current)
    }

    /// Notes the first trouble of an exchange and gives the connection up.
    fn note(&mut self, connection: u32, trouble: Trouble) {
        if let Some(exchange) = self.exchange(connection) {
            exchange.trouble.get_or_insert(trouble);
        }
        self.connections.remove(&connection);
    }

    /// The body that follows an item on its connection.
    fn body_after(&self, position: usize) -> Option<(bool, &'a [u8])> {
        let items = &self.transcript.items;
        let item: &Item = items.get(position)?;
        let next = items.iter().skip(position + 1).find(|next| next.connection == item.connection)?;
        match &next.kind {
            Kind::Body { chunked, bytes } if next.from == item.from => Some((*chunked, bytes)),
            _ => None,
        }
    }

    async fn send(&mut self, position: usize, item: &Item) -> Result<(), Trouble> {
        let Kind::Request { method, target, headers } = &item.kind else { return Ok(()) };
        let target = self.ids.apply(target.as_bytes());
        let target = String::from_utf8_lossy(&target).into_owned();
        let path = target.strip_prefix(self.transcript.prefix.as_str()).unwrap_or(&target).to_owned();
        let body = self.body_after(position).map(|(chunked, bytes)| (chunked, self.ids.apply(bytes)));
        let message = self.message(method, &path, headers, body);
        self.outcome.exchanges.push(Exchange {
            method: method.clone(),
            target: path,
            recorded: Answer::default(),
            actual: Answer::default(),
            trouble: None,
        });
        let current = self.outcome.exchanges.len() - 1;
        if !self.connections.contains_key(&item.connection) {
            let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(self.target.addr)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    let (reader, writer) = stream.into_split();
                    let wire = Wire::new(reader);
                    self.connections
                        .insert(item.connection, Connection { wire, writer, current, upgraded: false });
                }
                Err(error) => {
                    if let Some(exchange) = self.outcome.exchanges.last_mut() {
                        exchange.trouble = Some(Trouble::Connect(error.kind()));
                    }
                    return Ok(());
                }
            }
        }
        let Some(connection) = self.connections.get_mut(&item.connection) else { return Ok(()) };
        connection.current = current;
        patiently(connection.writer.write_all(&message)).await
    }

    /// The bytes of a request.
    fn message(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<(bool, Vec<u8>)>,
    ) -> Vec<u8> {
        let mut head = format!("{method} {}{path} HTTP/1.1\r\n", self.target.prefix);
        for (name, value) in headers {
            let value = match (name.to_ascii_lowercase().as_str(), &body) {
                ("host", _) => self.target.host.clone(),
                ("origin", _) => format!("http://{}", self.target.host),
                ("authorization", _) if value == RECORDED_AUTHORIZATION => self.target.authorization.clone(),
                ("content-length", Some((_, bytes))) => bytes.len().to_string(),
                _ => value.clone(),
            };
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        match body {
            Some((true, bytes)) => {
                message.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
                message.extend_from_slice(&bytes);
                message.extend_from_slice(b"\r\n0\r\n\r\n");
            }
            Some((false, bytes)) => message.extend_from_slice(&bytes),
            None => {}
        }
        message
    }

    async fn receive(&mut self, position: usize, item: &Item) -> Result<(), Trouble> {
        let Kind::Response { status, headers } = &item.kind else { return Ok(()) };
        let recorded_body = self.body_after(position).map(|(_, bytes)| bytes).unwrap_or_default();
        let Some(connection) = self.connections.get_mut(&item.connection) else { return Ok(()) };
        let actual = patiently(read_answer(connection)).await;
        if let Ok(actual) = &actual {
            self.ids.learn(recorded_body, &actual.body);
        }
        let recorded = Answer {
            status: *status,
            headers: headers.clone(),
            body: self.ids.apply(recorded_body),
            ..Answer::default()
        };
        if let Some(exchange) = self.exchange(item.connection) {
            exchange.recorded = recorded;
            exchange.actual = actual?;
        }
        Ok(())
    }

    async fn send_frame(&mut self, item: &Item, frame: &Frame) -> Result<(), Trouble> {
        match self.connections.get_mut(&item.connection) {
            Some(connection) if connection.upgraded => {
                patiently(write_frame(&mut connection.writer, frame)).await
            }
            _ => Ok(()),
        }
    }

    /// Notes a recorded frame and reads what should come for it. Lines of a build log may come in other frames
    /// than they were recorded in, so they are read when the log ends; a followed log is read for twelve lines.
    async fn receive_frame(&mut self, position: usize, item: &Item, frame: &Frame) -> Result<(), Trouble> {
        let endless = !self.ends(position, item);
        let Some(exchange) = self.exchange(item.connection) else { return Ok(()) };
        let is_log = exchange.target.ends_with("/logs");
        if is_log && endless && exchange.recorded.frames.len() >= FOLLOWED {
            return Ok(());
        }
        exchange.recorded.frames.push(frame.clone());
        if is_log && !endless && frame.opcode != BINARY {
            return Ok(());
        }
        loop {
            let Some(connection) = self.connections.get_mut(&item.connection) else { return Ok(()) };
            if !connection.upgraded {
                return Ok(());
            }
            let frame = patiently(connection.wire.frame()).await?.ok_or(Trouble::Closed)?;
            if frame.opcode == PONG {
                continue;
            }
            let read_on = is_log && !endless && frame.opcode != BINARY;
            if let Some(exchange) = self.exchange(item.connection) {
                exchange.actual.frames.push(frame);
            }
            if !read_on {
                return Ok(());
            }
        }
    }

    /// Whether the recorded rack ends this socket with a binary frame.
    fn ends(&self, position: usize, item: &Item) -> bool {
        let is_end = |later: &&Item| {
            let binary = matches!(&later.kind, Kind::Frame(frame) if frame.opcode == BINARY);
            later.connection == item.connection && later.from == Side::Rack && binary
        };
        self.transcript.items.iter().skip(position).any(|later| is_end(&later))
    }

    /// The recorded rack closed here: so must the far side.
    async fn receive_close(&mut self, item: &Item) -> Result<(), Trouble> {
        let Some(exchange) = self.exchange(item.connection) else { return Ok(()) };
        exchange.recorded.closed = true;
        loop {
            let Some(connection) = self.connections.get_mut(&item.connection) else { return Ok(()) };
            if !connection.upgraded {
                return Ok(());
            }
            match patiently(connection.wire.frame()).await {
                Ok(Some(frame)) => {
                    if let Some(exchange) = self.exchange(item.connection) {
                        exchange.actual.frames.push(frame);
                    }
                }
                Ok(None) | Err(Trouble::Broken(_)) => {
                    if let Some(exchange) = self.exchange(item.connection) {
                        exchange.actual.closed = true;
                    }
                    self.connections.remove(&item.connection);
                    return Ok(());
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}

async fn read_answer(connection: &mut Connection) -> io::Result<Answer> {
    let head = connection.wire.head(HeadKind::Answer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.second.parse().unwrap_or_default();
    let mut body = Vec::new();
    match status {
        101 => connection.upgraded = true,
        204 | 304 => {}
        _ => {
            let length = head.length(Length::UntilClose)?;
            connection.wire.body(length, |piece| body.extend_from_slice(piece)).await?;
        }
    }
    Ok(Answer { status, headers: head.headers, body, ..Answer::default() })
}
