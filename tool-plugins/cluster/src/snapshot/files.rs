//! Opens a recorded file, plain or compressed, as told by the end of its name.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::new(File::open(path)?);
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    Ok(match ending {
        "gz" => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))),
        "xz" => Box::new(BufReader::new(lzma_rust2::XzReader::new(file, true))),
        _ => Box::new(file),
    })
}
