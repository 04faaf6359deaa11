use std::io::Write;

use super::*;

type Codec = (&'static str, fn(&[u8]) -> Vec<u8>);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const CODECS: [Codec; 4] = [("gz", gzip), ("zst", zst), ("bz2", bzip2), ("xz", xz)];

/// Text that compresses to about half.
fn table(rows: u64) -> String {
    let mut text = String::from("id,name\n");
    for row in 0..rows {
        text.push_str(&format!("{row},n{}\n", row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40));
    }
    text
}

#[test]
fn every_compression_in_several_parts() {
    let text = table(3000);
    let plain = Landing::with(&[("a.csv", text.as_bytes())]);
    let expected = load(&plain.find("a.csv"), &ReadOptions::default()).unwrap();
    assert_eq!(expected.rows.num_rows(), 3000);
    for (extension, encode) in CODECS {
        // Cut inside a row: a row may lie across two members.
        let (first, second) = text.as_bytes().split_at(text.len() / 2 + 1);
        let packed = [encode(first), encode(b""), encode(second)].concat();
        // The name says it, the bytes alone say it, and both.
        for name in [
            format!("a.csv.{extension}"),
            "b.csv".to_owned(),
            format!("C.CSV.{}", extension.to_uppercase()),
        ] {
            let landing = Landing::with(&[(&name, &packed)]);
            let files = landing.find(&name);
            let outcome = load(&files, &ReadOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(outcome.rows, expected.rows, "{name}");
            assert_eq!(outcome.lines, expected.lines, "{name}");
            let [end] = &outcome.finished[..] else { panic!("{name}") };
            assert_eq!((end.rows, end.decompressed), (3000, text.len() as u64), "{name}");
            assert_eq!(end.sha256, content_hash(&files[0]).unwrap(), "{name}");
            assert_eq!(
                end.sha256,
                hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&packed)),
                "{name}"
            );
        }
    }
}

#[test]
fn cut_and_damaged_data_is_never_half_a_table() {
    let text = table(2000);
    for (extension, encode) in CODECS {
        let whole = encode(text.as_bytes());
        let name = format!("a.csv.{extension}");
        for cut in [
            0,
            1,
            7,
            whole.len() / 3,
            whole.len() / 2,
            whole.len() - 9,
            whole.len() - 1,
        ] {
            let landing = Landing::with(&[(&name, &whole[..cut])]);
            match load(&landing.find(&name), &ReadOptions::default()) {
                Err(FormatError::Corrupt {
                    file,
                    offset: Some(offset),
                    ..
                }) => {
                    assert_eq!(file, name);
                    assert!(offset <= cut as u64, "{name} cut at {cut}: {offset}");
                }
                other => panic!("{name} cut at {cut}: {other:?}"),
            }
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x55;
        let mut longer = whole.clone();
        longer.extend_from_slice(b"trailing rubbish");
        for bytes in [damaged, longer] {
            let landing = Landing::with(&[(&name, &bytes)]);
            let error = load(&landing.find(&name), &ReadOptions::default()).unwrap_err();
            // What a decoder lets pass before it notices can be a bad row first.
            assert!(
                matches!(error, FormatError::Corrupt { .. } | FormatError::BadRow(_)),
                "{name}: {error}"
            );
            assert!(error.to_string().contains(&name), "{error}");
        }
    }
}

#[test]
fn wrong_names_and_archives_are_named() {
    let landing = Landing::with(&[
        ("a.csv.gz", b"id\n1\n"),
        ("b.csv", b"PK\x03\x04rest of a zip"),
        ("c.csv.gz", b""),
    ]);
    let error = |name: &str| {
        load(&landing.find(name), &ReadOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert!(error("a.csv.gz").contains("named as gzip but it does not begin like it"));
    assert!(error("b.csv").contains("it is a zip archive; unpack it first"));
    assert!(error("c.csv.gz").contains("the file is empty"));
}

#[test]
fn bombs_are_stopped_early() {
    let zeros = format!("id\n{}", "0\n".repeat(400_000));
    for (extension, encode) in CODECS {
        let name = format!("a.csv.{extension}");
        let landing = Landing::with(&[(&name, &encode(zeros.as_bytes()))]);
        let files = landing.find(&name);
        let mut options = ReadOptions {
            columns: declared(&[("id", "int")]),
            ..ReadOptions::default()
        };

        options.limits.ratio_after = 100_000;
        options.limits.ratio = 20;
        match load(&files, &options) {
            Err(FormatError::Bomb { file, output, .. }) => {
                assert_eq!(file, name);
                assert!(output < 400_000, "{name}: {output} bytes came out first");
            }
            other => panic!("{name}: {other:?}"),
        }
        options.limits = ReadLimits {
            output_bytes: 100_000,
            ..ReadLimits::default()
        };
        assert!(
            matches!(load(&files, &options), Err(FormatError::Bomb { .. })),
            "{name}"
        );
        // A small file may compress as well as it likes.
        options.limits = ReadLimits::default();
        assert_eq!(load(&files, &options).unwrap().rows.num_rows(), 400_000, "{name}");
    }
}

#[test]
fn decoders_do_not_get_any_memory_they_ask_for() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(table(2000).as_bytes()).unwrap();
    let landing = Landing::with(&[
        ("a.csv.zst", &encoder.finish().unwrap()),
        ("a.csv.xz", &xz(table(10).as_bytes())),
    ]);
    let mut options = ReadOptions::default();
    for name in ["a.csv.zst", "a.csv.xz"] {
        options.limits.decoder_memory = 256 << 20;
        load(&landing.find(name), &options).unwrap();
        options.limits.decoder_memory = 1 << 16;
        assert!(
            matches!(load(&landing.find(name), &options), Err(FormatError::Corrupt { .. })),
            "{name}"
        );
    }
}
