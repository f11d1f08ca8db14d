//! The chunked transfer coding (RFC 9112, 7.1), read strictly. Pure: bytes in, pieces out.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING,
};
use std::io;

/// Longest line of a chunk's size with its extensions.
const SIZE_LINE_BYTES_MAX: usize = 4 * 1024;
/// Largest trailers.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// Most trailer fields.
const TRAILER_FIELDS_MAX: usize = 32;

/// Where in a chunked body a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chunked {
    /// Before a chunk's size.
    #[default]
    Size,
    /// Within a chunk, so many bytes before its end.
    Data(u64),
    /// Before the line's end after a chunk.
    DataEnd,
    /// After the last chunk.
    Trailers,
    /// After everything.
    Ended,
}

/// A piece of a body.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Some of its bytes.
    Data(Bytes),
    /// The fields after it.
    Trailers(HeaderMap),
}

impl Chunked {
    /// Whether the body has ended.
    pub fn has_ended(self) -> bool {
        self == Self::Ended
    }

    /// Bytes left in the present chunk.
    pub fn left(self) -> u64 {
        if let Self::Data(left) = self { left } else { 0 }
    }

    /// Takes the next piece off the buffer; none when more has to be read first, or at the end.
    pub fn take(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Piece>> {
        loop {
            match *self {
                Self::Size => match size_line(buffer)? {
                    None => return Ok(None),
                    Some(0) => *self = Self::Trailers,
                    Some(size) => *self = Self::Data(size),
                },
                Self::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(None);
                    }
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - count as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Some(Piece::Data(buffer.split_to(count).freeze())));
                }
                Self::DataEnd => {
                    if buffer.len() < 2 {
                        return Ok(None);
                    }
                    if !buffer.starts_with(b"\r\n") {
                        return Err(malformed("a chunk is longer than its size"));
                    }
                    buffer.advance(2);
                    *self = Self::Size;
                }
                Self::Trailers => {
                    let Some(trailers) = trailers(buffer)? else { return Ok(None) };
                    *self = Self::Ended;
                    return Ok((!trailers.is_empty()).then_some(Piece::Trailers(trailers)));
                }
                Self::Ended => return Ok(None),
            }
        }
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Takes a line with a chunk's size off the buffer. Extensions are dropped, as they may be.
fn size_line(buffer: &mut BytesMut) -> io::Result<Option<u64>> {
    let Some(end) = buffer.iter().position(|b| *b == b'\n') else {
        return if buffer.len() > SIZE_LINE_BYTES_MAX {
            Err(malformed("a chunk's size line is too long"))
        } else {
            Ok(None)
        };
    };
    let line = buffer[..end]
        .strip_suffix(b"\r")
        .ok_or_else(|| malformed("a bare line feed after a chunk's size"))?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let rest = line[digits..].trim_ascii_start();
    let valid = (1..=16).contains(&digits) && (rest.is_empty() || rest[0] == b';') && !rest.contains(&b'\r');
    let size = std::str::from_utf8(&line[..digits]).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    match size.filter(|_| valid) {
        Some(size) => {
            buffer.advance(end + 1);
            Ok(Some(size))
        }
        None => Err(malformed("a chunk's size is no hexadecimal number")),
    }
}

/// Takes the trailers off the buffer, once they are there completely. Fields that would change how
/// the message is read are dropped.
fn trailers(buffer: &mut BytesMut) -> io::Result<Option<HeaderMap>> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILER_FIELDS_MAX];
    let (length, fields) = match httparse::parse_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) if buffer.len() <= TRAILER_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(malformed("the trailers are too large")),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let mut trailers = HeaderMap::new();
    for field in fields {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| malformed("a bad trailer name"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| malformed("a bad trailer value"))?;
        if ![CONTENT_LENGTH, TRANSFER_ENCODING, HOST, CONNECTION, TRAILER].contains(&name) {
            trailers.append(name, value);
        }
    }
    buffer.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that comes `step` bytes at a time.
    fn read(body: &[u8], step: usize) -> Result<(Vec<u8>, usize), io::Error> {
        let (mut chunked, mut buffer, mut data, mut trailers) =
            (Chunked::default(), BytesMut::new(), Vec::new(), 0);
        for piece in body.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(piece) = chunked.take(&mut buffer)? {
                match piece {
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    Piece::Trailers(fields) => trailers += fields.len(),
                }
            }
        }
        if chunked.has_ended() && buffer.is_empty() {
            Ok((data, trailers))
        } else {
            Err(malformed("not ended"))
        }
    }

    #[test]
    fn bodies_are_read_however_they_are_cut() {
        let body = b"5\r\nhello\r\n1;ext=\"x\"\r\n \r\n00A \r\n0123456789\r\n0\r\nx-sum: 1\r\ncontent-length: 9\r\n\r\n";
        for step in 1..body.len() {
            assert_eq!(read(body, step).unwrap(), (b"hello 0123456789".to_vec(), 1), "{step} at a time");
        }
        assert_eq!(read(b"0\r\n\r\n", 5).unwrap(), (Vec::new(), 0));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let bad: [&[u8]; 11] = [
            b"5\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"\r\n\r\n",
            b"-1\r\n\r\n",
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\rx\nhello\r\n0\r\n\r\n",
            b"11111111111111111\r\nx",
            b"5 5\r\nhello\r\n0\r\n\r\n",
            b"0\r\nbad name: x\r\n\r\n",
            b"5\r\nhel",
        ];
        for body in bad {
            assert!(read(body, body.len()).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
        assert!(read(&vec![b'1'; SIZE_LINE_BYTES_MAX + 2], 100).is_err());
    }
}
