use super::*;

/// Two assets with known columns; of every other nothing is known.
fn columns_of(asset: &AssetKey) -> Option<Vec<String>> {
    let columns: &[&str] = match asset.as_str() {
        "a.t" => &["id", "x", "y"],
        "a.u" => &["id", "z"],
        _ => return None,
    };
    Some(columns.iter().map(|&column| column.to_owned()).collect())
}

/// One line for each column: `name <- where from (how)`, with `?` if something in it was not found.
fn traced(sql: &str) -> String {
    let origins = column_origins(sql, &columns_of).expect("it is a query");
    let mut lines = Vec::new();
    for origin in &origins.columns {
        let mut words = vec![origin.column.clone(), "<-".to_owned()];
        let from = origin
            .from
            .iter()
            .filter_map(|from| Some(format!("{}.{}", from.asset, from.column.as_ref()?)));
        words.extend(from);
        words.extend(origin.expression.as_ref().map(|expression| format!("({expression})")));
        words.extend((!origin.traced).then(|| "?".to_owned()));
        lines.push(words.join(" "));
    }
    lines.extend(origins.all_of.iter().map(|asset| format!("* <- {asset}")));
    lines.join("\n")
}

#[test]
fn columns_are_traced() {
    for (sql, wanted) in [
        ("SELECT x, t.y AS b FROM a.t", "x <- a.t.x\nb <- a.t.y"),
        ("SELECT a.t.x FROM a.t", "x <- a.t.x"),
        ("SELECT X, \"y\" FROM A.T", "x <- a.t.x\ny <- a.t.y"),
        (
            "SELECT x + y * 2 AS s, 1 AS one FROM a.t",
            "s <- a.t.x a.t.y (x + y * 2)\none <- (1)",
        ),
        ("SELECT * FROM a.t", "id <- a.t.id\nx <- a.t.x\ny <- a.t.y"),
        // Whose columns are not known, but it is alone.
        ("SELECT * FROM b.v", "* <- b.v"),
        ("SELECT p FROM b.v", "p <- b.v.p"),
        ("SELECT v.p, x FROM b.v AS v JOIN a.t ON true", "p <- b.v.p\nx <- a.t.x"),
        ("SELECT p FROM b.v, b.w", "p <- ?"),
        // A name that both have, and a star over a USING.
        (
            "SELECT * FROM a.t JOIN a.u USING (id)",
            "id <- a.t.id\nx <- a.t.x\ny <- a.t.y\nz <- a.u.z",
        ),
        ("SELECT id FROM a.t JOIN a.u USING (id)", "id <- a.t.id a.u.id"),
        (
            "SELECT u.* FROM a.t JOIN a.u ON t.id = u.id",
            "id <- a.u.id\nz <- a.u.z",
        ),
        (
            "SELECT * FROM a.t LEFT SEMI JOIN a.u ON t.id = u.id",
            "id <- a.t.id\nx <- a.t.x\ny <- a.t.y",
        ),
        ("SELECT * EXCLUDE (x) FROM a.t", "id <- a.t.id\ny <- a.t.y"),
        (
            "SELECT * REPLACE (x + 1 AS x) FROM a.u, a.t",
            "id <- a.u.id\nz <- a.u.z\nid <- a.t.id\nx <- a.t.x (x + 1)\ny <- a.t.y",
        ),
        // Through WITH and FROM the expression that made it stays.
        (
            "WITH s AS (SELECT x / y AS share, id FROM a.t) SELECT share, s.id AS k FROM s",
            "share <- a.t.x a.t.y (x / y)\nk <- a.t.id",
        ),
        ("WITH s(k) AS (SELECT id FROM a.t) SELECT k FROM s", "k <- a.t.id"),
        (
            "SELECT q.n FROM (SELECT count(*) AS n, max(x) AS m FROM a.t) AS q",
            "n <- (count(*))",
        ),
        // The nearest WITH name wins, and one that looks like a table does not.
        ("WITH t AS (SELECT z FROM a.u) SELECT t.z FROM t", "z <- a.u.z"),
        (
            "WITH RECURSIVE n AS (SELECT id AS i FROM a.t UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
            "i <- a.t.id (i + 1)",
        ),
        ("SELECT x FROM a.t UNION ALL SELECT z FROM a.u", "x <- a.t.x a.u.z"),
        ("SELECT x FROM a.t EXCEPT SELECT z FROM a.u", "x <- a.t.x"),
        // What is in the value, and not what decides about rows.
        (
            "SELECT x FROM a.t WHERE y > 1 AND EXISTS (SELECT z FROM a.u)",
            "x <- a.t.x",
        ),
        (
            "SELECT EXISTS (SELECT z FROM a.u) AS e FROM a.t",
            "e <- (EXISTS (SELECT z FROM a.u))",
        ),
        (
            "SELECT (SELECT max(z) FROM a.u WHERE u.id = t.id) AS m FROM a.t",
            "m <- a.u.z ((SELECT max(z) FROM a.u WHERE u.id = t.id))",
        ),
        (
            "SELECT (SELECT max(z) + t.x FROM a.u) AS m FROM a.t",
            "m <- a.t.x a.u.z ((SELECT max(z) + t.x FROM a.u))",
        ),
        (
            "SELECT row_number() OVER (PARTITION BY x ORDER BY y) AS n FROM a.t",
            "n <- a.t.x a.t.y (row_number() OVER (PARTITION BY x ORDER BY y))",
        ),
        (
            "SELECT CASE WHEN x > 0 THEN y END AS c FROM a.t",
            "c <- a.t.x a.t.y (CASE WHEN x > 0 THEN y END)",
        ),
        (
            "SELECT $partition_key AS k, nothing FROM a.t",
            "k <- ($partition_key)\nnothing <- ?",
        ),
        ("SELECT g FROM generate_series(1, 3) AS s(g)", "g <-"),
        ("VALUES (1, 2)", "column1 <-\ncolumn2 <-"),
    ] {
        assert_eq!(traced(sql), wanted, "{sql}");
    }
}

#[test]
fn what_doubles_its_columns_again_and_again_is_not_traced() {
    let mut sql = "WITH w0 AS (SELECT * FROM a.t)".to_owned();
    for number in 1..60 {
        sql += &format!(", w{number} AS (SELECT *, * FROM w{})", number - 1);
    }
    sql += " SELECT * FROM w59";
    assert_eq!(column_origins(&sql, &columns_of), None);
    assert_eq!(column_origins("DELETE FROM a.t", &columns_of), None);
    let deep = format!("SELECT {}x{} FROM a.t", "(".repeat(100), ")".repeat(100));
    assert_eq!(column_origins(&deep, &columns_of), None);
}

#[test]
fn a_column_that_is_not_listed_comes_from_the_one_asset_that_is_taken_whole() {
    let origins = column_origins("SELECT *, 1 AS one FROM b.v", &columns_of).unwrap();
    assert_eq!(origins.of("p").unwrap().from[0].asset.as_str(), "b.v");
    assert_eq!(origins.of("one").unwrap().expression.as_deref(), Some("1"));
    let two = column_origins("SELECT * FROM b.v, b.w", &columns_of).unwrap();
    assert_eq!(two.of("p"), None);
}
