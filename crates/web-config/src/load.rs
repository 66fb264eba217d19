//! Reads a web configuration file with all files that it names. All of this may hang.

use std::path::{Path, PathBuf};

use swarmscout_config_decoder::{ConfigError, Errors};
use swarmscout_net::config::PemSource;
use swarmscout_net::{disk, io_words};
use xxhash_rust::xxh3::Xxh3;
use zeroize::Zeroizing;

use crate::tls::{Fault, Material, Pem, TlsDoor, TlsSettings, file_key};
use crate::{Doors, WebConfig, parse};

/// A web configuration, loaded.
#[derive(Debug)]
pub struct LoadedDoors {
    /// What it says.
    pub doors: Doors,
    /// What is accepted, but does not do what it seems to, or not for long. One line each.
    pub warnings: Vec<String>,
}

/// Reads and checks the web configuration at `path`, and the files that it names. It may take as long
/// as the file systems take.
pub fn load(path: &Path) -> Result<LoadedDoors, Errors> {
    attempt(path).loaded
}

/// What the files of a web configuration hold: names and contents, and why one cannot be read.
pub(crate) type Fingerprint = u128;

/// An attempt to load a web configuration.
pub(crate) struct Attempt {
    pub(crate) loaded: Result<LoadedDoors, Errors>,
    /// All files that were read, the main one first.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) fingerprint: Fingerprint,
}

/// Reads these files for their fingerprint.
pub(crate) fn fingerprint(files: &[PathBuf]) -> Fingerprint {
    let mut reader = Reader::default();
    for file in files {
        // What is read counts, and why it cannot be.
        let _ = reader.read(file);
    }
    reader.hash.digest128()
}

pub(crate) fn attempt(path: &Path) -> Attempt {
    let mut reader = Reader::default();
    let loaded = load_with(path, &mut reader);
    Attempt { loaded, files: reader.files, fingerprint: reader.hash.digest128() }
}

/// Reads files and notes what they hold.
#[derive(Default)]
struct Reader {
    files: Vec<PathBuf>,
    hash: Xxh3,
}

impl Reader {
    fn read(&mut self, path: &Path) -> Result<Pem, String> {
        let content = disk::secret(path).map_err(|error| io_words(&error));
        self.files.push(path.to_owned());
        let (good, bytes) = match &content {
            Ok(content) => (1, content.as_slice()),
            Err(reason) => (0, reason.as_bytes()),
        };
        let name = path.as_os_str().as_encoded_bytes();
        for part in [name, &[good], bytes] {
            self.hash.update(&(part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
        content
    }

    fn pem(&mut self, key: &'static str, source: &PemSource) -> Result<Pem, Fault> {
        match source {
            PemSource::Inline(pem) => Ok(Zeroizing::new(pem.expose().as_bytes().to_vec())),
            PemSource::File(path) => self.read(path).map_err(|reason| Fault {
                key: file_key(key),
                message: format!("cannot read {}: {reason}", path.display()),
            }),
        }
    }

    /// Reads all of it, whatever cannot be read.
    fn material(&mut self, settings: &TlsSettings) -> Result<Material, Vec<Fault>> {
        let cert = self.pem("cert", &settings.cert);
        let key = self.pem("key", &settings.key);
        let client_ca = settings.client_ca.as_ref().map(|source| self.pem("client_ca", source));
        match (cert, key, client_ca.transpose()) {
            (Ok(cert), Ok(key), Ok(client_ca)) => Ok(Material { cert, key, client_ca }),
            (cert, key, client_ca) => {
                Err([cert.err(), key.err(), client_ca.err()].into_iter().flatten().collect())
            }
        }
    }
}

fn load_with(path: &Path, reader: &mut Reader) -> Result<LoadedDoors, Errors> {
    let text = reader.read(path).map_err(|reason| {
        let message = format!("cannot read the web configuration file: {reason}");
        ConfigError::whole_file(path, None, &message)
    })?;
    load_text(&text, path, reader)
}

/// What a text says that would be at `path`.
pub(crate) fn of_text(text: &[u8], path: &Path) -> Result<Doors, Errors> {
    load_text(text, path, &mut Reader::default()).map(|loaded| loaded.doors)
}

fn load_text(text: &[u8], path: &Path, reader: &mut Reader) -> Result<LoadedDoors, Errors> {
    let (config, warnings) = parse(text, path)?;
    let mut warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let tls = match &config.tls {
        None => None,
        Some(settings) => {
            let mut doubts = Vec::new();
            let tls = tls(&config, settings, reader, &mut doubts);
            let place = |fault: Fault| in_file(path, settings, fault);
            warnings.extend(doubts.into_iter().map(|fault| place(fault).to_string()));
            let errors = |faults: Vec<Fault>| faults.into_iter().map(place).collect();
            Some(tls.map_err(|faults| {
                Errors::new(errors(faults)).expect("a failure has at least one fault")
            })?)
        }
    };
    Ok(LoadedDoors { doors: Doors::new(&config, tls), warnings })
}

fn tls(
    config: &WebConfig,
    settings: &TlsSettings,
    reader: &mut Reader,
    doubts: &mut Vec<Fault>,
) -> Result<TlsDoor, Vec<Fault>> {
    let material = reader.material(settings)?;
    TlsDoor::new(settings, config.http2, &material, doubts)
}

/// A fault at the place of its key.
fn in_file(path: &Path, settings: &TlsSettings, fault: Fault) -> ConfigError {
    ConfigError {
        file: path.to_owned(),
        position: Some(settings.at.key(fault.key)),
        path: format!("tls_server_config.{}", fault.key),
        message: fault.message,
    }
}
