//! What a source of pictures is announced as.

use videocall_types::{LayerInfo, TrackId, TrackInfo, TrackKind, VideoCodec};
use web_sys::HardwareAcceleration;

use super::super::video_encoder::Encoding;
use crate::media::parameters::{PlannedLayer, VideoParameters, temporal_layers};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoSource {
    pub(crate) track: TrackId,
    pub(crate) kind: TrackKind,
    pub(crate) parameters: VideoParameters,
}

impl VideoSource {
    /// The description before anything was captured: as if the camera gave what it is asked for.
    pub(crate) fn expected(&self, muted: bool) -> TrackInfo {
        let largest = self.parameters.largest();
        let planned = self.parameters.plan(largest.max_width, largest.max_height);
        let expected = planned.into_iter().map(|layer| {
            let encoding = Encoding {
                codec: layer
                    .parameters
                    .codec(VideoCodec::Vp8, layer.size)
                    .unwrap_or_default(),
                mode: Some("L1T3"),
                hardware: HardwareAcceleration::NoPreference,
                constant: true,
                quantizer: false,
                width: layer.size.0,
                height: layer.size.1,
            };
            (layer, encoding)
        });
        TrackInfo {
            muted,
            ..self.describe(expected)
        }
    }

    /// The description of these layers.
    pub(super) fn describe(&self, layers: impl Iterator<Item = (PlannedLayer, Encoding)>) -> TrackInfo {
        let mut codec = "";
        let describe = |(spatial, (layer, encoding)): (u8, (PlannedLayer, Encoding))| {
            codec = encoding.codec;
            LayerInfo {
                spatial,
                temporal_layers: temporal_layers(encoding.mode),
                width: encoding.width,
                height: encoding.height,
                frames_per_second: layer.parameters.frames_per_second,
                bitrate_bps: layer.parameters.bitrate_for(encoding.width, encoding.height),
            }
        };
        let layers = (0..).zip(layers).map(describe).collect();
        TrackInfo {
            track: self.track,
            kind: self.kind,
            muted: false,
            // Of the largest layer; the others' levels are below.
            codec: codec.to_owned(),
            layers,
        }
    }
}
