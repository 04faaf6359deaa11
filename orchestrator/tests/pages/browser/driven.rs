//! A browser with one tab, driven over its own pipe.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A browser with one tab; it ends with the value.
pub struct Browser {
    child: Child,
    orders: File,
    answers: BufReader<File>,
    last: u64,
    session: Option<String>,
    /// Documents that are loaded whole, with their scripts run.
    loaded: HashSet<String>,
    still: bool,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A browser with more arguments than it always has.
    pub fn with(arguments: &[&str]) -> Self {
        let program = std::env::var("MILLPOND_CHROMIUM").expect("MILLPOND_CHROMIUM names a Chromium");
        let profile = tempfile::tempdir().unwrap();
        let (orders, answers) = (profile.path().join("orders"), profile.path().join("answers"));
        for pipe in [&orders, &answers] {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        // The browser takes orders from its third pipe and answers on its fourth.
        let child = Command::new("sh")
            .args(["-c", "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"", "sh"])
            .args([&orders, &answers])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
            ])
            .args(arguments)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each end waits for the other, in this order on both sides.
        let orders = File::options().write(true).open(orders).unwrap();
        let answers = BufReader::new(File::open(answers).unwrap());
        let mut browser = Self {
            child,
            orders,
            answers,
            last: 0,
            session: None,
            loaded: HashSet::new(),
            still: false,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", &json!({}));
        browser.call("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }));
        browser.call("Runtime.enable", &json!({}));
        let watch = "window.alert = (text) => { window.alerted = text || true; };";
        browser.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": watch }));
        browser
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            order["sessionId"] = session.clone().into();
        }
        self.orders.write_all(order.to_string().as_bytes()).unwrap();
        self.orders.write_all(&[0]).unwrap();
        self.last
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers.read_until(0, &mut bytes).unwrap();
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes).expect("the browser is there and speaks JSON");
        if message["method"] == "Page.lifecycleEvent" && message["params"]["name"] == "load" {
            let document = message["params"]["loaderId"].as_str().unwrap();
            self.loaded.insert(document.to_owned());
        }
        message
    }

    /// What an order came to: its result, or its error.
    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        loop {
            let mut message = self.message();
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].take()),
                };
            }
        }
    }

    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.answer(method, params)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Opens an address and waits until this very document is loaded, with its scripts run.
    pub fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", &json!({ "url": url }));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        let document = answer["loaderId"].as_str().expect("another document").to_owned();
        while !self.loaded.contains(&document) {
            self.message();
        }
    }

    /// The value of an expression in the page, or the browser's error if the page went away meanwhile.
    fn evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.answer("Runtime.evaluate", &asked)?;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        Ok(answer["result"]["value"].clone())
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until something holds in the page, or in the one that it leads to.
    pub fn until(&mut self, condition: &str) {
        let watch = format!(
            "new Promise((done, fail) => {{
                const end = Date.now() + 30000;
                const look = () => ({condition}) ? done(true) : Date.now() > end ? fail(document.body.innerText) : setTimeout(look, 20);
                look();
            }})"
        );
        // A page that is left takes the question along; the next one is asked again.
        const PAGES: usize = 5;
        for left in (0..PAGES).rev() {
            match self.evaluate(&watch) {
                Ok(held) => return assert_eq!(held, true, "{condition}"),
                Err(error) => assert!(left > 0, "{condition}: {error}"),
            }
        }
    }

    pub fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        let code = json!({ "type": "keyDown", "key": key, "text": text });
        self.call("Input.dispatchKeyEvent", &code);
        self.call("Input.dispatchKeyEvent", &json!({ "type": "keyUp", "key": key }));
    }

    pub fn width(&mut self, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    pub fn theme(&mut self, theme: &str) {
        let motion = if self.still { "reduce" } else { "no-preference" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// From now on nothing moves on pages.
    pub fn still(&mut self) {
        self.still = true;
        self.theme("light");
    }

    pub fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(shot["data"].as_str().unwrap())
            .unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}
