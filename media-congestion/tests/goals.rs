//! What a call needs of congestion control, on simulated networks, and what the controllers that quinn
//! brings do there.

mod simulation;

use simulation::{Contender, Network, Outcome};

/// Each goal has to be met whatever the seed.
const SEEDS: std::ops::Range<u64> = 1..4;

#[expect(clippy::print_stdout, reason = "shown with a goal that is missed")]
fn each(network: Network, check: impl Fn(&Outcome)) {
    for seed in SEEDS {
        let outcome = network.run(Contender::Media, seed);
        println!("{network:?}, seed {seed}:");
        for figure in outcome.figures() {
            println!("  {} {:.1}", figure.metric, figure.value);
        }
        check(&outcome);
    }
}

fn keeps_the_queue_short(outcome: &Outcome) {
    assert!(outcome.queueing_p95_ms() < 80.0);
    assert!(outcome.utilisation_pct() >= 85.0);
}

#[test]
fn a_narrow_line_is_used_without_a_queue() {
    for rate in [300_000, 1_000_000, 3_000_000] {
        each(Network::Bottleneck(rate), keeps_the_queue_short);
    }
    keeps_the_queue_short(&Network::Bottleneck(20_000_000).run(Contender::Media, 1));
}

#[test]
fn rare_acknowledgements_are_enough() {
    for network in [
        Network::Bottleneck(300_000),
        Network::Bottleneck(1_000_000),
        Network::RandomLoss(0.05),
        Network::Steps,
    ] {
        let outcome = network.run_acknowledged(Contender::Media, 1, true);
        let (queueing, used) = (outcome.queueing_p95_ms(), outcome.utilisation_pct());
        assert!(
            queueing < 80.0 && used >= 85.0,
            "{network:?}: {queueing} ms, {used} %"
        );
    }
}

#[test]
fn a_line_that_becomes_narrow_and_wide_again_is_followed() {
    each(Network::Steps, |outcome| {
        keeps_the_queue_short(outcome);
        assert!(outcome.recovery_ms() < 3_000.0);
    });
}

#[test]
fn a_line_on_which_a_packet_takes_longer_than_any_queue_should_is_used_all_the_same() {
    for rate in [150_000, 300_000] {
        each(Network::Narrowed(rate), |outcome| {
            assert!(
                outcome.later_utilisation_pct() >= 80.0,
                "{}",
                outcome.later_utilisation_pct()
            );
        });
    }
}

#[test]
fn random_loss_is_not_taken_for_congestion() {
    for part in [0.02, 0.05, 0.1] {
        each(Network::RandomLoss(part), keeps_the_queue_short);
    }
    each(Network::BurstLoss, |outcome| {
        assert!(outcome.queueing_p95_ms() < 80.0);
        assert!(outcome.utilisation_pct() >= 75.0);
    });
}

#[test]
fn jitter_is_not_taken_for_a_queue() {
    each(Network::Jitter(3_000_000), keeps_the_queue_short);
    // Here a packet takes 40 ms on the line by itself.
    each(Network::Jitter(300_000), |outcome| {
        assert!(outcome.queueing_p95_ms() < 120.0);
        assert!(outcome.utilisation_pct() >= 80.0);
    });
}

#[test]
fn an_outage_is_over_soon_after_it_ends() {
    // QUIC asks ever more seldom whether the path is back (RFC 9002 §6.2.1), and may ask for the last
    // time just before.
    each(Network::Outage, |outcome| {
        assert!(outcome.recovery_ms() < 4_000.0);
        assert!(outcome.queueing_p95_ms() < 80.0);
    });
}

#[test]
fn a_download_does_not_starve_a_call() {
    // Of 5 Mbit/s that is half a megabit: enough for a picture, far from an even part.
    for (rate, least) in [(1_000_000, 30.0), (5_000_000, 10.0)] {
        each(Network::BesideCubic(rate), |outcome| {
            assert!((least..=75.0).contains(&outcome.share_pct()));
            // The queue is the download's; fifteen seconds after its last byte, so is the queue gone.
            let after = outcome.report.queueing_between_ms(50, 60, 95.0);
            assert!(after < 80.0, "{after} ms");
        });
    }
}

#[test]
fn two_of_a_kind_share_the_line() {
    each(Network::BesideItself, |outcome| {
        keeps_the_queue_short(outcome);
        assert!((25.0..=75.0).contains(&outcome.share_pct()));
    });
}

#[test]
fn a_keyframe_passes_a_path_that_pictures_do_not_fill() {
    each(Network::Video(1_000_000), |outcome| {
        // A keyframe of 20 kB takes 160 ms on this line.
        assert!(outcome.picture_p95_ms(true) < 400.0);
        assert!(outcome.queueing_p95_ms() < 80.0);
    });
    each(Network::Video(50_000_000), |outcome| {
        assert!(outcome.picture_p95_ms(true) < 150.0);
        assert!(outcome.picture_p95_ms(false) < 50.0);
        // Nobody shows that the path carries more than twice a keyframe.
        assert!(outcome.report.largest_window() < 60_000);
    });
}

/// What is lost where the queue is too short to be seen stays within the bound.
#[test]
fn a_queue_too_short_to_be_seen_costs_no_more_loss_than_is_allowed() {
    each(Network::ShortQueue, |outcome| {
        assert!(outcome.utilisation_pct() >= 85.0);
        assert!(outcome.lost_pct() < 16.0);
    });
}

/// The reasons for not leaving it to them.
#[test]
fn the_others_fail_where_calls_take_place() {
    for contender in [Contender::Cubic, Contender::NewReno] {
        let narrow = Network::Bottleneck(1_000_000).run(contender, 1);
        assert!(narrow.queueing_p95_ms() > 200.0);
        let lossy = Network::RandomLoss(0.05).run(contender, 1);
        assert!(lossy.utilisation_pct() < 50.0);
    }
    let narrow = Network::Bottleneck(300_000).run(Contender::Bbr, 1);
    assert!(narrow.queueing_p95_ms() > 200.0);
}
