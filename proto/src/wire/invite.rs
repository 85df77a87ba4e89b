use std::{fmt, num::NonZeroU32};

use super::{
    Error, field,
    limits::MAX_BODIES_DAYS,
    pb,
    proof::{Terms, bodies_days},
};
use crate::{
    Multiaddr,
    limits::{MAX_ADDRESS_BYTES, MAX_ADDRESSES},
};

/// What became of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InviteAnswer {
    /// It was taken.
    Accepted {
        /// Bodies older than so many days will not be kept; `None`: everything will.
        bodies_days: Option<NonZeroU32>,
        /// Where the recipient says that it can be reached.
        addresses: Vec<Multiaddr>,
    },
    /// It was not.
    Declined(Declined),
}

/// Why an invitation was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Declined {
    /// It does not open, or its signature or contents are wrong.
    Invalid,
    /// It was issued too long ago, or in the future.
    Expired,
    /// The node does not follow for others.
    NotOffered,
    /// It does, for others.
    NotListed,
    /// The code is wrong, or there is none.
    WrongCode,
    /// It follows as many threads of this identity as it is willing to.
    TooManyThreads,
    /// The threads of this identity use as many bytes as they may.
    TooManyBytes,
    /// Too much is under way.
    Busy,
    /// It does not follow the thread for this identity.
    NotFollowed,
}

impl Declined {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::Expired,
        Self::NotOffered,
        Self::NotListed,
        Self::WrongCode,
        Self::TooManyThreads,
        Self::TooManyBytes,
        Self::Busy,
        Self::NotFollowed,
    ];

    /// A stable name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid-invitation",
            Self::Expired => "expired-invitation",
            Self::NotOffered => "not-offered",
            Self::NotListed => "not-listed",
            Self::WrongCode => "wrong-code",
            Self::TooManyThreads => "too-many-threads",
            Self::TooManyBytes => "too-many-bytes",
            Self::Busy => "follower-busy",
            Self::NotFollowed => "not-followed",
        }
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "it finds the invitation invalid: are both of the same version?",
            Self::Expired => "it finds the invitation expired: compare the clocks of both machines",
            Self::NotOffered => "it does not offer to follow; its operator can change that with the setting `follow`",
            Self::NotListed => {
                "it follows for others only; ask its operator to put this node or identity on the list `follow-allow`"
            }
            Self::WrongCode => "it wants another code; ask its operator for it and give it with `--code`",
            Self::TooManyThreads => {
                "it follows as many threads of this identity as it is willing to (its setting `follow-max-threads`)"
            }
            Self::TooManyBytes => {
                "the threads of this identity use as much of it as they may (its setting `follow-max-mib`)"
            }
            Self::Busy => "it is busy; try again later",
            Self::NotFollowed => "it does not follow the thread for this identity",
        })
    }
}

impl TryFrom<pb::InviteResponse> for InviteAnswer {
    type Error = Error;

    fn try_from(response: pb::InviteResponse) -> Result<Self, Error> {
        use pb::invite_response::{Answer, declined::Code};
        match response.answer.ok_or(Error::Missing { field: "InviteResponse.answer" })? {
            Answer::Accepted(accepted) => {
                field::count("Accepted.addresses", &accepted.addresses, MAX_ADDRESSES)?;
                let addresses = accepted.addresses.iter().map(|bytes| {
                    field::length("Accepted.addresses", bytes, 1, MAX_ADDRESS_BYTES)?;
                    let no_address = |_| Error::Invalid { field: "Accepted.addresses", reason: "not a multiaddr" };
                    Multiaddr::try_from(bytes.to_vec()).map_err(no_address)
                });
                Ok(Self::Accepted {
                    bodies_days: bodies_days("Accepted.bodies_days", accepted.bodies_days)?,
                    addresses: addresses.collect::<Result<_, _>>()?,
                })
            }
            Answer::Declined(declined) => Ok(Self::Declined(match Code::try_from(declined.code) {
                Ok(Code::Invalid) => Declined::Invalid,
                Ok(Code::Expired) => Declined::Expired,
                Ok(Code::NotOffered) => Declined::NotOffered,
                Ok(Code::NotListed) => Declined::NotListed,
                Ok(Code::WrongCode) => Declined::WrongCode,
                Ok(Code::TooManyThreads) => Declined::TooManyThreads,
                Ok(Code::TooManyBytes) => Declined::TooManyBytes,
                Ok(Code::Busy) => Declined::Busy,
                Ok(Code::NotFollowed) => Declined::NotFollowed,
                Ok(Code::Unspecified) | Err(_) => {
                    return Err(Error::Unknown { field: "Declined.code", value: declined.code.into() });
                }
            })),
        }
    }
}

impl From<InviteAnswer> for pb::InviteResponse {
    fn from(answer: InviteAnswer) -> Self {
        use pb::invite_response::{self as response, Answer, declined::Code};
        let answer = match answer {
            InviteAnswer::Accepted { bodies_days, addresses } => Answer::Accepted(response::Accepted {
                bodies_days: Terms { bodies_days, is_full: false }.days().min(MAX_BODIES_DAYS),
                addresses: addresses.iter().map(|address| address.to_vec().into()).collect(),
            }),
            InviteAnswer::Declined(declined) => {
                let code = match declined {
                    Declined::Invalid => Code::Invalid,
                    Declined::Expired => Code::Expired,
                    Declined::NotOffered => Code::NotOffered,
                    Declined::NotListed => Code::NotListed,
                    Declined::WrongCode => Code::WrongCode,
                    Declined::TooManyThreads => Code::TooManyThreads,
                    Declined::TooManyBytes => Code::TooManyBytes,
                    Declined::Busy => Code::Busy,
                    Declined::NotFollowed => Code::NotFollowed,
                };
                Answer::Declined(response::Declined { code: code.into() })
            }
        };
        Self { answer: Some(answer) }
    }
}
