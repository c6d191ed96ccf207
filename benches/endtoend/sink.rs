//! The receiver, as a process of its own: the least HTTP that answers 200, so that it takes little of the two cores.
//!
//! It knows each message by its `webhook-id`, and how late it is by the time of emission that its text carries.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::micros;

/// Before the microseconds of the epoch at which a message was emitted.
pub const EMITTED: &str = "emitted=";

#[derive(Default)]
struct Seen {
    posts: u64,
    ids: HashMap<u64, u32>,
    late: Vec<u64>,
    last_at: u64,
    body: Vec<u8>,
}

/// Serves until it is killed; says its port first.
pub fn run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    println!("{}", listener.local_addr().expect("it is bound").port());
    let seen = Arc::new(Mutex::new(Seen::default()));
    for stream in listener.incoming().flatten() {
        let seen = Arc::clone(&seen);
        thread::spawn(move || serve(stream, &seen));
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut filled) = (vec![0_u8; 256 * 1024], 0);
    loop {
        let Some(head) = find(&buffer[..filled], b"\r\n\r\n") else {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) | Err(_) => return,
                Ok(n) => filled += n,
            }
            continue;
        };
        let body_at = head + 4;
        let length = header(&buffer[..head], b"content-length: ").and_then(|v| v.parse().ok()).unwrap_or(0);
        while filled < body_at + length {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) | Err(_) => return,
                Ok(n) => filled += n,
            }
        }
        let (head, body) = (&buffer[..head], &buffer[body_at..body_at + length]);
        let answer = if head.starts_with(b"POST") { take(head, body, seen) } else { tell(head, seen) };
        let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
        buffer.copy_within(body_at + length..filled, 0);
        filled -= body_at + length;
    }
}

fn take(head: &[u8], body: &[u8], seen: &Mutex<Seen>) -> String {
    let now = micros();
    let mut id = DefaultHasher::new();
    header(head, b"webhook-id: ").unwrap_or_default().hash(&mut id);
    let emitted = find(body, EMITTED.as_bytes()).map(|at| at + EMITTED.len());
    let emitted =
        emitted.and_then(|at| std::str::from_utf8(body.get(at..at + 16)?).ok()?.parse::<u64>().ok());
    let mut seen = seen.lock().expect("no thread panics with it");
    seen.posts += 1;
    *seen.ids.entry(id.finish()).or_default() += 1;
    seen.late.extend(emitted.map(|at| now.saturating_sub(at)));
    seen.last_at = now;
    if seen.posts.is_multiple_of(1000) || seen.body.is_empty() {
        seen.body = body.to_vec();
    }
    String::new()
}

/// `GET /`: what was seen since the last `GET /reset`. `GET /body`: one body.
fn tell(head: &[u8], seen: &Mutex<Seen>) -> String {
    let mut seen = seen.lock().expect("no thread panics with it");
    if head.starts_with(b"GET /reset") {
        *seen = Seen::default();
    }
    if head.starts_with(b"GET /body") {
        return String::from_utf8_lossy(&seen.body).into_owned();
    }
    let mut answer = json!({"posts": seen.posts, "unique": seen.ids.len(), "last_at": seen.last_at});
    if head.starts_with(b"GET /latency") {
        seen.late.sort_unstable();
        let at = |p: f64| seen.late.get((seen.late.len() as f64 * p) as usize).copied().unwrap_or(0);
        answer["p50_us"] = at(0.5).into();
        answer["p99_us"] = at(0.99).into();
    }
    answer.to_string()
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|w| w == what)
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let lower = head.to_ascii_lowercase();
    let from = find(&lower, name)? + name.len();
    let rest = head.get(from..)?;
    let to = find(rest, b"\r\n").unwrap_or(rest.len());
    std::str::from_utf8(&rest[..to]).ok()
}

/// The sink's process, as seen from the driver.
pub struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    pub fn start() -> Self {
        let exe = std::env::current_exe().expect("this program has a file");
        let mut child =
            Command::new(exe).arg("sink").stdout(Stdio::piped()).spawn().expect("it starts again");
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut out, &mut line).expect("it says its port");
        Sink { child, port: line.trim().parse().expect("a port") }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn ask(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).expect("the sink speaks JSON")
    }

    pub fn text(&self, path: &str) -> String {
        crate::forward::get(self.port, path).expect("the sink answers")
    }

    /// Messages with an id of their own.
    pub fn unique(&self) -> u64 {
        self.ask("/")["unique"].as_u64().unwrap_or(0)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
