//! Environments whose merge is refused, is asked for twice, or broke off.

use millpond_tests::program::Daemon;

use super::environments::{ASSETS, changed, edit, made, production, refused, total, within};

#[test]
fn a_merge_is_refused_where_production_moved_underneath() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    edit(&project, 100);
    within(&project, "a", &["materialize", "--force"]).expect(0);
    within(&project, "a", &["promote", "models.m", "2", "best"]).expect(0);

    // Somebody else was quicker.
    project
        .run(&["materialize", "--force", "silver.sales", "--partition", "2026-01-02"])
        .expect(0);
    project.run(&["materialize", "--force", "models.m"]).expect(0);
    project.run(&["promote", "models.m", "1", "best"]).expect(0);
    let before = production(&project);
    let said = project.run(&["env", "merge", "a"]);
    for reason in [
        "silver.sales@2026-01-02 was made here since a was made",
        "models.m was made here since a was made",
    ] {
        assert!(refused(&said).contains(reason), "{reason}: {said:#?}");
    }
    let diff = project.run(&["env", "diff", "a"]).expect(0);
    for reason in [
        "it cannot be merged as it is",
        "silver.sales has changed here since a was made",
        "version 2 of models.m was trained here since a was made",
        "the alias best of models.m was moved here since a was made",
    ] {
        assert!(diff.out.contains(reason), "{reason}: {diff:#?}");
    }
    // That a command began and ended is in its history.
    assert_eq!(
        changed(&before, &production(&project)),
        [".millpond/owner.lock", ".millpond/state.db"]
    );
    project.sound();
}

#[test]
fn a_merge_is_refused_where_other_code_is_declared() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    edit(&project, 100);
    within(&project, "a", &["materialize"]).expect(0);
    // The edit is taken back: production would make these rows otherwise.
    project.write("assets/a.toml", ASSETS.as_bytes());
    let said = project.run(&["env", "merge", "a"]);
    assert!(
        refused(&said).contains("silver.sales is declared otherwise now than it was made in a"),
        "{said:#?}"
    );
    let gone = ASSETS.replace("[asset.gold.total]", "[asset.gold.sum]");
    project.write("assets/a.toml", gone.as_bytes());
    let said = project.run(&["env", "merge", "a"]);
    assert!(refused(&said).contains("gold.total is not declared here"), "{said:#?}");
    assert_eq!(
        project.row("SELECT CAST(sum(amount) AS BIGINT) AS amount FROM silver.sales")["amount"],
        260
    );
    edit(&project, 100);
    project.run(&["env", "merge", "a"]).expect(0);
    assert_eq!(total(&project), 2600);
    project.sound();
}

/// Two environments that change the same table are merged at the same moment, by way of the daemon: one of them counts.
#[test]
fn of_two_environments_that_are_merged_at_once_one_counts() {
    let project = made();
    for (name, by) in [("a", 100), ("b", 100)] {
        project.run(&["env", "create", name]).expect(0);
        edit(&project, by);
        within(&project, name, &["materialize"]).expect(0);
    }
    let daemon = Daemon::start(&project);
    let merges: Vec<_> = ["a", "b"]
        .map(|name| project.begin(&["--json", "env", "merge", name]))
        .into();
    let mut codes: Vec<_> = merges.into_iter().map(|merge| merge.end().code).collect();
    codes.sort();
    assert_eq!(codes, [Some(0), Some(1)]);
    daemon.stop().expect(0);
    assert_eq!(total(&project), 2600);
    let runs = project.run(&["--json", "runs"]).expect(0).answers();
    let merges = runs
        .iter()
        .filter(|run| run["trigger"].as_str().unwrap().starts_with("environment "))
        .count();
    assert_eq!(merges, 1, "{runs:#?}");
    project.sound();
    project.run(&["fsck"]).expect(0);
}

#[test]
fn a_merge_that_was_cut_off_is_known_to_have_been_made() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    edit(&project, 100);
    within(&project, "a", &["materialize"]).expect(0);
    let file = project.path().join(".millpond/environments/a/environment.json");
    let unmarked = std::fs::read(&file).unwrap();
    project.run(&["env", "merge", "a"]).expect(0);
    std::fs::write(&file, unmarked).unwrap();
    let again = project.run(&["--json", "env", "merge", "a"]).expect(0).answer();
    assert_eq!(again["already"], true, "{again:#}");
    project.sound();
    // Removing it was cut off as well: it had lost its name, and its files were there.
    let folder = project.path().join(".millpond/environments");
    std::fs::rename(folder.join("a"), folder.join("a.leaving")).unwrap();
    assert_eq!(project.run(&["--json", "env", "list"]).expect(0).out, "");
    project.run(&["env", "drop", "a"]).expect(0);
    assert!(project.files(".millpond/environments").is_empty());
    assert_eq!(project.run(&["env", "drop", "a"]).code, Some(4));
    assert_eq!(total(&project), 2600);
    project.run(&["fsck"]).expect(0);
}

/// A table that was taken back to before a partition was made has no row of it, and production would count it as made.
#[test]
fn a_merge_is_refused_where_a_partition_was_taken_back_to_nothing() {
    let project = made();
    project.write("landing/2.csv", b"id,day,amount\n5,2026-01-04,9\n");
    project.run(&["materialize"]).expect(0);
    project.run(&["env", "create", "a"]).expect(0);
    within(&project, "a", &["rollback", "silver.sales", "-1"]).expect(0);
    let said = project.run(&["env", "merge", "a"]);
    let reason = "silver.sales@2026-01-04 was taken back to nothing in a";
    assert!(refused(&said).contains(reason), "{said:#?}");
    assert_eq!(total(&project), 350);
    project.sound();
    // As it says, it can be taken back in production; what is merged then changes nothing of it.
    project
        .run(&["rollback", "silver.sales", "-1", "--note", "as in a"])
        .expect(0);
    project.run(&["env", "drop", "a"]).expect(0);
    project.sound();
}

/// What was made in an environment and made anew there before the merge is none of production's runs.
#[test]
fn a_rollback_to_what_only_an_environment_showed_does_not_name_a_run_that_did_not_make_it() {
    let project = made();
    project.run(&["env", "create", "a"]).expect(0);
    edit(&project, 100);
    within(&project, "a", &["materialize"]).expect(0);
    within(&project, "a", &["tag", "silver.sales", "middle"]).expect(0);
    edit(&project, 1000);
    within(&project, "a", &["materialize"]).expect(0);
    project.run(&["env", "merge", "a"]).expect(0);
    assert_eq!(total(&project), 26_000);
    let unknown = "by a run of which nothing is known (1 row";
    let told = project.run(&["why", "silver.sales@2026-01-02"]).expect(0);
    assert!(!told.out.contains(unknown), "{told:#?}");
    project.run(&["rollback", "silver.sales", "middle"]).expect(0);
    let told = project.run(&["why", "silver.sales@2026-01-02"]).expect(0);
    assert!(told.out.contains(unknown), "{told:#?}");
    project.sound();
    project.run(&["materialize", "gold.total"]).expect(0);
    assert_eq!(total(&project), 2600);
    // And to what production showed before: that is known.
    project.run(&["rollback", "silver.sales", "-1"]).expect(0);
    project.sound();
}
