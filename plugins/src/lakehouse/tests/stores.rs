//! A store that fails, stalls, lies or is slow. Between us and the store of `MILLPOND_S3` stands a proxy that misbehaves on demand:
//! what it lets through is answered by the real store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use assets::outcome::FailureClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the proxy does with the requests that it is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The answer is `503 Slow Down`.
    Busy,
    /// The connection is closed without an answer.
    Closed,
    /// There is no answer.
    Silent,
    /// Uploads are answered with yes and thrown away.
    Lost,
    /// Uploads are cut in half on the way, and answered with yes.
    Halved,
    /// Answers of reads end early.
    Cut,
}

/// A fault, how many requests that it is about are let through before, and how many meet it.
#[derive(Debug, Clone, Copy)]
struct Plan {
    fault: Fault,
    skip: usize,
    times: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            skip: 0,
            times: 0,
        }
    }
}

struct Proxy {
    port: u16,
    fault: Arc<Mutex<Plan>>,
    hit: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (fault, hit) = (Arc::new(Mutex::new(Plan::default())), Arc::new(AtomicUsize::new(0)));
        let store = test_store().expect("MILLPOND_S3 names a store").store.endpoint.unwrap();
        let store = store.strip_prefix("http://").unwrap().to_owned();
        let (faults, hits) = (Arc::clone(&fault), Arc::clone(&hit));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, store.clone(), Arc::clone(&faults), Arc::clone(&hits)));
            }
        });
        Self { port, fault, hit }
    }

    /// The next `times` requests that the fault is about meet it.
    fn set(&self, fault: Fault, times: usize) {
        self.set_after(0, fault, times);
    }

    fn set_after(&self, skip: usize, fault: Fault, times: usize) {
        *self.fault.lock().unwrap() = Plan { fault, skip, times };
        self.hit.store(0, Ordering::Relaxed);
    }

    fn hits(&self) -> usize {
        self.hit.load(Ordering::Relaxed)
    }

    /// A world whose store is reached through this proxy.
    fn world(&self) -> World {
        self.over(World::new())
    }

    fn over(&self, world: World) -> World {
        let test = test_store().unwrap();
        let store = S3Store {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            timeout: Some(Duration::from_secs(1)),
            retry_within: Some(Duration::from_secs(3)),
            ..test.store
        };
        let spool = std::env::temp_dir();
        let warehouse = world.lake.warehouse().to_owned();
        let lake = Lake::connect(&warehouse, &store, Some(Arc::new(test.keys)), &spool).unwrap();
        World { lake, ..world }
    }
}

/// One request of a connection, and its answer.
async fn pass(mut client: TcpStream, store: String, fault: Arc<Mutex<Plan>>, hits: Arc<AtomicUsize>) {
    let Some((head, body)) = read_message(&mut client).await else {
        return;
    };
    let is_upload = head.starts_with(b"PUT ");
    let fault = {
        let mut planned = fault.lock().unwrap();
        let meant = match planned.fault {
            Fault::None => false,
            Fault::Lost | Fault::Halved | Fault::Silent => is_upload,
            Fault::Cut => head.starts_with(b"GET ") && !head.windows(9).any(|part| part == b"list-type"),
            Fault::Busy | Fault::Closed => true,
        };
        if !meant || planned.times == 0 {
            Fault::None
        } else if planned.skip > 0 {
            planned.skip -= 1;
            Fault::None
        } else {
            planned.times -= 1;
            hits.fetch_add(1, Ordering::Relaxed);
            planned.fault
        }
    };
    let yes = b"HTTP/1.1 200 OK\r\nETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = match fault {
        Fault::Busy => b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        Fault::Closed => return,
        Fault::Silent => return std::future::pending().await,
        Fault::Lost => yes.to_vec(),
        Fault::Halved => {
            let test = test_store().unwrap();
            let path = head.split(|byte| *byte == b' ').nth(1).unwrap();
            let path = percent_decoded(std::str::from_utf8(path).unwrap().split('?').next().unwrap());
            let file = test
                .folder
                .join(path.strip_prefix(&format!("/{}/", test.bucket)).unwrap());
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, &body[..body.len() / 2]).unwrap();
            yes.to_vec()
        }
        Fault::None | Fault::Cut => {
            let mut upstream = TcpStream::connect(store).await.unwrap();
            let end = head.len() - 2;
            upstream.write_all(&head[..end]).await.unwrap();
            upstream.write_all(b"Connection: close\r\n\r\n").await.unwrap();
            upstream.write_all(&body).await.unwrap();
            let mut answer = Vec::new();
            upstream.read_to_end(&mut answer).await.ok();
            if fault == Fault::Cut {
                answer.truncate(answer.len() - 10);
            }
            answer
        }
    };
    client.write_all(&answer).await.ok();
    client.shutdown().await.ok();
}

