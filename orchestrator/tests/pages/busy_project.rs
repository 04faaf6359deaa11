//! Projects for what is under way: partitions whose names are markup, a program that writes a long log, one that waits.

/// A set of partitions whose names are markup, and a program that writes a long log.
pub const FILES: &[(&str, &str)] = &[
    (
        "millpond.toml",
        r#"
[project]
name = "pond"
timezone = "America/New_York"

[partitions.daily]
every = "day"
start = 2013-01-01
end = 2013-03-31

[partitions.odd]
values = ["<script>alert(1)</script>", "plain"]
"#,
    ),
    (
        "assets/all.toml",
        r#"
[asset.bronze.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT CAST($partition_key AS DATE) AS day, '<img src=x onerror=alert(1)>' AS label, 1.5 AS amount"
checks = [{ name = "no fifth day", sql = "SELECT * FROM this WHERE date_part('day', day) = 5" }]

[asset.silver.days]
kind = "sql"
partitions = { use = "daily", column = "day" }
sql = "SELECT day, amount FROM bronze.days"

[asset.gold.odd]
kind = "sql"
partitions = { use = "odd", column = "name" }
sql = "SELECT $partition_key AS name"

[asset.reports.long]
kind = "command"
command = ["sh", "long.sh"]
"#,
    ),
    (
        "long.sh",
        "i=0\nwhile [ $i -lt 9000 ]; do echo \"line $i <script>alert($i)</script>\"; i=$((i+1)); done\n\
         echo beside it >&2\nprintf '\\033[31mred\\033[0m at the end\\n'\nexit 3\n",
    ),
];

/// A program that writes what it is told, line by line, until it is told nothing more.
pub const WAITING: &[(&str, &str)] = &[
    ("millpond.toml", "[project]\nname = \"pond\"\n"),
    (
        "assets/all.toml",
        "[asset.reports.waiting]\nkind = \"command\"\ncommand = [\"sh\", \"waiting.sh\"]\n",
    ),
    (
        "waiting.sh",
        "echo first line\nwhile read line; do echo \"$line\"; done < more\n",
    ),
];
