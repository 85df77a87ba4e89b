//! Tokens: what a client shows to act in its own name. A JSON Web Token as the reference issues it, signed by the node, that also carries the client's delegation
//! to this node; so nothing of a login has to be kept here, and none is lost with a restart.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use spool_proto::{
    IdentityKey, PeerId,
    owner::{Delegation, Statement},
};
use tonic::{Code, metadata::MetadataMap};

use super::{
    limits::{KNOWN_LOGINS, LOGIN_SECONDS, TOKEN_BYTES},
    refused::Refused,
};
use crate::node::Node;

/// The reference's name of the algorithm, which is not the registered one.
const HEADER: &str = r#"{"alg":"Ed25519","typ":"JWT"}"#;

#[derive(Serialize, Deserialize)]
struct Claims {
    iat: u64,
    iss: String,
    sub: String,
    exp: u64,
    jti: String,
    /// The client's signature over the challenge.
    delegation: String,
}

/// Issues and reads tokens.
pub(super) struct Tokens {
    node: Node,
    peer: PeerId,
    issuer: IdentityKey,
    /// Tokens whose signatures were checked.
    known: Mutex<HashMap<String, Delegation>>,
}

impl Tokens {
    pub(super) fn new(node: Node) -> Self {
        let (peer, issuer) = (node.info().peer, node.node_key());
        Self { node, peer, issuer, known: Mutex::default() }
    }

    /// What a client is to agree to; the challenge is its hash.
    pub(super) fn statement(&self, owner: IdentityKey) -> Statement {
        let issued_at = now();
        let expires_at = issued_at.saturating_add(LOGIN_SECONDS);
        Statement { node: self.peer, owner, issued_at, expires_at, nonce: rand::random() }
    }

    /// The token of a client that has agreed.
    pub(super) fn issue(&self, delegation: &Delegation) -> String {
        let Delegation { statement, signature } = delegation;
        let claims = Claims {
            iat: statement.issued_at,
            iss: self.issuer.to_string(),
            sub: statement.owner.to_string(),
            exp: statement.expires_at,
            jti: BASE64URL_NOPAD.encode(&statement.nonce),
            delegation: BASE64URL_NOPAD.encode(signature),
        };
        let claims = serde_json::to_vec(&claims).expect("texts and numbers");
        let signed = format!("{}.{}", BASE64URL_NOPAD.encode(HEADER.as_bytes()), BASE64URL_NOPAD.encode(&claims));
        let signature = self.node.sign_as_node(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    /// Who calls: nobody in particular is the node's owner.
    pub(super) fn caller(&self, metadata: &MetadataMap) -> Result<Option<Delegation>, Refused> {
        let unauthenticated = |text: &str| Refused::new(Code::Unauthenticated, text);
        let Some(value) = metadata.get("authorization") else { return Ok(None) };
        let value = value.to_str().map_err(|_| unauthenticated("Bad authorization string"))?;
        if value.is_empty() {
            return Ok(None);
        }
        let (scheme, token) = value.split_once(' ').ok_or_else(|| unauthenticated("Bad authorization string"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthenticated("Request unauthenticated with bearer"));
        }
        self.read(token.trim()).map(Some)
    }

    fn read(&self, token: &str) -> Result<Delegation, Refused> {
        let known = |tokens: &Self| tokens.known.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        let delegation = match known(self) {
            Some(delegation) => delegation,
            None => {
                let delegation = self.check(token)?;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= KNOWN_LOGINS {
                    known.clear();
                }
                known.insert(token.to_owned(), delegation.clone());
                delegation
            }
        };
        if delegation.statement.holds_at(now()) { Ok(delegation) } else { Err(invalid()) }
    }

    /// Checks the signatures of a token.
    fn check(&self, token: &str) -> Result<Delegation, Refused> {
        let malformed = || Refused::unknown("thread token not found");
        if token.len() > TOKEN_BYTES {
            return Err(malformed());
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| malformed());
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| malformed())?;
        let signature: [u8; 64] = decode(signature)?.try_into().map_err(|_| invalid())?;
        if decode(header)? != HEADER.as_bytes() || !self.issuer.verify(signed.as_bytes(), &signature) {
            return Err(invalid());
        }
        // The node has signed it, so the rest is as it was issued.
        let bytes = |text: &str| decode(text).map_err(|_| invalid());
        let statement = Statement {
            node: self.peer,
            owner: claims.sub.parse().map_err(|_| invalid())?,
            issued_at: claims.iat,
            expires_at: claims.exp,
            nonce: bytes(&claims.jti)?.try_into().map_err(|_| invalid())?,
        };
        let signature = bytes(&claims.delegation)?.try_into().map_err(|_| invalid())?;
        let delegation = Delegation { statement, signature };
        if delegation.is_signed() { Ok(delegation) } else { Err(invalid()) }
    }
}

fn invalid() -> Refused {
    Refused::unknown("invalid thread token")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
