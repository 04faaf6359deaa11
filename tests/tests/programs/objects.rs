//! Raw files that are objects of a store, and a sensor that watches for them. The store of `MILLPOND_S3` (`ENDPOINT REGION BUCKET ACCESS_KEY
//! SECRET_KEY FOLDER`) keeps its objects as plain files: whoever writes a file there has uploaded it.

use std::path::PathBuf;

use millpond_tests::program::{Daemon, Project, Said, until};
use serde_json::json;
use tempfile::TempDir;

struct Landing {
    folder: TempDir,
    bucket: String,
    toml: String,
    keys: [String; 2],
}

impl Landing {
    fn new() -> Self {
        let told = std::env::var("MILLPOND_S3").expect("MILLPOND_S3 names a store");
        let words: Vec<&str> = told.split_whitespace().collect();
        let [endpoint, region, bucket, key, secret, folder] = words[..] else {
            panic!("MILLPOND_S3 is ENDPOINT REGION BUCKET ACCESS_KEY SECRET_KEY FOLDER")
        };
        Self {
            folder: TempDir::with_prefix_in("landing", PathBuf::from(folder)).unwrap(),
            bucket: bucket.to_owned(),
            toml: format!(
                "[s3]\nendpoint = \"{endpoint}\"\nregion = \"{region}\"\naccess_key = {{ env = \"LANDING_KEY\" }}\n\
                 secret_key = {{ env = \"LANDING_SECRET\" }}\ntimeout = \"2s\"\nretry_within = \"2s\"\n"
            ),
            keys: [key.to_owned(), secret.to_owned()],
        }
    }

    fn url(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy();
        format!("s3://{}/{name}", self.bucket)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("LANDING_KEY", &self.keys[0]), ("LANDING_SECRET", &self.keys[1])]
    }

    fn project(&self, more: &str) -> Project {
        let toml = format!(
            "[project]\nname = \"objects\"\ntimezone = \"UTC\"\n\n{}\n[partitions.daily]\nevery = \"day\"\nstart = 2026-01-01\n\
             end = 2026-01-03\n\n{more}",
            self.toml
        );
        let assets = format!(
            "[asset.bronze.lines]\nkind = \"ingest\"\nfrom.files = {{ path = \"{url}/in/**/*.csv\" }}\n\n\
             [asset.bronze.days]\nkind = \"ingest\"\nfrom.files = {{ path = \"{url}/days/{{partition}}.csv.gz\" }}\n\
             partitions = {{ use = \"daily\", column = \"day\" }}\n",
            url = self.url()
        );
        Project::new(&[("millpond.toml", &toml), ("assets/a.toml", &assets)])
    }

    fn run(&self, project: &Project, arguments: &[&str]) -> Said {
        project.run_with(arguments, &self.variables())
    }
}

#[test]
#[ignore = "needs a store: MILLPOND_S3"]
fn objects_are_read_as_files_are() {
    let landing = Landing::new();
    let project = landing.project("");
    let url = landing.url();
    let nothing = landing.run(&project, &["materialize", "bronze.lines"]);
    let nothing = nothing.expect(1);
    assert!(nothing.err.contains("nothing matches"), "{}", nothing.err);

    landing.put("in/a.csv", "id,name\n1,a\n2,b\n");
    landing.put("in/deep/er/b 100%.csv", "id,name\n3,c\n");
    landing.put("in/deep/.hidden.csv", "id,name\n9,z\n");
    landing.put("in/notes.txt", "no lines");
    landing.run(&project, &["materialize", "bronze.lines"]).expect(0);
    let rows = || project.row("SELECT count(*) AS n, CAST(sum(id) AS BIGINT) AS ids FROM bronze.lines");
    assert_eq!(rows(), json!({ "n": 3, "ids": 6 }));
    let again = landing.run(&project, &["materialize", "bronze.lines"]).expect(0);
    assert!(again.err.contains("nothing to do"), "{}", again.err);
    let shown = landing.run(&project, &["why", "bronze.lines"]).expect(0);
    assert!(!shown.out.contains("stale"), "{}", shown.out);

    // What a power cut left of the copies is not taken for the objects.
    let copies = project.files(".millpond/objects");
    assert_eq!(copies.len(), 2, "{copies:?}");
    for copy in copies {
        project.write(&format!(".millpond/objects/{copy}"), b"id");
    }
    landing
        .run(&project, &["materialize", "bronze.lines", "--force"])
        .expect(0);
    assert_eq!(rows(), json!({ "n": 3, "ids": 6 }));

    landing.put("in/a.csv", "id,name\n1,a\n2,b\n4,d\n");
    let why = landing.run(&project, &["plan", "bronze.lines"]).expect(0);
    assert!(why.out.contains(&format!("{url}/in/a.csv")), "{}", why.out);
    landing.run(&project, &["materialize", "bronze.lines"]).expect(0);
    assert_eq!(rows(), json!({ "n": 4, "ids": 10 }));

    // A bad row is told of by the object's name and line.
    landing.put("in/c.csv", "id,name\n5,e\n6\n");
    let bad = landing.run(&project, &["materialize", "bronze.lines"]).expect(1);
    assert!(
        bad.err.contains(&format!("{url}/in/c.csv")) && bad.err.contains("line 3"),
        "{}",
        bad.err
    );
    assert_eq!(rows(), json!({ "n": 4, "ids": 10 }));

    // Without keys it says which is missing, and the store is not blamed.
    let keyless = project
        .run_with(&["materialize", "bronze.lines"], &[("LANDING_KEY", "x")])
        .expect(1);
    assert!(keyless.err.contains("LANDING_SECRET"), "{}", keyless.err);
    project.sound();
}

#[test]
#[ignore = "needs a store: MILLPOND_S3"]
fn a_sensor_tells_of_objects_and_the_partition_in_their_names() {
    let landing = Landing::new();
    let sensor = format!(
        "[sensor.landing]\nkind = \"files\"\npath = \"{}/days/{{partition}}.csv.gz\"\nsettle = \"1s\"\nrescan = \"1s\"\nevery = \"1s\"\n\
         select = \"bronze.days\"\n",
        landing.url()
    );
    let project = landing.project(&sensor);
    let daemon = Daemon::start_with(&project, &[], &landing.variables());
    for (day, rows) in [("2026-01-02", 3), ("2026-01-03", 2)] {
        let mut text = "id\n".to_owned();
        (0..rows).for_each(|row| text.push_str(&format!("{row}\n")));
        let path = landing.folder.path().join("days");
        std::fs::create_dir_all(&path).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        std::fs::write(path.join(format!("{day}.csv.gz")), packed.finish().unwrap()).unwrap();
        until("the rows of the new object", || {
            let sql = format!("SELECT count(*) AS n FROM bronze.days WHERE CAST(day AS DATE) = DATE '{day}'");
            let said = project.run(&["--json", "query", &sql]);
            (said.out.trim() == format!("{{\"n\":{rows}}}")).then_some(())
        });
    }
    daemon.stop();
    project.sound();
}
