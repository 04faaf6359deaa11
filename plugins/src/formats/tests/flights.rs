//! A year of flights in miniature: the layout, the null text and the sizes of the New York flights of 2013, made
//! by a small generator so that every sum is known.
use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::*;

const HEADER: &str = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,\
                      flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n";

/// One day's file, and the sum of its distances.
fn day(date: jiff::civil::Date) -> (String, i64) {
    let (mut text, mut distance_sum) = (HEADER.to_owned(), 0);
    for row in 0..900_i64 {
        let number = (row * 7919 + i64::from(date.day()) * 104_729) % 1000;
        let distance = 17 + number * 4;
        distance_sum += distance;
        let (hour, minute) = (5 + row / 60, row % 60);
        let late = if row == 837 {
            "NA,515,NA,NA".to_owned()
        } else {
            format!("{hour}{minute:02},515,{},830", number - 60)
        };
        let carrier = ["UA", "AA", "B6"][(row % 3) as usize];
        text.push_str(&format!(
            "{},{},{},{late},819,{},{carrier},{number},{},EWR,IAH,{},{distance},{hour},{minute},{date}T{hour:02}:00:00Z\n",
            date.year(),
            date.month(),
            date.day(),
            if number % 37 == 0 { "NA".to_owned() } else { (number - 50).to_string() },
            if row == 837 { "NA".to_owned() } else { format!("N{number:05}") },
            if number % 37 == 0 { "NA".to_owned() } else { (number / 2).to_string() },
        ));
    }
    (text, distance_sum)
}

#[test]
fn a_month_of_files_day_by_day() {
    let landing = Landing::new();
    let mut distance_sum = 0;
    for number in 1..=31 {
        let date = jiff::civil::date(2013, 1, number);
        let (text, sum) = day(date);
        distance_sum += sum;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        landing.write(&format!("landing/flights_{date}.csv.gz"), &encoder.finish().unwrap());
    }
    let files = landing.find("landing/flights_{partition}.csv.gz");
    assert_eq!((files.len(), files[30].partition.as_deref()), (31, Some("2013-01-31")));

    let unaware = infer(&files, &ReadOptions::default()).unwrap();
    let spoiled: Vec<&str> = unaware.widened.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(spoiled, ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]);
    assert_eq!(
        (
            unaware.widened[0].file.as_str(),
            unaware.widened[0].line,
            unaware.widened[0].text.as_str()
        ),
        ("landing/flights_2013-01-01.csv.gz", 839, "NA")
    );

    let options = ReadOptions {
        null: Some(vec!["NA".into()]),
        ..ReadOptions::default()
    };
    let schema = infer(&files, &options).unwrap().schema;
    let expected = "year:long month:long day:long dep_time:long sched_dep_time:long dep_delay:long arr_time:long \
                    sched_arr_time:long arr_delay:long carrier:string flight:long tailnum:string origin:string \
                    dest:string air_time:long distance:long hour:long minute:long time_hour:timestamptz";
    assert_eq!(types(&schema).join(" "), expected);
    let outcome = read_all(&files, &options, &schema).unwrap();
    assert_eq!(outcome.rows.num_rows(), 31 * 900);
    let sum = arrow::compute::sum(outcome.rows.column(15).as_primitive::<Int64Type>());
    assert_eq!(sum, Some(distance_sum));
    assert_eq!(outcome.rows.column(3).null_count(), 31);
    assert_eq!(outcome.rows.column(11).null_count(), 31);
    let last = outcome.rows.column(18).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(
        last.value(last.len() - 1),
        "2013-01-31T19:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_microsecond()
    );
    assert_eq!(outcome.finished.len(), 31);

    let days = distinct_values(&files[4], &options, "day").unwrap();
    assert_eq!(days.into_iter().collect::<Vec<_>>(), ["5"]);
    assert_eq!(distinct_values(&files[4], &options, "time_hour").unwrap().len(), 15);
}
