//! Checkpoints as C2SP signed notes (`c2sp.org/signed-note`, `c2sp.org/tlog-checkpoint`): three lines
//! of text and an Ed25519 signature, which any transparency-log tool can check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use taxiway_engine::ports::log::Checkpoint;
use taxiway_model::ids::Digest;

use crate::tree::Tree;

/// The signature type byte of Ed25519 in a signed note.
const ED25519: u8 = 1;

/// Why a text is not a checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not have the form of a signed checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Malformed(&'static str),
    /// It is a checkpoint, but of another log.
    #[error("the checkpoint is of {found}, this log is {expected}")]
    OtherLog {
        /// The log it names.
        found: String,
        /// The log it was compared with.
        expected: String,
    },
    /// No signature by this log's key.
    #[error("the checkpoint is not signed by this log's key {0}")]
    NotSigned(String),
    /// A signature that does not belong to the text.
    #[error("the checkpoint's signature does not belong to its text")]
    Forged,
}

/// The key of one log; its name follows from it, so that two logs never have the same.
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
    name: String,
}

/// What a checkpoint states once its signature was found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    /// Number of records covered.
    pub size: u64,
    /// Merkle tree hash over their hashes.
    pub root: Digest,
}

impl Key {
    /// The key with this seed (32 secret bytes).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let name = format!("taxiway/{}", Digest::of(&signing.verifying_key().to_bytes()).short());
        Self { signing, name }
    }

    /// The log's name, which is the first line of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key in the form verifiers take: `<name>+<key id>+<key>`.
    pub fn verifier(&self) -> String {
        let mut key = vec![ED25519];
        key.extend(self.public().to_bytes());
        let id = u32::from_be_bytes(self.id());
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }

    /// A signature over bytes that are no checkpoint; `purpose` keeps the two apart.
    pub(crate) fn seal(&self, purpose: &str, bytes: &[u8]) -> Vec<u8> {
        self.signing.sign(&sealed_bytes(purpose, bytes)).to_bytes().to_vec()
    }

    /// Whether [`Key::seal`] made `seal` for exactly this.
    pub(crate) fn is_sealed(&self, purpose: &str, bytes: &[u8], seal: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(seal) else { return false };
        self.public().verify_strict(&sealed_bytes(purpose, bytes), &signature).is_ok()
    }

    /// The signed statement of a tree.
    pub fn checkpoint(&self, tree: &Tree) -> Checkpoint {
        let (size, root) = (tree.size(), tree.root());
        let text = format!("{}\n{size}\n{}\n", self.name, STANDARD.encode(root.0));
        let mut signature = self.id().to_vec();
        signature.extend(self.signing.sign(text.as_bytes()).to_bytes());
        let note = format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(signature));
        Checkpoint { size, root, note }
    }

    /// Reads a checkpoint of this log; it states nothing unless this key signed it.
    pub fn read(&self, note: &str) -> Result<Stated, Error> {
        let (text, signatures) =
            note.rsplit_once("\n\n").ok_or(Error::Malformed("no empty line before the signatures"))?;
        let mut lines = text.split('\n');
        let found = lines.next().unwrap_or_default();
        let size = lines.next().and_then(|line| line.parse().ok());
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        let root = root.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let size = size.ok_or(Error::Malformed("the second line is not a number of records"))?;
        let root = root.ok_or(Error::Malformed("the third line is not a root hash in base64"))?;
        if found != self.name {
            return Err(Error::OtherLog { found: found.to_owned(), expected: self.name.clone() });
        }
        self.verify(&format!("{text}\n"), signatures)?;
        Ok(Stated { size, root: Digest(root) })
    }

    fn verify(&self, text: &str, signatures: &str) -> Result<(), Error> {
        let prefix = format!("\u{2014} {} ", self.name);
        let ours = signatures.lines().filter_map(|line| STANDARD.decode(line.strip_prefix(&prefix)?).ok());
        let mut ours = ours.filter(|bytes| bytes.starts_with(&self.id()));
        let bytes = ours.next().ok_or_else(|| Error::NotSigned(self.verifier()))?;
        let signature = Signature::from_slice(&bytes[4..]).map_err(|_| Error::Forged)?;
        self.public().verify_strict(text.as_bytes(), &signature).map_err(|_| Error::Forged)
    }

    fn public(&self) -> VerifyingKey {
        self.signing.verifying_key()
    }

    /// The first four bytes of SHA-256 over name, newline, signature type and public key.
    fn id(&self) -> [u8; 4] {
        let mut bytes = self.name.clone().into_bytes();
        bytes.extend([b'\n', ED25519]);
        bytes.extend(self.public().to_bytes());
        let [a, b, c, d, ..] = Digest::of(&bytes).0;
        [a, b, c, d]
    }
}

fn sealed_bytes(purpose: &str, bytes: &[u8]) -> Vec<u8> {
    let mut all = format!("taxiway-seal-v1\n{purpose}\n").into_bytes();
    all.extend_from_slice(bytes);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        (0_u32..5).for_each(|i| tree.push(Digest::of(&i.to_be_bytes())));
        tree
    }

    #[test]
    fn a_checkpoint_states_size_and_root() {
        let key = Key::from_seed(&[7; 32]);
        let checkpoint = key.checkpoint(&tree());
        assert_eq!(key.read(&checkpoint.note), Ok(Stated { size: 5, root: tree().root() }));
        let lines: Vec<&str> = checkpoint.note.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[1], lines[3]), (5, key.name(), "5", ""));
    }

    #[test]
    fn a_changed_letter_anywhere_is_noticed() {
        let key = Key::from_seed(&[7; 32]);
        let note = key.checkpoint(&tree()).note;
        for at in 0..note.len() - 1 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(key.read(&changed).is_err(), "byte {at} of\n{changed}");
        }
    }

    #[test]
    fn another_logs_checkpoint_is_told_apart() {
        let (ours, theirs) = (Key::from_seed(&[7; 32]), Key::from_seed(&[8; 32]));
        let told = ours.read(&theirs.checkpoint(&tree()).note);
        let expected = Error::OtherLog { found: theirs.name().to_owned(), expected: ours.name().to_owned() };
        assert_eq!(told, Err(expected));
    }

    /// The verifier key of the specification's own form: name, id in hex, type and key in base64.
    #[test]
    fn the_verifier_key_has_the_form_tools_read() {
        let key = Key::from_seed(&[7; 32]);
        let verifier = key.verifier();
        let parts: Vec<&str> = verifier.split('+').collect();
        assert_eq!((parts[0], parts[1].len()), (key.name(), 8));
        let bytes = STANDARD.decode(parts[2..].join("+")).expect("base64");
        assert_eq!((bytes.len(), bytes[0]), (33, ED25519));
    }
}
