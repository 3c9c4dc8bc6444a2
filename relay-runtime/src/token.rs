//! Tokens: JWTs (RFC 7519) signed with HS256, made by the REST interface's join and by Welcome.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::Rng as _;
use videocall_types::token::{Claims, TokenUse};
use videocall_types::{CloseCode, Closing, MeetingId, SessionId, UserName};

use crate::revocation::Revocations;
use crate::write_private;

/// Bytes of a signing secret at least: the output of SHA-256 (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

/// A resume token is of use as long as a call lasts; longer calls start afresh.
const RESUME_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The file of a generated secret within the data folder.
const SECRET_FILE: &str = "token-secret";

/// The secret that the servers of one deployment share. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// The secret kept in the data folder, made at the first call and readable by its owner alone.
    ///
    /// # Errors
    /// When the folder cannot be made or the file cannot be read or written.
    pub fn load_or_generate(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(SECRET_FILE);
        if let Ok(text) = std::fs::read_to_string(&path) {
            return text
                .trim()
                .parse()
                .with_context(|| format!("the file {} holds no usable secret; delete it", path.display()));
        }
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("the data folder {} cannot be made", data_dir.display()))?;
        let secret = Self::generate();
        write_private(&path, &secret.0)
            .with_context(|| format!("the secret cannot be written to {}", path.display()))?;
        Ok(secret)
    }

    fn generate() -> Self {
        let mut bytes = [0_u8; MIN_SECRET_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl FromStr for TokenSecret {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() < MIN_SECRET_BYTES {
            return Err(TokenError::ShortSecret);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why a token or a secret is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the token has expired; join again")]
    Expired,
    /// Not signed with our secret, not a token, or not for this purpose.
    #[error("the token is not valid here; join again")]
    Invalid,
    /// It was taken back before it expired.
    #[error("the token was taken back; join again")]
    Revoked,
    /// A secret that could be guessed.
    #[error("a token secret has at least {MIN_SECRET_BYTES} bytes")]
    ShortSecret,
}

impl From<TokenError> for Closing {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::new(CloseCode::TokenExpired),
            TokenError::Invalid | TokenError::ShortSecret => Self::new(CloseCode::BadToken),
            TokenError::Revoked => Self::with_message(
                CloseCode::BadToken,
                "The invitation was taken back; open the meeting's address again.",
            ),
        }
    }
}

/// Signs and verifies tokens, and remembers which were taken back.
pub struct TokenService {
    revocations: Revocations,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl TokenService {
    /// A service for one secret.
    pub fn new(secret: &TokenSecret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // A client asks for a new token when one has expired, so servers' clocks may differ a little
        // without harm and no leeway is needed.
        validation.leeway = 0;
        Self {
            revocations: Revocations::default(),
            encoding: EncodingKey::from_secret(secret.0.as_bytes()),
            decoding: DecodingKey::from_secret(secret.0.as_bytes()),
            validation,
        }
    }

    /// The token with these claims.
    pub fn sign(&self, claims: &Claims) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .expect("claims are plain JSON and HS256 takes any key")
    }

    /// The claims of a token for entering a meeting, or for anything else that is asked.
    ///
    /// # Errors
    /// When it has expired, was revoked, is not ours, or not good for `wanted`.
    pub fn verify(&self, token: &str, wanted: TokenUse) -> Result<Claims, TokenError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })?
            .claims;
        if claims.token_use != wanted {
            return Err(TokenError::Invalid);
        }
        self.revocations.check(&claims)?;
        Ok(claims)
    }

    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// A token that opens one meeting for `lifetime`, and when it expires (seconds since the Unix
    /// epoch).
    pub fn sign_join(
        &self,
        user: UserName,
        display_name: String,
        meeting: MeetingId,
        lifetime: Duration,
    ) -> (String, u64) {
        let iat = unix_seconds();
        let exp = iat + lifetime.as_secs();
        let token = self.sign(&Claims {
            sub: user,
            name: display_name,
            meeting,
            token_use: TokenUse::Join,
            session: None,
            exp,
            iat,
            jti: nonce(),
        });
        (token, exp)
    }

    /// A token that gets the session of these claims back.
    pub(crate) fn sign_resume(&self, join: &Claims, session: SessionId) -> String {
        let iat = unix_seconds();
        self.sign(&Claims {
            token_use: TokenUse::Resume,
            session: Some(session),
            exp: iat + RESUME_TOKEN_LIFETIME.as_secs(),
            iat,
            jti: nonce(),
            ..join.clone()
        })
    }

    /// The session that a resume token gives back to the person and meeting of `join`. A token that
    /// does not is no error: the session is then a new one.
    pub(crate) fn resumable(&self, join: &Claims, resume_token: &str) -> Option<SessionId> {
        if resume_token.is_empty() {
            return None;
        }
        let claims = self.verify(resume_token, TokenUse::Resume).ok()?;
        let same = claims.meeting == join.meeting && claims.sub == join.sub;
        claims.session.filter(|_| same)
    }
}

