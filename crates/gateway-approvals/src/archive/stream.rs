//! From the uploaded bytes to the bytes of the tar, bounded.
//!
//! The compressed bytes are taken in whole blocks, so what is decided never depends on how the network cut them.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use super::{ArchiveFault, Limits};

const BLOCK: usize = 64 * 1024;

/// The source in blocks that are full unless they are the last.
struct Blocks<R> {
    source: R,
    block: Vec<u8>,
    at: usize,
    taken: u64,
    /// Kept apart, so that a failing network is not told as a damaged archive.
    failure: Option<io::Error>,
}

impl<R: Read> Blocks<R> {
    fn refill(&mut self) -> io::Result<()> {
        self.block.clear();
        self.at = 0;
        match self.source.by_ref().take(BLOCK as u64).read_to_end(&mut self.block) {
            Ok(_) => Ok(()),
            Err(failure) => {
                let kind = failure.kind();
                self.failure = Some(failure);
                Err(kind.into())
            }
        }
    }
}

impl<R: Read> Read for Blocks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Blocks<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.block.len() {
            self.refill()?;
        }
        Ok(self.block.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.block.len());
        self.taken = self.taken.saturating_add(count as u64);
    }
}

/// The unpacked bytes, counted.
pub(super) struct Unpacked<'a, R> {
    decoder: MultiGzDecoder<Blocks<R>>,
    limits: &'a Limits,
    bytes: u64,
}

impl<'a, R: Read> Unpacked<'a, R> {
    pub(super) fn new(source: R, limits: &'a Limits) -> Self {
        let blocks = Blocks { source, block: Vec::new(), at: 0, taken: 0, failure: None };
        Self { decoder: MultiGzDecoder::new(blocks), limits, bytes: 0 }
    }

    /// How many bytes came out so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads until `into` is full or the end is reached, and says how much there was.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<usize, ArchiveFault> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.decoder.read(rest) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.count(count)?;
                }
                Err(error) => return Err(self.fault(error)),
            }
        }
        Ok(filled)
    }

    /// Fills `into` wholly.
    pub(super) fn fill_all(&mut self, into: &mut [u8]) -> Result<(), ArchiveFault> {
        if self.fill(into)? < into.len() { Err(ArchiveFault::Truncated) } else { Ok(()) }
    }

    /// Reads `count` bytes and forgets them.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), ArchiveFault> {
        let mut scratch = [0_u8; 16 * 1024];
        while count > 0 {
            let part = usize::try_from(count).unwrap_or(usize::MAX).min(scratch.len());
            self.fill_all(scratch.get_mut(..part).unwrap_or_default())?;
            count -= part as u64;
        }
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<(), ArchiveFault> {
        self.bytes = self.bytes.saturating_add(count as u64);
        if self.bytes > self.limits.unpacked_bytes {
            return Err(ArchiveFault::TooLarge { most: self.limits.unpacked_bytes });
        }
        let packed = self.decoder.get_ref().taken;
        if self.bytes > self.limits.ratio_from_bytes && self.bytes > packed.saturating_mul(self.limits.ratio)
        {
            return Err(ArchiveFault::Ratio { most: self.limits.ratio });
        }
        Ok(())
    }

    fn fault(&mut self, error: io::Error) -> ArchiveFault {
        match self.decoder.get_mut().failure.take() {
            Some(failure) => ArchiveFault::Source(failure),
            None if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveFault::Truncated,
            None => ArchiveFault::Gzip(error),
        }
    }
}
