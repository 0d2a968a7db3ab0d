//! The source of masking keys and handshake nonces. Only clients draw from it. The default is the operating system's
//! CSPRNG, read in batches per thread. A fixed seed makes a run reproducible to the byte.

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::Shared;

/// A function of the caller that fills a buffer. Where `Shared` can cross threads, the function can too.
#[cfg(target_has_atomic = "ptr")]
type Fill = dyn Fn(&mut [u8]) -> Result<(), EntropyError> + Send + Sync;
/// A function of the caller that fills a buffer.
#[cfg(not(target_has_atomic = "ptr"))]
type Fill = dyn Fn(&mut [u8]) -> Result<(), EntropyError>;

/// The source of a client's masking keys and handshake nonces (RFC 6455 5.3, 10.3). Clones share one source.
#[derive(Clone)]
#[non_exhaustive]
pub enum Entropy {
    /// No source: creating a client fails. The default without the feature `os-entropy`.
    None,
    /// The operating system's CSPRNG, read in batches per thread. The default.
    ///
    /// A connection that is created after a fork shares no keys with the parent process: on Unix, creating a
    /// client compares the ids of the process and of its parent (two system calls), and drops a batch that another
    /// process has read. A connection that was created before the fork does not compare them. If parent and child both
    /// send on such a connection, they may mask with the same keys, so use it in only one of the two processes.
    #[cfg(feature = "os-entropy")]
    Os,
    /// A function that fills a buffer with unpredictable, cryptographically strong bytes: see
    /// [`from_fn`](Entropy::from_fn).
    Function(Shared<Fill>),
    /// A reproducible sequence that starts anew for each connection. It is predictable: use it in tests and
    /// simulations only.
    Seed(u64),
}

#[cfg_attr(
    not(feature = "os-entropy"),
    allow(clippy::derivable_impls, reason = "the default depends on a feature")
)]
impl Default for Entropy {
    fn default() -> Self {
        #[cfg(feature = "os-entropy")]
        return Entropy::Os;
        #[cfg(not(feature = "os-entropy"))]
        return Entropy::None;
    }
}

// A panic of the caller's function leaves no key half drawn: the bytes that it has filled are dropped with the panic.
impl UnwindSafe for Entropy {}
impl RefUnwindSafe for Entropy {}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Entropy::None => "None",
            #[cfg(feature = "os-entropy")]
            Entropy::Os => "Os",
            Entropy::Function(_) => "Function",
            Entropy::Seed(_) => "Seed",
        })
    }
}

impl Entropy {
    /// Makes a source of a function that fills a buffer with unpredictable, cryptographically strong bytes. It is
    /// called with 4 bytes for each frame of a client, with 16 bytes for each request, and with 4 bytes when a client
    /// is created, for the key of its Close. If it returns an error, the call that needed the bytes fails, and the next
    /// call tries again. If the bytes were for the answer to a ping, the connection ends with
    /// [`CloseCause::Entropy`](crate::CloseCause::Entropy).
    ///
    /// The function may have state behind a lock: a generator of the program, or the hardware of a board. It may be
    /// called from each thread that has a connection (where there are no atomics, from one thread only).
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use websocket_proto::{Entropy, EntropyError};
    ///
    /// # struct Generator;
    /// # impl Generator {
    /// #     fn new() -> Generator { Generator }
    /// #     fn try_fill(&mut self, _: &mut [u8]) -> Result<(), ()> { Ok(()) }
    /// # }
    /// let generator = Mutex::new(Generator::new()); // the board's driver
    /// let entropy = Entropy::from_fn(move |out| {
    ///     let mut generator = generator.lock().map_err(|_| EntropyError)?;
    ///     generator.try_fill(out).map_err(|_| EntropyError)
    /// });
    /// ```
    ///
    /// Without the standard library, the lock is that of the board. With the crate `critical-section`, and a
    /// `static GENERATOR: critical_section::Mutex<RefCell<Generator>>`, the function is:
    ///
    /// ```ignore
    /// let entropy = Entropy::from_fn(|out| {
    ///     critical_section::with(|cs| GENERATOR.borrow_ref_mut(cs).try_fill(out)).map_err(|_| EntropyError)
    /// });
    /// ```
    #[cfg(target_has_atomic = "ptr")]
    pub fn from_fn(
        fill: impl Fn(&mut [u8]) -> Result<(), EntropyError> + Send + Sync + 'static,
    ) -> Entropy {
        Entropy::Function(Shared::new(fill))
    }

    /// Makes a source of a function that fills a buffer with unpredictable, cryptographically strong bytes. It is
    /// called with 4 bytes for each frame of a client, with 16 bytes for each request, and with 4 bytes when a client
    /// is created, for the key of its Close.
    #[cfg(not(target_has_atomic = "ptr"))]
    pub fn from_fn(fill: impl Fn(&mut [u8]) -> Result<(), EntropyError> + 'static) -> Entropy {
        Entropy::Function(Shared::new(fill))
    }

    /// Drops a batch that this process has inherited by a fork. Called when a client's connection is created.
    pub(crate) fn drop_inherited_batch(&self) {
        #[cfg(all(feature = "os-entropy", unix))]
        if let Entropy::Os = self {
            os::drop_inherited_batch();
        }
    }