/// Head and body of a request.
async fn read_message(client: &mut TcpStream) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = read.split_off(end);
    let head = String::from_utf8_lossy(&read).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |text| text.parse().unwrap());
    while body.len() < length {
        if client.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((read, body))
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut letters) = (Vec::new(), text.bytes());
    while let Some(letter) = letters.next() {
        bytes.push(match letter {
            b'%' => {
                let digits = [letters.next().unwrap(), letters.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

const COUNT: &str = "SELECT count(*), sum(id) FROM silver.flights";

async fn stage(world: &mut World, rows: i64) -> Result<Vec<(Option<PartitionKey>, StagedTable)>, LakeError> {
    let rows = day(0, 0, rows);
    world
        .stage(Some((&daily(), &["2013-03-01"])), WriteMode::Replace, &[rows])
        .await
}

#[tokio::test]
#[ignore = "needs a store: MILLPOND_S3"]
async fn a_store_that_is_busy_or_closes_connections_is_asked_again() {
    let proxy = Proxy::start().await;
    for fault in [Fault::Busy, Fault::Closed] {
        let mut world = proxy.world();
        // Two refusals of each kind of request on the way of a commit, and of a read.
        proxy.set(fault, 2);
        let staged = stage(&mut world, 100).await.unwrap();
        assert_eq!(proxy.hits(), 2, "{fault:?}");
        proxy.set(fault, 3);
        let members = world.members(&staged);
        world.commit(&members).await;
        assert_eq!(proxy.hits(), 3, "{fault:?}");
        proxy.set(fault, 2);
        assert_eq!(world.row(COUNT).await, ["100", "4950"], "{fault:?}");
        assert_eq!(proxy.hits(), 2, "{fault:?}");
    }
}

#[tokio::test]
#[ignore = "needs a store: MILLPOND_S3"]
async fn a_store_that_says_nothing_fails_the_step_and_nothing_else() {
    let proxy = Proxy::start().await;
    let mut world = proxy.world();
    let staged = stage(&mut world, 10).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    proxy.set(Fault::Silent, usize::MAX);
    let error = stage(&mut world, 100).await.unwrap_err();
    assert_eq!(error.failure().class, FailureClass::Io, "{error}");
    assert!(error.to_string().contains(".parquet`"), "{error}");
    assert!(proxy.hits() > 1, "it was tried again");
    assert_eq!(world.row(COUNT).await, ["10", "45"], "what is published stays as it is");
    // And of a commit: prepared in vain, the pointer not moved.
    proxy.set(Fault::None, 0);
    let staged = stage(&mut world, 100).await.unwrap();
    let members = world.members(&staged);
    proxy.set(Fault::Silent, usize::MAX);
    let error = world.prepare(&members).await.unwrap_err();
    assert_eq!(error.failure().class, FailureClass::Io, "{error}");
    proxy.set(Fault::None, 0);
    assert_eq!(world.row(COUNT).await, ["10", "45"]);
    world.commit(&members).await;
    assert_eq!(world.row(COUNT).await, ["100", "4950"]);
}

#[tokio::test]
#[ignore = "needs a store: MILLPOND_S3"]
async fn a_store_that_says_yes_and_keeps_nothing_is_found_out_before_anything_refers_to_it() {
    let proxy = Proxy::start().await;
    for (fault, said) in [(Fault::Lost, "has nothing"), (Fault::Halved, "bytes and has ")] {
        let mut world = proxy.world();
        proxy.set(fault, usize::MAX);
        let error = stage(&mut world, 100).await.unwrap_err();
        assert_eq!(error.failure().class, FailureClass::Io, "{error}");
        assert!(error.to_string().contains(said), "{error}");
        proxy.set(Fault::None, 0);
        let staged = stage(&mut world, 100).await.unwrap();
        let members = world.members(&staged);
        proxy.set(fault, usize::MAX);
        let error = world.prepare(&members).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs a store: MILLPOND_S3"]
async fn an_answer_that_ends_early_is_no_damaged_file() {
    let proxy = Proxy::start().await;
    let mut world = proxy.world();
    let staged = stage(&mut world, 5000).await.unwrap();
    let members = world.members(&staged);
    world.commit(&members).await;
    // Metadata, manifests, footers and rows come through the proxy: each round one more answer is whole.
    for whole in 0.. {
        let again = World {
            pointer: world.pointer.clone(),
            ..proxy.over(World {
                lake: open_lake(world.lake.warehouse()),
                ..World::new()
            })
        };
        let session = again.session(ScanOptions::default());
        proxy.set_after(whole, Fault::Cut, usize::MAX);
        let read = async {
            let stream = session
                .execute("SELECT sum(delay), max(carrier) FROM silver.flights", &[])
                .await?;
            let rows: Result<Vec<RecordBatch>, _> = stream.try_collect().await;
            rows.map_err(|error| session.read_error(error))
        };
        let read = read.await;
        if proxy.hits() == 0 {
            read.unwrap();
            assert!(whole >= 4, "metadata, list, manifest, footer: {whole} answers");
            return;
        }
        let failure = read.expect_err("an answer was cut").failure;
        assert_eq!(failure.class, FailureClass::Io, "after {whole}: {failure}");
    }
}

#[tokio::test]
#[ignore = "needs a store: MILLPOND_S3"]
async fn large_files_go_up_in_parts_and_come_back_whole() {
    let proxy = Proxy::start().await;
    let mut world = proxy.world();
    let rows = 6_000_000_i64;
    // Numbers that hardly compress: some 48 MB.
    let mut state = 7_u64;
    let mut noise = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 8) as i64
    };
    let batches: Vec<RecordBatch> = (0..60)
        .map(|_| {
            let ids = Int64Array::from_iter_values((0..rows / 60).map(|_| noise()));
            batch(vec![("id", Arc::new(ids) as ArrayRef)])
        })
        .collect();
    let wanted: i64 = batches
        .iter()
        .flat_map(|batch| {
            batch
                .column(0)
                .as_any()
                .downcast_ref::<Int64Array>()
                .unwrap()
                .values()
                .to_vec()
        })
        .fold(0, |sum, id| sum ^ id);
    // A part that fails on the way is sent again.
    proxy.set_after(2, Fault::Closed, 2);
    let staged = world.stage(None, WriteMode::Replace, &batches).await.unwrap();
    assert_eq!(proxy.hits(), 2);
    assert!(staged[0].1.bytes > 40_000_000, "{}", staged[0].1.bytes);
    let members = world.members(&staged);
    world.commit(&members).await;
    let found = world.row("SELECT count(*), bit_xor(id) FROM silver.flights").await;
    assert_eq!(found, [rows.to_string(), wanted.to_string()]);
}
