use super::*;

const TCP: Metric = Metric {
    name: "tcp_to_guest",
    label: "TCP to the guest",
    unit: "Mb/s",
};
const UDP: Metric = Metric {
    name: "udp_to_guest",
    label: "UDP to the guest",
    unit: "kpps",
};

fn series(metric: Metric, trips: &[[f64; 3]]) -> Series {
    let trip = |values: &[f64; 3]| Driver::ALL.into_iter().zip(*values).collect();
    Series {
        metric,
        trips: trips.iter().map(trip).collect(),
    }
}

fn circumstances() -> Circumstances {
    Circumstances {
        revision: "abc1234".to_owned(),
        guest_kernel: "6.1.0-x".to_owned(),
        qemu: "10.0.2".to_owned(),
        acceleration: "tcg".to_owned(),
        icount: false,
        rounds: 3,
        details: BTreeMap::new(),
    }
}

/// The machine slows down to a half in the third trip; the drivers' relation stays.
fn wandering() -> Report {
    let tcp = series(
        TCP,
        &[
            [1000.0, 2000.0, 1500.0],
            [1100.0, 2200.0, 1650.0],
            [500.0, 1000.0, 760.0],
        ],
    );
    let udp = series(
        UDP,
        &[[20.0, 30.0, 15.0], [24.0, 30.0, 18.0], [22.0, 33.0, 17.6]],
    );
    Report::new(circumstances(), &[tcp, udp])
}

#[test]
fn ratios_are_medians_of_pairs_not_ratios_of_medians() {
    let lone = series(
        TCP,
        &[
            [100.0, 100.0, 300.0],
            [200.0, 100.0, 200.0],
            [300.0, 100.0, 100.0],
        ],
    );
    let row = Row::of(&lone);
    assert_eq!(
        (row.kernel, row.umnet, row.ratio),
        (Some(200.0), Some(200.0), Some(1.0))
    );
    let row = Row::of(&series(
        TCP,
        &[[100.0, 1.0, 200.0], [400.0, 1.0, 400.0], [90.0, 1.0, 270.0]],
    ));
    assert_eq!((row.kernel, row.umnet), (Some(100.0), Some(270.0)));
    assert_eq!(
        row.ratio,
        Some(2.0),
        "2.7 would be the ratio of the medians"
    );
}

#[test]
fn a_missing_figure_drops_its_pair_and_nothing_else() {
    let mut series = series(
        TCP,
        &[
            [100.0, 200.0, 150.0],
            [100.0, 200.0, 170.0],
            [100.0, 200.0, 900.0],
        ],
    );
    series.trips[2].remove(&Driver::Kernel);
    let row = Row::of(&series);
    assert_eq!((row.ratio, row.ratio_pt), (Some(1.6), Some(0.85)));
    assert_eq!(RowSpread::of(&series).ratio.unwrap().count, 2);
}

#[test]
fn a_driver_that_stood_still_gives_no_infinite_ratio() {
    let series = series(TCP, &[[0.0, 200.0, 150.0], [100.0, 200.0, 150.0]]);
    assert_eq!(series.ratios(Driver::Umnet, Driver::Kernel), [1.5]);
}

#[test]
fn json_has_the_agreed_keys() {
    let json: serde_json::Value = serde_json::from_str(&wandering().to_json().unwrap()).unwrap();
    for key in [
        "revision",
        "guest_kernel",
        "qemu",
        "acceleration",
        "rounds",
        "spread",
        "schema",
    ] {
        assert!(!json[key].is_null(), "{key} is missing in {json}");
    }
    let row = json["rows"][0].as_object().unwrap();
    let mut keys: Vec<_> = row.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "kernel",
            "kernel_pt",
            "name",
            "ratio",
            "ratio_pt",
            "umnet",
            "unit"
        ]
    );
    assert_eq!(
        (&row["name"], &row["unit"]),
        (&"tcp_to_guest".into(), &"Mb/s".into())
    );
    assert_eq!(
        (&row["ratio"], &row["ratio_pt"]),
        (&1.5.into(), &0.75.into())
    );
    assert_eq!(json["spread"]["tcp_to_guest"]["umnet"]["max"], 1650.0);
    assert_eq!(json["spread"]["tcp_to_guest"]["ratio"]["max"], 1.52);
}

#[test]
fn the_table_shows_figures_ratios_and_that_it_was_emulated() {
    let table = wandering().to_table();
    let tcp = table
        .lines()
        .find(|line| line.starts_with("TCP to the guest"))
        .unwrap();
    let cells: Vec<_> = tcp.split_whitespace().skip(4).collect();
    assert_eq!(
        cells,
        [
            "Mb/s", "1,000", "2,000", "1,500", "1.50x", "0.75x", "1.50", "..", "1.51"
        ]
    );
    assert!(table.contains("TCG"), "{table}");
    let head = table.lines().next().unwrap();
    assert!(
        tcp.find("1.50x").unwrap() + 5 == head.find("ratio").unwrap() + 5,
        "aligned:\n{table}"
    );
}

#[test]
fn without_umnet_the_rest_is_still_shown() {
    let mut tcp = series(TCP, &[[1000.0, 2000.0, 0.0]]);
    tcp.trips[0].remove(&Driver::Umnet);
    let report = Report::new(circumstances(), &[tcp, series(UDP, &[])]);
    assert_eq!(report.rows().len(), 1, "nothing measured, no row");
    assert_eq!(report.rows()[0].ratio, None);
    assert!(report.to_table().contains("umnet was not measured"));
    assert!(
        report.to_svg().contains("2.00×"),
        "the passthrough kernel's ratio"
    );
}

#[test]
fn the_picture_explains_itself() {
    let svg = wandering().to_svg();
    for words in [
        "TCG (emulated processor)",
        "the IOMMU translating (longer is better",
        "TCP to the guest",
        "megabits per second",
        "1.50×  (1,500 Mb/s; 0.75× passthrough)",
        "umnet</text>",
        "6.1.0-x",
    ] {
        assert!(svg.contains(words), "{words} is missing");
    }
}

#[test]
fn bars_are_as_long_as_their_ratios_and_stay_inside() {
    let svg = wandering().to_svg();
    let widths: Vec<f64> = svg
        .lines()
        .filter(|line| line.starts_with("<rect x=\"240.0\""))
        .filter_map(|line| {
            line.split("width=\"")
                .nth(1)?
                .split('"')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    assert_eq!(widths.len(), 6);
    assert!((widths[2] / widths[0] - 1.5).abs() < 0.01, "{widths:?}");
    assert!((widths[1] / widths[0] - 2.0).abs() < 0.01, "{widths:?}");
    assert!(widths.iter().all(|width| *width <= 440.0), "{widths:?}");
}

#[test]
fn text_cannot_break_the_picture() {
    let mut about = circumstances();
    about.revision = "<&>".to_owned();
    let svg = Report::new(about, &[]).to_svg();
    assert!(svg.contains("&lt;&amp;&gt;") && !svg.contains("<&>"));
}

#[test]
fn figures_keep_three_digits_and_group_thousands() {
    let written = [0.834, 9.99, 13.14, 99.94, 640.4, 2525.4, 1_234_567.0].map(figure);
    assert_eq!(
        written,
        ["0.83", "9.99", "13.1", "99.9", "640", "2,525", "1,234,567"]
    );
}