    /// Draws a masking key. RFC 6455 5.3: every frame has a new, unpredictable key.
    #[inline]
    pub(crate) fn mask_key(&self, state: &mut u32) -> Result<[u8; 4], EntropyError> {
        self.draw(state)
    }

    /// Draws the nonce of an opening handshake. RFC 6455 4.1: it is random for each connection.
    #[inline]
    pub(crate) fn nonce(&self, state: &mut u32) -> Result<[u8; 16], EntropyError> {
        self.draw(state)
    }

    /// Draws the next `N` bytes. `state` counts the words that this connection has drawn from [`Entropy::Seed`].
    #[inline]
    fn draw<const N: usize>(&self, state: &mut u32) -> Result<[u8; N], EntropyError> {
        let mut bytes = [0; N];
        match self {
            Entropy::None => return Err(EntropyError),
            #[cfg(feature = "os-entropy")]
            Entropy::Os => return os::draw(),
            Entropy::Function(fill) => fill(&mut bytes)?,
            Entropy::Seed(seed) => {
                for chunk in bytes.chunks_mut(8) {
                    *state = state.wrapping_add(1);
                    let place = u64::from(*state).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let word = split_mix(seed ^ place).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
        Ok(bytes)
    }
}

/// The finalizer of SplitMix64: similar inputs give unrelated outputs.
pub(crate) fn split_mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The source of entropy failed. No key or nonce was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("source of entropy failed")
    }
}

impl core::error::Error for EntropyError {}

/// Batches of entropy, one per thread: there is no lock, and one system call for 1,024 keys. The operating system's
/// CSPRNG gives a seed of 256 bits for each batch. ChaCha12 expands it, several times faster than the kernel would.
#[cfg(feature = "os-entropy")]
mod os {
    use std::cell::RefCell;

    use chacha20::ChaCha12Rng;
    use chacha20::rand_core::{Rng, SeedableRng};

    use super::EntropyError;

    const BATCH: usize = 4096;

    struct Batch {
        bytes: [u8; BATCH],
        used: usize,
        /// The ids of the process and of its parent when the last connection was created. The process id alone is not
        /// enough: it may occur again in a grandchild or in another PID namespace.
        #[cfg(unix)]
        process: (u32, u32),
    }

    thread_local! {
        static UNUSED: RefCell<Batch> = const {
            RefCell::new(Batch {
                bytes: [0; BATCH],
                used: BATCH,
                #[cfg(unix)]
                process: (0, 0),
            })
        };
    }

    /// Drops the rest of the batch if it was read before a fork, by a parent process.
    #[cfg(unix)]
    pub(super) fn drop_inherited_batch() {
        let process = (std::process::id(), std::os::unix::process::parent_id());
        UNUSED.with_borrow_mut(|batch| {
            if batch.process != process {
                batch.process = process;
                batch.used = BATCH;
            }
        });
    }

    /// Draws the next `N` bytes of the batch.
    #[inline]
    pub(super) fn draw<const N: usize>() -> Result<[u8; N], EntropyError> {
        const { assert!(N <= BATCH) };
        UNUSED.with_borrow_mut(|batch| {
            if batch.used + N > BATCH {
                batch.refill()?;
            }
            let place = &batch.bytes[batch.used..batch.used + N];
            batch.used += N;
            Ok(place.try_into().expect("this many bytes were sliced"))
        })
    }

    impl Batch {
        #[cold]
        fn refill(&mut self) -> Result<(), EntropyError> {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|_| EntropyError)?;
            ChaCha12Rng::from_seed(seed).fill_bytes(&mut self.bytes);
            self.used = 0;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_is_reproducible_and_never_repeats_a_key() {
        let draw = |seed| {
            let mut state = 0;
            (0..1000)
                .map(|_| Entropy::Seed(seed).mask_key(&mut state).expect("a seed cannot fail"))
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(draw(7).len(), 1000);
    }

    #[cfg(feature = "os-entropy")]
    #[test]
    fn os_keys_are_distinct_with_no_fixed_difference() {
        // rfc6455-5.3-03, rfc6455-5.3-04
        let keys: std::vec::Vec<u32> = (0..3000)
            .map(|_| u32::from_le_bytes(Entropy::Os.mask_key(&mut 0).expect("the OS has entropy")))
            .collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert!(distinct.len() > 2990, "{} of 3000 keys are distinct", distinct.len());
        let steps: std::collections::BTreeSet<_> =
            keys.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        assert!(steps.len() > 2980, "{} of 2999 steps are distinct", steps.len());
    }

    #[cfg(feature = "os-entropy")]
    #[test]
    fn os_nonces_and_keys_share_no_bytes() {
        let mut words = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let nonce = Entropy::Os.nonce(&mut 0).expect("the OS has entropy");
            let key = Entropy::Os.mask_key(&mut 0).expect("the OS has entropy");
            words.extend(nonce.chunks(4).map(<[u8]>::to_vec).chain([key.to_vec()]));
        }
        assert!(words.len() > 4990, "{} of 5000 words are distinct", words.len());
    }

    #[test]
    fn no_source_is_an_error() {
        assert_eq!(Entropy::None.mask_key(&mut 0), Err(EntropyError));
    }
}
