//! A strict and simple parser of HTTP heads. It checks the heads that the handshakes have accepted or written.

/// A head: the first line, and the headers with names in lower case.
#[derive(Debug)]
pub struct Head {
    pub line: String,
    pub headers: Vec<(String, Vec<u8>)>,
    /// The size of the head, with the blank line.
    pub size: usize,
}

impl Head {
    /// Parses the head at the front of `bytes`, and panics if it is invalid.
    pub fn read(bytes: &[u8]) -> Head {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("the head ends with a blank line");
        let mut headers = Vec::new();
        let mut lines = Vec::new();
        let mut rest = &bytes[..end + 2];
        while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
            lines.push(&rest[..at]);
            rest = &rest[at + 2..];
        }
        assert!(rest.is_empty());
        for line in &lines {
            let plain = |byte: &u8| *byte >= b' ' && *byte != 0x7f || *byte == b'\t';
            assert!(line.iter().all(plain), "a control character in {line:?}");
        }
        for line in &lines[1..] {
            let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
            let name = std::str::from_utf8(&line[..colon]).expect("ASCII");
            assert!(is_token(name.as_bytes()), "{name:?}");
            headers.push((name.to_ascii_lowercase(), line[colon + 1..].trim_ascii().to_vec()));
        }
        let line = String::from_utf8_lossy(lines[0]).into_owned();
        Head { line, headers, size: end + 4 }
    }

    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| &value[..]).collect()
    }

    pub fn one(&self, name: &str) -> &[u8] {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} occurs {} times", all.len());
        all[0]
    }

    /// Whether the lists in headers of this name contain the token, in upper or lower case.
    pub fn has(&self, name: &str, token: &str) -> bool {
        self.elements(name).iter().any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    pub fn elements(&self, name: &str) -> Vec<&[u8]> {
        let elements =
            self.all(name).into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()).collect()
    }

    /// Whether no body is declared.
    pub fn has_no_body(&self) -> bool {
        self.all("transfer-encoding").is_empty()
            && self.all("content-length").iter().all(|value| *value == b"0")
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let code = self.line.strip_prefix("HTTP/1.1 ").expect("the head has a status line");
        assert_eq!(code.as_bytes()[3], b' ');
        code[..3].parse().expect("a number")
    }
}

pub fn is_token(bytes: &[u8]) -> bool {
    let separator = |byte: &u8| b"()<>@,;:\\\"/[]?={} \t".contains(byte);
    !bytes.is_empty() && bytes.iter().all(|byte| (0x21..0x7f).contains(byte) && !separator(byte))
}
