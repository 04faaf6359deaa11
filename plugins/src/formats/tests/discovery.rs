use super::*;

fn paths(files: &[SourceFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

fn error(landing: &Landing, pattern: &str) -> String {
    discover(landing.root(), pattern, &Objects::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn patterns_find_files_in_order() {
    let landing = Landing::with(&[
        ("landing/flights/flights_2013-01-02.csv.gz", b""),
        ("landing/flights/flights_2013-01-01.csv.gz", b"abc"),
        ("landing/flights/.flights_2013-01-03.csv.gz", b""),
        ("landing/flights/notes.txt", b""),
        ("landing/weather/2013/01/weather.csv", b""),
        ("landing/weather/2013/02/weather.csv", b""),
        ("landing/weather/weather.csv", b""),
        ("landing/.hidden/weather.csv", b""),
    ]);
    fs::create_dir(landing.root().join("landing/flights/folder.csv.gz")).unwrap();

    let files = landing.find("landing/flights/*.csv.gz");
    assert_eq!(
        paths(&files),
        [
            "landing/flights/flights_2013-01-01.csv.gz",
            "landing/flights/flights_2013-01-02.csv.gz"
        ]
    );
    assert_eq!((files[0].size, files[1].size), (3, 0));
    assert!(files[0].absolute.is_absolute() && files[0].modified_ns > 0);

    let files = landing.find("landing/flights/flights_{partition}.csv.gz");
    let keys: Vec<_> = files.iter().map(|file| file.partition.as_deref().unwrap()).collect();
    assert_eq!(keys, ["2013-01-01", "2013-01-02"]);

    let weather = [
        "landing/weather/2013/01/weather.csv",
        "landing/weather/2013/02/weather.csv",
        "landing/weather/weather.csv",
    ];
    assert_eq!(paths(&landing.find("landing/**/weather.csv")), weather);
    assert_eq!(paths(&landing.find("**/**/w*.csv")), weather);
    assert_eq!(paths(&landing.find("./landing/weather/201[0-9]/0?/*")), weather[..2]);
    let months = landing.find("landing/weather/2013/{partition}/weather.csv");
    assert_eq!(months[1].partition.as_deref(), Some("02"));
    assert_eq!(paths(&landing.find("landing/weather/weather.csv")), weather[2..]);

    let absolute = format!("{}/landing/weather/*.csv", landing.root().display());
    let elsewhere = Landing::new();
    assert_eq!(
        discover(landing.root(), &absolute, &Objects::default()).unwrap()[0].path,
        "landing/weather/weather.csv"
    );
    let outside = discover(elsewhere.root(), &absolute, &Objects::default()).unwrap();
    assert_eq!(
        outside[0].path,
        format!("{}/landing/weather/weather.csv", landing.root().display())
    );
}

#[test]
fn nothing_found_says_what_is_there() {
    let landing = Landing::with(&[("landing/flights/a.csv", b""), ("landing/flights/b.csv", b"")]);
    assert_eq!(
        error(&landing, "landing/flights/*.csv.gz"),
        "find files: nothing matches `landing/flights/*.csv.gz`; the nearest folder, `landing/flights`, holds 2 \
         entries: a.csv, b.csv"
    );
    assert_eq!(
        error(&landing, "landing/fligths/2013/*.csv"),
        "find files: nothing matches `landing/fligths/2013/*.csv`; the nearest folder, `landing`, holds 1 entry: flights"
    );
    let empty = Landing::new();
    assert!(error(&empty, "*.csv").ends_with("the nearest folder, `.`, is empty"));
}

#[test]
fn patterns_stay_inside_the_project() {
    let outside = Landing::with(&[("secret.csv", b"a\n1\n")]);
    let landing = Landing::with(&[("landing/a.csv", b"a\n1\n")]);
    assert!(error(&landing, "../*.csv").contains("leads out"));
    assert!(error(&landing, "landing/../../x.csv").contains("leads out"));
    std::os::unix::fs::symlink(outside.root(), landing.root().join("link")).unwrap();
    assert!(error(&landing, "link/*.csv").contains("is a link out of the project"));
    assert!(error(&landing, "*/*.csv").contains("is a link out of the project"));
    // `**` passes links by, also those that go in circles.
    std::os::unix::fs::symlink(landing.root(), landing.root().join("landing/circle")).unwrap();
    assert_eq!(paths(&landing.find("**/*.csv")), ["landing/a.csv"]);
    // A link that stays inside is followed, one to nowhere is no file.
    std::os::unix::fs::symlink(landing.root().join("landing/a.csv"), landing.root().join("inside.csv")).unwrap();
    std::os::unix::fs::symlink(landing.root().join("gone"), landing.root().join("nowhere.csv")).unwrap();
    assert_eq!(paths(&landing.find("*.csv")), ["inside.csv"]);
}
