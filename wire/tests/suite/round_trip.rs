//! Bytes and back.

use foresail_wire::{decode, decode_identity, encode};
use proptest::prelude::*;

use crate::arbitrary;
use crate::written::Writer;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(frame in arbitrary::frame()) {
        let bytes = encode(&frame).unwrap();
        prop_assert_eq!(decode(&bytes).unwrap(), frame);
    }

    #[test]
    fn the_identity_is_read_alone(frame in arbitrary::frame(), rest in any::<prop::sample::Index>()) {
        let bytes = encode(&frame).unwrap();
        prop_assert_eq!(decode_identity(&bytes).unwrap(), frame.identity);
        // What is cut short is not read beyond its end.
        let _ = decode_identity(&bytes[..rest.index(bytes.len())]);
    }

    #[test]
    fn a_second_encoder_writes_the_same_bytes(frame in arbitrary::frame()) {
        prop_assert_eq!(encode(&frame).unwrap(), Writer::frame(&frame).bytes);
    }
}
