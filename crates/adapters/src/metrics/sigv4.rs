//! AWS Signature Version 4, as the documentation of AWS describes it ("Create a signed AWS API request").

use sha2::{Digest, Sha256};

/// What a request is signed with.
pub(super) struct Signer<'a> {
    pub(super) access_key: &'a str,
    pub(super) secret_key: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// What is signed. Headers are in lower case, ordered by name, their values trimmed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    /// `20150830T123600Z`.
    pub(super) at: &'a str,
}

impl Signer<'_> {
    /// What stands in `Authorization`.
    pub(super) fn authorization(&self, what: &Signed<'_>) -> String {
        let names: Vec<&str> = what.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let headers =
            what.headers.iter().fold(String::new(), |all, (name, value)| all + name + ":" + value + "\n");
        let digest = hex::encode(Sha256::digest(what.body));
        let Signed { method, path, query, at, .. } = what;
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{digest}");
        let day = at.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let digest = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}");
        let start = format!("AWS4{}", self.secret_key).into_bytes();
        let key = [day, self.region, self.service, "aws4_request"]
            .iter()
            .fold(start, |key, part| hmac(&key, part.as_bytes()).to_vec());
        let signature = hex::encode(hmac(&key, text.as_bytes()));
        let credential = format!("{}/{scope}", self.access_key);
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}")
    }
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let of = |key: &[u8], text: &[u8]| hex::encode(hmac(key, text));
        assert_eq!(
            of(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            of(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// The vectors of AWS's test suite for Signature Version 4.
    #[test]
    fn the_published_vectors_are_signed_as_published() {
        let signer = Signer {
            access_key: "AKIDEXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
            service: "service",
        };
        let at = "20150830T123600Z";
        let plain = [("host", "example.amazonaws.com"), ("x-amz-date", at)];
        let form = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "example.amazonaws.com"),
            ("x-amz-date", at),
        ];
        type Vector<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a str);
        let vectors: [Vector<'_>; 4] = [
            // get-vanilla
            ("GET", "", &plain, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            // get-vanilla-query-order-key-case
            (
                "GET",
                "Param1=value1&Param2=value2",
                &plain,
                b"",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            // post-vanilla
            ("POST", "", &plain, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            // post-x-www-form-urlencoded
            (
                "POST",
                "",
                &form,
                b"Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (method, query, headers, body, signature) in vectors {
            let signed = Signed { method, path: "/", query, headers, body, at };
            let said = signer.authorization(&signed);
            assert!(said.ends_with(&format!("Signature={signature}")), "{method} {query}: {said}");
            let begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
            assert!(said.starts_with(begin), "{said}");
        }
    }
}
