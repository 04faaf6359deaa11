//! What is read as a cron, and what each mistake is told as.

use assets::cron::{Cron, MistakeKind};

/// Each mistake as `kind: message | what it is about | help`.
fn told(text: &str) -> Vec<String> {
    let Err(mistakes) = Cron::parse(text) else {
        return vec!["read".to_owned()];
    };
    mistakes
        .iter()
        .map(|mistake| {
            let about = text.get(mistake.at.clone()).expect("bytes of the text");
            let help = mistake.help.as_deref().unwrap_or("-");
            format!("{:?}: {} | {about} | {help}", mistake.kind, mistake.message)
        })
        .collect()
}

#[test]
fn equal_crons_are_equal() {
    for (left, right) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@Yearly", "0 0 1 JAN *"),
        ("@annually", "0 0 1 1 *"),
        ("0 6 * * 1-5", "0 6 * * mon-FRI"),
        ("0 6 * * 7", "0 6 * * 0"),
        ("0 6 * * 5-7", "0 6 * * FRI,SAT,SUN"),
        ("0 6 * * FRI-SUN", "0 6 * * 5,6,0"),
        ("0 6 * * 0-7", "0 6 * * SUN-SAT"),
        ("*/15 * * * *", "0,15,30,45 * * * *"),
        ("0 9-17/4 * * *", "0 9,13,17 * * *"),
        ("  0   6\t* * *  ", "0 6 * * *"),
        ("0 6 1,1,2 * *", "0 6 1-2 * *"),
        ("007 6 * * *", "7 6 * * *"),
    ] {
        let ticks = |text: &str| -> Vec<String> {
            let cron = Cron::parse(text).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
            let zone = jiff::tz::TimeZone::UTC;
            let after = "2026-01-01T00:00:00Z".parse().unwrap();
            assets::cron::Timetable::new(vec![cron], zone, assets::cron::Repeated::First)
                .after(after)
                .take(50)
                .map(|tick| tick.at.to_string())
                .collect()
        };
        assert_eq!(ticks(left), ticks(right), "{left} and {right}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, expected) in [
        (
            "0 0 30 2 *",
            vec![
                "Never: this cron never runs: there is no 30 FEB | 30 2 | for the end of a month run on the 1st of the next: what the month held is complete then",
            ],
        ),
        (
            "0 0 31 4,6 *",
            vec![
                "Never: this cron never runs: there is no 31 APR, no 31 JUN | 31 4,6 | for the end of a month run on the 1st of the next: what the month held is complete then",
            ],
        ),
        (
            "0 0 30 2 */2",
            vec![
                "Never: this cron never runs: there is no 30 FEB | 30 2 | for the end of a month run on the 1st of the next: what the month held is complete then",
            ],
        ),
        (
            "60 * * * *",
            vec!["Range: `60` is no minute | 60 | minutes go from 0 to 59"],
        ),
        (
            "* 24 * * *",
            vec!["Range: `24` is no hour | 24 | hours go from 0 to 23"],
        ),
        (
            "0 0 0 * *",
            vec!["Range: `0` is no day of the month | 0 | days of the month go from 1 to 31"],
        ),
        (
            "0 0 * 13 *",
            vec!["Range: `13` is no month | 13 | months go from 1 to 12"],
        ),
        (
            "0 0 * * 8",
            vec!["Range: `8` is no day of the week | 8 | days of the week go from 0 to 7"],
        ),
        (
            "99999999999999999999 * * * *",
            vec!["Range: `99999999999999999999` is no minute | 99999999999999999999 | minutes go from 0 to 59"],
        ),
        (
            "*/0 * * * *",
            vec!["Range: a step of 0 never moves | 0 | a step is at least 1: `*/15`"],
        ),
        (
            "5-1 * * * *",
            vec!["Range: the range `5-1` runs backwards | 5-1 | write `5-59,0-1`"],
        ),
        (
            "0 22-4 * * *",
            vec!["Range: the range `22-4` runs backwards | 22-4 | write `22-23,0-4`"],
        ),
        (
            "0 0 * * FRI-MON",
            vec!["Range: the range `FRI-MON` runs backwards | FRI-MON | write `FRI-6,0-MON`"],
        ),
        (
            "*/60 * * * *",
            vec![
                "Range: a step of 60 leaves `0` alone: the minutes start anew | 60 | for every so many hours name the hours: `0 */2 * * *`",
            ],
        ),
        (
            "0 */24 * * *",
            vec![
                "Range: a step of 24 leaves `0` alone: the hours start anew | 24 | for every so many days name the days: `0 0 */2 * *`",
            ],
        ),
        (
            "5/15 * * * *",
            vec!["Syntax: `5/15` has a step and nothing to step through | 5/15 | write `5-59/15`"],
        ),
        (
            "*/x * * * *",
            vec!["Syntax: `x` is no step | x | a step is a number: `*/15`"],
        ),
        (
            "*/ * * * *",
            vec!["Syntax: `` is no step | / | a step is a number: `*/15`"],
        ),
        (
            "1,,2 * * * *",
            vec!["Syntax: an entry of the minutes is empty | , | take a comma away"],
        ),
        (
            "-5 * * * *",
            vec!["Syntax: `-5` is no minute | -5 | minutes are numbers from 0 to 59"],
        ),
        (
            "1.5 * * * *",
            vec!["Syntax: `1.5` is no minute | 1.5 | minutes are numbers from 0 to 59"],
        ),
        (
            "0 0 * * MONDAY",
            vec!["Syntax: `MONDAY` is no day of the week | MONDAY | did you mean `MON`?"],
        ),
        (
            "0 0 * Foo *",
            vec!["Syntax: `Foo` is no month | Foo | months are numbers from 1 to 12, or names such as `JAN`"],
        ),
        (
            "0 0 * * Ä",
            vec![
                "Syntax: `Ä` is no day of the week | Ä | days of the week are numbers from 0 to 6, or names such as `SUN`",
            ],
        ),
        (
            "0 0 L * *",
            vec![
                "Syntax: `L` is an extension of other crons and is not read here | L | run on the 1st of the next month: what the month held is complete then",
            ],
        ),
        (
            "0 0 15W * *",
            vec![
                "Syntax: `W` is an extension of other crons and is not read here | 15W | name days of the week: `MON-FRI`",
            ],
        ),
        (
            "0 0 * * MON#1",
            vec![
                "Syntax: `#` is an extension of other crons and is not read here | MON#1 | name the days of the month: the first Monday is one of the days 1 to 7",
            ],
        ),
        (
            "H 0 * * *",
            vec![
                "Syntax: `H` is an extension of other crons and is not read here | H | name a number, and spread the start with `jitter`",
            ],
        ),
        (
            "0 0 ? * MON",
            vec!["Syntax: `?` is an extension of other crons and is not read here | ? | write `*`"],
        ),
        (
            "0 0 6 * * *",
            vec![
                "Fields: a cron has five fields, this one has 6 | 0 0 6 * * * | they are minute, hour, day of the month, month, day of the week; without seconds it is `0 6 * * *`, without a year `0 0 6 * *`",
            ],
        ),
        (
            "0 0 6 * * * 2026",
            vec![
                "Fields: a cron has five fields, this one has 7 | 0 0 6 * * * 2026 | without seconds and year it is `0 6 * * *`",
            ],
        ),
        (
            "0 6 * *",
            vec![
                "Fields: a cron has five fields, this one has 4 | 0 6 * * | they are minute, hour, day of the month, month, day of the week: `0 6 * * MON-FRI`",
            ],
        ),
        (
            "nightly",
            vec![
                "Fields: a cron has five fields, this one has one | nightly | they are minute, hour, day of the month, month, day of the week: `0 6 * * MON-FRI`",
            ],
        ),
        (
            "",
            vec!["Fields: an empty cron |  | a cron has five fields, `0 6 * * MON-FRI`, or is a word such as `@daily`"],
        ),
        (
            "@dayly",
            vec!["Syntax: `@dayly` is no cron | @dayly | did you mean `@daily`?"],
        ),
        (
            "@reboot",
            vec![
                "Syntax: `@reboot` is no cron | @reboot | a schedule has times; what a start of the daemon missed is caught up by `catch_up`",
            ],
        ),
        (
            "@every 0s",
            vec!["Syntax: `@every 0s` is no cron | @every 0s | name the times: `*/5 * * * *` is every five minutes"],
        ),
        // All at once.
        (
            "60 24 * 0 9",
            vec![
                "Range: `60` is no minute | 60 | minutes go from 0 to 59",
                "Range: `24` is no hour | 24 | hours go from 0 to 23",
                "Range: `0` is no month | 0 | months go from 1 to 12",
                "Range: `9` is no day of the week | 9 | days of the week go from 0 to 7",
            ],
        ),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn a_flood_is_refused_at_once() {
    let mistakes = Cron::parse(&"* ".repeat(1_000_000)).unwrap_err();
    assert_eq!(mistakes[0].kind, MistakeKind::TooLong);
    let all: Vec<String> = (0..60).map(|minute| minute.to_string()).collect();
    assert!(Cron::parse(&format!("{} 0-23 1-31 JAN-DEC 0-7", all.join(","))).is_ok());
}

proptest::proptest! {
    /// Whatever is written: an answer, and places within the text.
    #[test]
    fn no_text_is_too_strange(text in "[-*/,0-9a-zA-Z@#?LWH \\t\u{e4}\u{1f600}]{0,40}") {
        if let Err(mistakes) = Cron::parse(&text) {
            proptest::prop_assert!(!mistakes.is_empty());
            for mistake in mistakes {
                proptest::prop_assert!(text.get(mistake.at.clone()).is_some(), "{:?}", mistake);
            }
        }
    }
}
