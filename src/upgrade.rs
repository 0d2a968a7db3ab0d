//! The result of an opening handshake, from which a connection starts if the handshake was done elsewhere.

#[cfg(feature = "deflate")]
use crate::deflate::DeflateParams;
use crate::state::Role;

/// The result of an opening handshake that was done elsewhere, for
/// [`Connection::from_upgrade`](crate::Connection::from_upgrade): the role, and the extensions that both ends agreed on
/// (RFC 6455 9.1). A [`Role`] converts into an `Upgrade` without extensions.
///
/// ```
/// use websocket_proto::{Config, Connection, Deflate, Role, Upgrade};
///
/// let deflate = Deflate::default();
/// // The value of the request's `Sec-WebSocket-Extensions`.
/// let offered = [&b"permessage-deflate; client_max_window_bits"[..]];
/// // The server answers with the value `response`, if it is `Some`.
/// let (params, response) = deflate.accept(offered).unzip();
/// assert_eq!(response.as_deref(), Some("permessage-deflate"));
///
/// let conn = Connection::from_upgrade(Upgrade::new(Role::Server).deflate(params), Config::default())?;
/// assert_eq!(conn.deflate_params(), params);
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Upgrade {
    pub(crate) role: Role,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<DeflateParams>,
}

impl Upgrade {
    /// The result for this role, without extensions.
    #[must_use]
    pub const fn new(role: Role) -> Upgrade {
        Upgrade {
            role,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Sets the parameters of permessage-deflate (RFC 7692 7.1), as [`Deflate::accept`](crate::Deflate::accept) returns
    /// them on a server, and [`Deflate::agree`](crate::Deflate::agree) on a client; `None` if it is not used.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(self, params: impl Into<Option<DeflateParams>>) -> Upgrade {
        Upgrade { deflate: params.into(), ..self }
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The parameters of permessage-deflate; `None` if it is not used.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate_params(&self) -> Option<DeflateParams> {
        self.deflate
    }
}

impl From<Role> for Upgrade {
    fn from(role: Role) -> Upgrade {
        Upgrade::new(role)
    }
}
