//! How a mistake reaches people and programs: colour, columns, JSON.

use assets::files::MemoryFiles;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::cases::PLAIN;
use crate::kinds::TestKinds;

fn load(text: &str) -> assets::Loaded {
    assets::load(
        &MemoryFiles::new()
            .with("millpond.toml", PLAIN)
            .with("assets/a.toml", text),
        &TestKinds,
    )
}

#[test]
fn json_has_places_in_characters() {
    let loaded = load("[asset.a.b]\nkind = \"ingest\"\nfrom.files = { path = \"出発\", nul = 1 }\n");
    assert_eq!(
        loaded.diagnostics.to_json(&loaded.sources),
        json!([{
            "code": "unknown-key",
            "level": "error",
            "message": "unknown key `nul`",
            "file": "assets/a.toml",
            "line": 3,
            "column": 29,
            "end_line": 3,
            "end_column": 32,
            "label": "not a key of a file source",
            "help": "did you mean `null`?",
            "notes": [],
        }])
    );
}

#[test]
fn colour_adds_nothing_but_colour() {
    let loaded = load("[asset.a.b]\nkind = \"ingst\"\n[asset.a.B]\n[asset.a.b]\n");
    let plain = loaded.diagnostics.render(&loaded.sources, false);
    let mut coloured = loaded.diagnostics.render(&loaded.sources, true);
    assert_ne!(plain, coloured);
    while let Some(start) = coloured.find('\x1b') {
        let end = start + coloured[start..].find('m').unwrap();
        coloured.replace_range(start..=end, "");
    }
    assert_eq!(coloured, plain);
}

/// The caret stands under the key, in columns of a terminal, whatever is before it on the line.
#[test]
fn the_caret_stands_under_its_place() {
    for before in [
        "",
        "a = 'x', ",
        "a = '出発', ",
        "a = 'é', ",
        "a = 'e\u{301}', ",
        "\t",
        "a = '👩', ",
        "a = '\u{202e}', ",
    ] {
        let loaded = load(&format!(
            "[asset.a.b]\nkind = \"ingest\"\nfrom.files = {{ path = \"x\", {before}strange = 1 }}\n"
        ));
        let told = loaded.diagnostics.render(&loaded.sources, false);
        let lines: Vec<&str> = told.lines().collect();
        let caret = lines.iter().position(|line| line.contains("^^^^^^^ ")).unwrap();
        let place = lines[caret - 1].find("strange").unwrap();
        assert_eq!(
            lines[caret].find('^').unwrap(),
            lines[caret - 1][..place].width(),
            "{told}"
        );
    }
}
