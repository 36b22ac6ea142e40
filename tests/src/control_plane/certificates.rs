//! The cluster's own authority: it signs who serves and who asks. Made anew for each cluster; keys
//! stay in its folder and end with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// An authority that everything in a cluster trusts.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

// === impl Authority ===

impl Authority {
    /// A new authority that keeps its files in `dir`.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn new(dir: PathBuf) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "control plane of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority = Self { dir, issuer };
        fs::write(authority.certificate(), authority.pem())?;
        Ok(authority)
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// File of [`Self::pem`].
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// What a server shows that is called by `names` (hosts or addresses).
    ///
    /// # Errors
    /// When a name is none, or nothing can be written.
    pub fn server(&self, file: &str, names: &[&str]) -> Result<Pair> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).context("a name of a server")?;
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(file, params)
    }

    /// What a client shows that Kubernetes knows as `user` of `groups`.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn client(&self, file: &str, user: &str, groups: &[&str]) -> Result<Pair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for &group in groups {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, params)
    }

    fn sign(&self, file: &str, mut params: CertificateParams) -> Result<Pair> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(&self.dir, file, &certificate.pem(), &key.serialize_pem())
    }
}

/// A bare pair of keys, such as tokens of service accounts are signed with: `path` with `.key` and
/// `.pub`.
///
/// # Errors
/// When it cannot be made or written.
pub fn bare_keys(path: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    fs::write(path.with_extension("key"), key.serialize_pem())?;
    fs::write(path.with_extension("pub"), key.public_key_pem())?;
    Ok(())
}

fn write(dir: &Path, file: &str, certificate: &str, key: &str) -> Result<Pair> {
    let pair =
        Pair { certificate: dir.join(format!("{file}.crt")), key: dir.join(format!("{file}.key")) };
    fs::write(&pair.certificate, certificate)?;
    fs::write(&pair.key, key)?;
    Ok(pair)
}
