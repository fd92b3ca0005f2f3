use proptest::prelude::*;

use super::*;
use crate::cast::{self, events};
use crate::verify::{Fault, Proved, Verifier};

fn header() -> Header {
    Header { size: Size::default(), began: 7, title: "web".to_owned(), command: Some("sh".to_owned()) }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Three chunks of a session.
fn recorded(id: &str) -> Vec<Chunk> {
    let mut recorder = Recorder::begin(id, &header());
    recorder.output(at(5), b"$ ls\r\n");
    let first = recorder.cut().unwrap();
    recorder.input(at(900), b"exit\r");
    recorder.resize(at(900), Size::new(100, 30).unwrap());
    let second = recorder.cut().unwrap();
    vec![first, second, recorder.finish(at(1500), "exit code 0")]
}

fn verify(id: &str, chunks: &[Chunk]) -> Result<Proved, Fault> {
    let mut verifier = Verifier::new(id);
    for chunk in chunks {
        verifier.take(chunk)?;
    }
    Ok(verifier.end())
}

#[test]
fn a_recording_is_an_asciicast() {
    let whole: Vec<u8> = recorded("a").into_iter().flat_map(|chunk| chunk.plain).collect();
    assert_eq!(
        String::from_utf8(whole.clone()).unwrap(),
        "{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":7,\"command\":\"sh\",\"title\":\"web\"}\n\
         [0.005000,\"o\",\"$ ls\\r\\n\"]\n[0.900000,\"i\",\"exit\\r\"]\n[0.900000,\"r\",\"100x30\"]\n\
         [1.500000,\"m\",\"exit code 0\"]\n"
    );
    let (read, rest) = cast::header(&whole).unwrap();
    assert_eq!((read, events(rest, Duration::ZERO).unwrap().len()), (header(), 4));
}

#[test]
fn times_never_go_back() {
    let mut recorder = Recorder::begin("a", &header());
    recorder.output(at(500), b"a");
    recorder.output(at(100), b"b");
    recorder.marker(at(50), "note");
    let lines = recorder.finish(at(0), "end").plain;
    let read = events(cast::header(&lines).unwrap().1, Duration::ZERO).unwrap();
    assert!(read.iter().all(|event| event.at == at(500)), "{read:?}");
}

#[test]
fn what_was_done_to_a_recording_shows() {
    let whole = recorded("a");
    let end = whole[2].digest;
    assert_eq!(verify("a", &whole), Ok(Proved { chunks: 3, digest: end, is_whole: true }));
    assert_eq!(
        verify("a", &whole[..2]),
        Ok(Proved { chunks: 2, digest: whole[1].digest, is_whole: false }),
        "a cut end"
    );
    let mut flipped = whole.clone();
    flipped[1].plain[3] ^= 1;
    let swapped = [whole[0].clone(), whole[2].clone(), whole[1].clone()];
    let short = [whole[0].clone(), whole[2].clone()];
    let late = whole[1..].to_vec();
    let foreign = [whole[0].clone(), recorded("b")[1].clone(), whole[2].clone()];
    let mut closed = whole[..2].to_vec();
    closed[1].is_last = true;
    let doubled = [whole[0].clone(), whole[0].clone()];
    let after = [whole.clone(), recorded("a")].concat();
    for (what, chunks, fault) in [
        ("flipped", flipped.as_slice(), Fault::Altered { sequence: 1 }),
        ("swapped", &swapped, Fault::Missing { sequence: 1, found: 2 }),
        ("left out", &short, Fault::Missing { sequence: 1, found: 2 }),
        ("beginning cut", &late, Fault::Missing { sequence: 0, found: 1 }),
        ("of another", &foreign, Fault::Altered { sequence: 1 }),
        ("ended early", &closed, Fault::Altered { sequence: 1 }),
        ("doubled", &doubled, Fault::Missing { sequence: 1, found: 0 }),
        ("gone on", &after, Fault::AfterEnd { sequence: 0 }),
    ] {
        assert_eq!(verify("a", chunks), Err(fault), "{what}");
    }
    assert!(verify("b", &whole).is_err(), "as another's");
}

#[test]
fn packed_chunks_unpack_and_nothing_unpacks_to_much() {
    let mut recorder = Recorder::begin("a", &header());
    recorder.output(at(1), "täxt ".repeat(10_000).as_bytes());
    let chunk = recorder.cut().unwrap();
    let packed = chunk.pack().unwrap();
    assert!(packed.len() * 20 < chunk.plain.len());
    assert_eq!(Chunk::unpack(&packed), Ok(chunk.plain.clone()));
    assert!(Chunk::unpack(&packed[..packed.len() / 2]).is_err());
    let bomb = Chunk { plain: vec![b' '; 3 * MOST_CHUNK_BYTES], ..chunk };
    assert!(Chunk::unpack(&bomb.pack().unwrap()).is_err());
}

proptest! {
    #[test]
    fn any_split_gives_the_same_recording(
        text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), 0xc3u8..=0xf0], 0..20_000),
        cuts in proptest::collection::vec(1usize..3000, 1..20),
    ) {
        let mut whole = Recorder::begin("a", &header());
        whole.output(at(3), &text);
        let mut pieces = Recorder::begin("a", &header());
        let mut rest = text.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.output(at(3), piece);
            rest = after;
        }
        prop_assert_eq!(whole.finish(at(9), "end"), pieces.finish(at(9), "end"));
    }

    #[test]
    fn nothing_of_the_text_is_lost_over_chunks(
        pieces in proptest::collection::vec(("[a-zäö\u{1f600}\u{1b}]{0,20}", 0u64..50, any::<bool>()), 0..40),
    ) {
        let mut recorder = Recorder::begin("a", &header());
        let (mut chunks, mut now) = (Vec::new(), 0);
        for (text, wait, cut) in &pieces {
            now += wait;
            recorder.output(at(now), text.as_bytes());
            if *cut { chunks.extend(recorder.cut()); }
        }
        chunks.push(recorder.finish(at(now), "end"));
        prop_assert!(verify("a", &chunks).unwrap().is_whole);
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.plain.clone()).collect();
        let read = events(cast::header(&bytes).unwrap().1, Duration::ZERO).unwrap();
        let shown: String =
            read.iter().filter(|event| event.kind == Kind::Output).map(|event| event.text.as_str()).collect();
        prop_assert_eq!(shown, pieces.iter().map(|piece| piece.0.as_str()).collect::<String>());
    }
}
