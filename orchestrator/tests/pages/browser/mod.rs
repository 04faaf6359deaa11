//! A real browser, driven over its own pipe: what pages do with JavaScript, at three widths, in both themes.
//!
//! Second tier: `MILLPOND_CHROMIUM=chromium MILLPOND_AXE=axe.min.js cargo test --workspace --test pages -- --ignored`. Screenshots of
//! every page are left in the temporary folder of the target folder (`target/tmp/pages`).

mod accessibility;
mod attacks;
mod driven;
mod everywhere;
mod foreign;
mod keys;
mod live;
mod log;
mod query;

use driven::Browser;

const THEMES: [&str; 2] = ["light", "dark"];
const WIDTHS: [u32; 3] = [400, 900, 1280];
