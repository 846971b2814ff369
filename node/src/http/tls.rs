//! TLS for the API. The handshake runs when a connection is first read, so that a client that dallies keeps nobody else
//! from being accepted.

use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tracing::debug;

use crate::config::{ConfigError, NodeConfig, read_secret};

/// Bytes of a file with certificates or a key at most.
const PEM_BYTES_MAX: u64 = 1024 * 1024;
/// The one protocol that is spoken.
const HTTP_1_1: &[u8] = b"http/1.1";

/// The certificate and key of the API, ready to use.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Reads what `config` names, if it does; relative paths are below `home`.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it must be, or a key of another certificate.
    pub fn load(config: &NodeConfig, home: &Path) -> Result<Option<Tls>, ConfigError> {
        let Some(files) = &config.api_tls else { return Ok(None) };
        let (cert_file, key_file) = (home.join(&files.cert_file), home.join(&files.key_file));
        let chain = certificates(&cert_file)?;
        let key = private_key(&key_file)?;
        // Named, not taken from the process: no other library can change it.
        let provider = Arc::new(ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, key))
            .map_err(|error| unusable(&cert_file, &key_file, &error))?;
        server.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Some(Tls(TlsAcceptor::from(Arc::new(server)))))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail = |reason: String| {
        let remedy = "name a PEM file with the certificate first and those between it and its root behind it";
        ConfigError::new(file, "api_tls.cert_file", reason, remedy)
    };
    let length = fs::metadata(file).map_err(|error| fail(error.to_string()))?.len();
    if length > PEM_BYTES_MAX {
        return Err(fail(format!("longer than {PEM_BYTES_MAX} bytes")));
    }
    let bytes = fs::read(file).map_err(|error| fail(error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| fail(reason(&error).to_owned()))?;
    if chain.is_empty() { Err(fail("it holds no certificate".to_owned())) } else { Ok(chain) }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let text = read_secret(file, "api_tls.key_file", PEM_BYTES_MAX)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| {
        let remedy = "name a PEM file with the certificate's private key (PKCS#8, PKCS#1 or SEC1)";
        ConfigError::new(file, "api_tls.key_file", format!("no private key: {}", reason(&error)), remedy)
    })
}

/// What is wrong with a PEM file. The library's own words quote the line that it stumbled over, which in the file of a key
/// may be the key.
fn reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => {
            "a section does not begin with -----BEGIN and a name on a line of its own"
        }
        pem::Error::Base64Decode(_) => "a section holds something else than Base64",
        pem::Error::NoItemsFound => "there is none in it",
        _ => "it cannot be read",
    }
}

fn unusable(cert_file: &Path, key_file: &Path, error: &rustls::Error) -> ConfigError {
    let remedy = format!("use the certificate that was made for the key in {}", key_file.display());
    ConfigError::new(cert_file, "api_tls", error, &remedy)
}

/// A connection as it came, or inside TLS.
pub(super) enum Transport {
    Plain(TcpStream),
    /// The handshake is under way.
    Greeting(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake failed.
    Failed,
}

impl Transport {
    pub(super) fn new(stream: TcpStream, tls: Option<&Tls>) -> Transport {
        match tls {
            None => Transport::Plain(stream),
            Some(Tls(acceptor)) => Transport::Greeting(Box::new(acceptor.accept(stream))),
        }
    }

    /// Brings the handshake to its end; then `poll` is asked with whichever stream it is.
    fn with<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut dyn Both>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Transport::Greeting(accept) = self {
            *self = match ready!(Pin::new(accept.as_mut()).poll(context)) {
                Ok(stream) => Transport::Tls(Box::new(stream)),
                Err(error) => {
                    debug!(%error, "TLS handshake failed");
                    Transport::Failed
                }
            };
        }
        match self {
            Transport::Plain(stream) => poll(Pin::new(stream), context),
            Transport::Tls(stream) => poll(Pin::new(stream.as_mut()), context),
            Transport::Greeting(_) | Transport::Failed => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

/// What both kinds of stream can do.
trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(context, |stream, context| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(context, |stream, context| stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(context, |stream, context| stream.poll_write_vectored(context, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.is_write_vectored(),
            // TLS takes several pieces at a time, too.
            Transport::Tls(_) | Transport::Greeting(_) | Transport::Failed => true,
        }
    }
}
