//! The project that `millpond init` makes.

use millpond_tests::program::Project;
use serde_json::json;

#[test]
fn the_first_project_runs_and_keeps_what_it_makes_out_of_the_repository() {
    let project = Project::new(&[]);
    let made = project.run(&["init"]).expect(0);
    assert!(made.out.contains("made a project of 4 files"), "{made:#?}");
    project.run(&["materialize"]).expect(0);
    let orders = "SELECT CAST(sum(orders) AS BIGINT) AS orders FROM gold.orders_per_day";
    assert_eq!(project.row(orders), json!({ "orders": 3 }));
    let ignored = std::fs::read_to_string(project.path().join(".gitignore")).unwrap();
    let of_project = |path: &String| {
        !ignored
            .lines()
            .any(|line| format!("/{path}").starts_with(line) && line.len() > 1)
    };
    let kept: Vec<String> = project.files("").into_iter().filter(of_project).collect();
    let declared = [
        ".gitignore",
        "assets/orders.toml",
        "landing/orders.csv",
        "millpond.toml",
    ];
    assert_eq!(kept, declared);
    project.sound();

    let again = project.run(&["init"]).expect(2);
    assert!(
        again.err.contains("is there already; nothing was written"),
        "{again:#?}"
    );
}

#[test]
fn a_file_of_somebodys_own_stays_as_it_is() {
    let project = Project::new(&[(".gitignore", "*.tmp\n")]);
    project.run(&["init"]).expect(0);
    let ignored = std::fs::read_to_string(project.path().join(".gitignore")).unwrap();
    assert_eq!(ignored, "*.tmp\n");
}
