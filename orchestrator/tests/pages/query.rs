//! The query console and its files.

use super::busy_project::FILES;
use super::daemon::{Daemon, run_in};
use super::project::has;

#[test]
fn queries_answer_as_tables_drawings_and_files_and_change_nothing() {
    let daemon = Daemon::with(FILES);
    let run = run_in(&daemon.press(
        "/runs",
        "selection=silver.days+or+bronze.days&from=2013-01-01&to=2013-01-04",
    ));
    daemon.ended(&run);
    let form = daemon.form_token();
    let ask = |sql: &str| daemon.post(&format!("/query?form={form}"), &format!("sql={sql}"));
    let rows = ask("SELECT+day,+label,+amount+FROM+bronze.days+ORDER+BY+day");
    assert_eq!(rows.status, 200, "{}", rows.body);
    for fact in [
        "4 rows in",
        "2013-01-04",
        "&lt;img src=x onerror=alert(1)&gt;",
        "class=\"chart\"",
        "<td class=\"number\">1.5",
    ] {
        assert!(has(&rows.body, fact), "{fact}:\n{}", rows.body);
    }
    assert!(!rows.body.contains("<img src=x"));
    let cases = [
        ("SELECT+x%0AFROM+bronze.days", "x\n"),
        ("SELECT+amout+FROM+bronze.days", "did you mean"),
        ("SELECT+*+FROM+bronze.dais", "there is no table"),
        ("DROP+TABLE+bronze.days", "a query may only read"),
        ("", "there is no query"),
    ];
    for (sql, wanted) in cases {
        let answer = ask(sql);
        assert!(
            answer.status == 200 && has(&answer.body, wanted),
            "{sql} does not say {wanted}:\n{}",
            answer.body
        );
    }
    let past = daemon.post(&format!("/query?form={form}"), "sql=SELECT+1&as_of=last+week");
    assert!(
        has(&past.body, "neither a time, nor a snapshot id, nor a tag"),
        "{}",
        past.body
    );
    let past = daemon.post(
        &format!("/query?form={form}"),
        "sql=SELECT+count(*)+FROM+bronze.days&as_of=2001-01-01",
    );
    assert!(
        has(&past.body, "class=\"fault\""),
        "no version is so old: {}",
        past.body
    );

    let (head, csv) = daemon.bytes("/query/csv", "sql=SELECT+day,+amount+FROM+silver.days+ORDER+BY+day");
    let csv = String::from_utf8(csv).unwrap();
    assert!(head.contains("attachment; filename=\"result.csv\""), "{head}");
    assert!(csv.contains("day,amount") && csv.contains("2013-01-01,1.5"), "{csv}");
    let (head, parquet) = daemon.bytes("/query/parquet", "sql=SELECT+day+FROM+silver.days");
    assert!(
        head.contains("result.parquet") && parquet.windows(4).filter(|part| part == b"PAR1").count() == 2,
        "{head}"
    );
    let (head, wrong) = daemon.bytes("/query/csv", "sql=SELECT+nothing+FROM+silver.days");
    assert!(
        head.starts_with("HTTP/1.1 422") && String::from_utf8_lossy(&wrong).contains("nothing"),
        "{head}"
    );

    let names = daemon.json("/api/v1/query/names");
    assert!(
        names["tables"].as_array().unwrap().contains(&"silver.days".into()),
        "{names}"
    );
    let columns = daemon.json("/api/v1/query/names?table=silver.days");
    assert_eq!(columns["columns"]["day"], "Date32", "{columns}");
}
