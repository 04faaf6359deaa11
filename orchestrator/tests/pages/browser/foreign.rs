//! A site of somebody else: a small server whose pages are what the test says.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// A server on a port of its own; it answers every request with the same page, for as long as the test runs.
pub struct Foreign {
    pub port: u16,
}

impl Foreign {
    pub fn serve(page: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                // Up to the empty line that ends the head; a browser that goes away meanwhile is no matter.
                for line in head {
                    if line.map_or(true, |line| line.is_empty()) {
                        break;
                    }
                }
                let length = page.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
                )
                .ok();
            }
        });
        Self { port }
    }
}