impl fmt::Debug for TokenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenService")
    }
}

fn nonce() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The time of day, seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn service() -> TokenService {
        TokenService::new(&SECRET.parse().expect("long enough"))
    }

    fn claims(exp: u64) -> Claims {
        Claims {
            sub: "alice".parse().expect("a name"),
            name: "Alice".into(),
            meeting: "demo".parse().expect("an id"),
            token_use: TokenUse::Join,
            session: None,
            exp,
            iat: 0,
            jti: String::new(),
        }
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let service = service();
        let good = claims(unix_seconds() + 60);
        let token = service.sign(&good);
        assert_eq!(service.verify(&token, TokenUse::Join), Ok(good.clone()));
        assert_eq!(service.verify(&token, TokenUse::Resume), Err(TokenError::Invalid));
        let expired = service.sign(&claims(unix_seconds() - 1));
        assert_eq!(service.verify(&expired, TokenUse::Join), Err(TokenError::Expired));
        let foreign = TokenService::new(
            &"another-secret-that-is-long-enough-for-this"
                .parse()
                .expect("long"),
        );
        let foreign = foreign.sign(&good);
        assert_eq!(service.verify(&foreign, TokenUse::Join), Err(TokenError::Invalid));
        assert_eq!(service.verify("", TokenUse::Join), Err(TokenError::Invalid));
        assert_eq!(service.verify("a.b.c", TokenUse::Join), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        let service = service();
        let token = service.sign(&claims(unix_seconds() + 60));
        let body = token.split('.').nth(1).expect("three parts");
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
        assert_eq!(
            service.verify(&unsigned, TokenUse::Join),
            Err(TokenError::Invalid)
        );
    }

    #[test]
    fn a_resume_token_is_good_for_its_person_and_meeting_only() {
        let service = service();
        let alice = claims(unix_seconds() + 60);
        let session = SessionId::new(7).expect("not zero");
        let token = service.sign_resume(&alice, session);
        assert_eq!(service.resumable(&alice, &token), Some(session));
        let mut bob = alice.clone();
        bob.sub = "bob".parse().expect("a name");
        assert_eq!(service.resumable(&bob, &token), None);
        let mut elsewhere = alice.clone();
        elsewhere.meeting = "other".parse().expect("an id");
        assert_eq!(service.resumable(&elsewhere, &token), None);
        assert_eq!(service.resumable(&alice, "nonsense"), None);
        assert_eq!(service.resumable(&alice, &service.sign(&alice)), None);
    }

    #[test]
    fn a_generated_secret_is_kept_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let first = TokenSecret::load_or_generate(&data).expect("generated");
        let second = TokenSecret::load_or_generate(&data).expect("loaded");
        assert!(first == second);
        assert_eq!(format!("{first:?}"), "(secret)");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(data.join(SECRET_FILE))
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!("short".parse::<TokenSecret>(), Err(TokenError::ShortSecret));
    }
}
