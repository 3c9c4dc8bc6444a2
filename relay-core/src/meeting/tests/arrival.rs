//! What a sender is told of its own upload.

use super::*;

/// Pictures of two senders at once, every 20 ms; the second one's way gets longer all the time.
#[test]
fn each_sender_is_told_of_its_own_frames_and_nobody_else_is() {
    let meeting = alone();
    let (near, far) = (enter(&meeting, "near", START), enter(&meeting, "far", START));
    let silent = join(&meeting, request("silent", Vec::new()), START).expect("let in");
    let mut reports: [Vec<ServerMessage>; 3] = Default::default();
    for tick in 0..=100_u64 {
        let now = START + Duration::from_millis(tick * 20);
        for (member, late_us) in [(&near, 0), (&far, tick * 4000)] {
            let mut header = FrameHeader::peek(&picture(member.session(), tick, tick == 0)).expect("a frame");
            header.capture_time_us = now.as_micros() - late_us;
            let packet = Frame {
                header,
                decoder: None,
                redundancy: Vec::new(),
                payload: Bytes::from_static(b"picture"),
            };
            meeting.media(member, &packet.encode(), now).expect("honest");
        }
        for (member, reports) in [&near, &far, &silent].into_iter().zip(&mut reports) {
            let messages = receive(&meeting, member, now).messages.into_iter();
            reports.extend(messages.filter(|m| matches!(m, ServerMessage::ArrivalReport { .. })));
        }
    }
    let [near, far, silent] = reports;
    assert_eq!((near.len(), far.len(), silent.len()), (20, 20, 0));
    let growth = |reports: &[ServerMessage]| -> i64 {
        let growth = reports.iter().map(|report| match report {
            ServerMessage::ArrivalReport { delay_growth_us, .. } => i64::from(*delay_growth_us),
            _ => 0,
        });
        growth.sum()
    };
    assert_eq!(growth(&near), 0);
    // The fastest of the first and of the last interval are 96 frames apart.
    assert_eq!(growth(&far), 384_000);
    let Some(ServerMessage::ArrivalReport {
        interval_ms,
        received_frames,
        missing_frames,
        ..
    }) = near.last()
    else {
        panic!("there are reports");
    };
    assert_eq!((*interval_ms, *received_frames, *missing_frames), (100, 5, 0));
}

#[test]
fn frames_that_nobody_may_send_do_not_count() {
    let meeting = alone();
    let sender = join(&meeting, request("sender", vec![camera(true)]), START).expect("let in");
    for tick in 0..20_u64 {
        let now = START + Duration::from_millis(tick * 20);
        let packet = picture(sender.session(), tick, true);
        meeting.media(&sender, &packet, now).expect("honest");
        let received = receive(&meeting, &sender, now).messages;
        let told = received
            .iter()
            .any(|m| matches!(m, ServerMessage::ArrivalReport { .. }));
        assert!(!told, "of a muted camera");
    }
}
