use super::super::partition_states::tests::days;
use super::*;

fn asset() -> AssetKey {
    "silver.flights".parse().unwrap()
}

#[test]
fn a_year_is_a_calendar() {
    let states = days((0..365).map(|day| {
        if day == 40 {
            PartitionState::Failed
        } else {
            PartitionState::Fresh
        }
    }));
    let grid = draw(&asset(), &states, &Choice::default());
    assert_eq!(grid.cells.0.matches("<a ").count(), 365);
    assert!(grid.cells.0.contains("<title>2013-02-10 failed</title>"));
    assert!(
        grid.cells.0.contains("aria-label=\"partitions: 364 fresh, 1 failed\""),
        "{}",
        &grid.cells.0[..200]
    );
    // 1 January 2013 was a Tuesday: first column, second row.
    let first = grid.cells.0.split("<a ").nth(1).unwrap();
    assert!(
        first.contains(&format!("x=\"{LEFT}\" y=\"{}\"", TOP + PITCH)),
        "{first}"
    );
    assert!(grid.strip.is_none() && grid.years.is_empty());
}

#[test]
fn many_partitions_stay_light() {
    let states = days((0..10_000).map(|day| PartitionState::ALL[day % 6]));
    let grid = draw(
        &asset(),
        &states,
        &Choice {
            year: Some(2020),
            ..Choice::default()
        },
    );
    assert_eq!(grid.cells.0.matches("<a ").count(), 366, "2020 is a leap year");
    let strip = grid.strip.unwrap().0;
    assert_eq!(strip.matches("<rect").count(), MOST_PIECES);
    assert!(
        strip.len() + grid.cells.0.len() < 140_000,
        "{}",
        strip.len() + grid.cells.0.len()
    );
    assert!(grid.years.iter().any(|(year, _, shown)| year == "2020" && *shown));
}

#[test]
fn keys_that_look_like_markup_are_text() {
    let key = |text: &str| PartitionKey::new(text).unwrap();
    let set = Partitioning::Fixed(vec![key("a\"><script>"), key("b&c/d")]);
    let states = PartitionStates::new(set, [PartitionState::Fresh, PartitionState::Missing]);
    let grid = draw(&asset(), &states, &Choice::default()).cells.0;
    assert!(
        !grid.contains("<script>") && grid.contains("a&quot;&gt;&lt;script&gt;"),
        "{grid}"
    );
    assert!(grid.contains("?partition=b%26c%2Fd#partition"), "{grid}");
}

#[test]
fn hours_come_in_rows_of_a_day() {
    let start = jiff::civil::date(2013, 1, 1).at(0, 0, 0, 0);
    let hours = assets::partition::TimePartitions {
        grain: Grain::Hour,
        start,
        end: None,
        zone: "UTC".into(),
    };
    let states = PartitionStates::new(
        Partitioning::Time(hours),
        std::iter::repeat_n(PartitionState::Fresh, 1000),
    );
    let cells = draw(&asset(), &states, &Choice::default()).cells.0;
    let shown = cells.matches("<a ").count();
    assert!(shown <= MOST_CELLS && shown > MOST_CELLS - 24, "{shown}");
    // Every row begins at midnight.
    assert!(
        cells.matches("<text").count() == cells.matches("T00</text>").count(),
        "{cells}"
    );
}

#[test]
fn a_stretch_is_chosen_by_its_first_and_its_last() {
    let states = days((0..400).map(|_| PartitionState::Missing));
    let key = |text: &str| Some(PartitionKey::new(text).unwrap());
    let mut choice = Choice {
        from: key("2013-03-30"),
        ..Choice::default()
    };
    // The year of the first is shown, and every partition leads to the stretch that ends with it.
    assert_eq!(shown(&states, &choice), 0..365);
    let cells = draw(&asset(), &states, &choice).cells.0;
    assert!(
        cells.contains("href=\"/assets/silver.flights?from=2013-03-30&amp;to=2013-04-02#backfill\""),
        "{cells}"
    );
    choice.to = key("2013-04-02");
    let cells = draw(&asset(), &states, &choice).cells.0;
    assert_eq!(cells.matches("cell missing within").count(), 4);
    assert!(cells.contains("?partition=2013-04-03#partition"), "{cells}");
    choice.year = Some(2014);
    assert_eq!(shown(&states, &choice), 365..400);
}
