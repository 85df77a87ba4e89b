//! Joining of what two sets of keys know about one thread.

use std::collections::{BTreeMap, BTreeSet};

use super::{Epoch, Error, LogGrant};
use crate::id::{KeyId, LogId};

/// The epochs of both, in an order that agrees with both. Symmetric.
pub(super) fn epochs(ours: &[Epoch], theirs: &[Epoch]) -> Result<Vec<Epoch>, Error> {
    let our_ids: BTreeSet<_> = ours.iter().map(Epoch::key_id).collect();
    let common: BTreeSet<_> = theirs.iter().map(Epoch::key_id).filter(|id| our_ids.contains(id)).collect();
    if common.is_empty() && !ours.is_empty() && !theirs.is_empty() {
        return Err(Error::Unrelated);
    }
    let mut merged = Vec::with_capacity(ours.len() + theirs.len() - common.len());
    let (mut ours, mut theirs) = (ours, theirs);
    loop {
        merge_gap(&mut merged, take_gap(&mut ours, &common), take_gap(&mut theirs, &common));
        match (ours.split_first(), theirs.split_first()) {
            (Some((our, our_rest)), Some((their, their_rest))) => {
                if our.key_id() != their.key_id() {
                    return Err(Error::Order);
                }
                merged.push(our.join(their)?);
                (ours, theirs) = (our_rest, their_rest);
            }
            // Both run out together: each still begins with a common epoch or is at its end.
            (None, None) => return Ok(merged),
            (Some(_), None) | (None, Some(_)) => return Err(Error::Order),
        }
    }
}

/// Cuts off what comes before the next common epoch.
fn take_gap<'a>(epochs: &mut &'a [Epoch], common: &BTreeSet<KeyId>) -> &'a [Epoch] {
    let length = epochs.iter().take_while(|epoch| !common.contains(&epoch.key_id())).count();
    let (gap, rest) = epochs.split_at(length);
    *epochs = rest;
    gap
}

fn merge_gap<'a>(merged: &mut Vec<Epoch>, mut ours: &'a [Epoch], mut theirs: &'a [Epoch]) {
    while let (Some(our), Some(their)) = (ours.first(), theirs.first()) {
        let next = if our.key_id() < their.key_id() { &mut ours } else { &mut theirs };
        merged.push(next[0].clone());
        *next = &next[1..];
    }
    merged.extend_from_slice(ours);
    merged.extend_from_slice(theirs);
}

/// The grants that say more than `epochs` do; those that say the same are left out, those that contradict are an error.
pub(super) fn logs<'a>(
    epochs: &[Epoch],
    grants: impl Iterator<Item = &'a LogGrant>,
) -> Result<BTreeMap<(LogId, KeyId), LogGrant>, Error> {
    let mut merged: BTreeMap<(LogId, KeyId), LogGrant> = BTreeMap::new();
    for grant in grants {
        let place = (*grant.log(), grant.key_id());
        let mut joined = match merged.get(&place) {
            Some(known) => known.join(grant)?,
            None => grant.clone(),
        };
        if let Some(epoch) = epochs.iter().find(|epoch| epoch.key_id() == grant.key_id()) {
            let derived = LogGrant::derive(epoch, grant.log());
            joined = joined.join(&derived)?;
            if joined == derived {
                continue;
            }
        }
        merged.insert(place, joined);
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::super::{AccessKey, LogKeys, ThreadKeys};
    use super::*;
    use crate::key_set::Scope;

    fn epoch(seed: u8) -> Epoch {
        Epoch::generate([seed; 64])
    }

    fn log(seed: u8) -> LogId {
        LogId::from(&SigningKey::from_bytes(&[seed; 32]))
    }

    fn thread(seeds: &[u8]) -> ThreadKeys {
        ThreadKeys::new(seeds.iter().map(|seed| epoch(*seed)).collect()).unwrap()
    }

    fn merged(one: &ThreadKeys, other: &ThreadKeys) -> Result<(ThreadKeys, bool), Error> {
        let mut keys = one.clone();
        let result = keys.merge(other);
        if result.is_err() {
            assert_eq!(&keys, one, "a failed merge changes nothing");
        }
        result.map(|changed| (keys, changed))
    }

    #[test]
    fn a_follower_becomes_a_reader_and_never_the_reverse() {
        let reader = thread(&[1, 2]);
        let follower = reader.to_set(Scope::Follow).unwrap().into_keys();
        assert!(reader.can_read() && !follower.can_read());
        assert_eq!(merged(&follower, &reader), Ok((reader.clone(), true)));
        assert_eq!(merged(&reader, &follower), Ok((reader.clone(), false)));
        assert_eq!(follower.to_set(Scope::Read).unwrap_err(), Error::CannotRead);
    }

    #[test]
    fn a_service_key_learns_the_admission_key() {
        let reader = thread(&[1]);
        let service = ThreadKeys::from_textile(reader.current().unwrap().follow().as_bytes()).unwrap();
        let follower = reader.to_set(Scope::Follow).unwrap().into_keys();
        let id = reader.current().unwrap().key_id();
        assert!(service.admission(&id).is_none() && follower.admission(&id).is_some());
        assert_eq!(merged(&service, &follower), Ok((follower.clone(), true)));
        assert_eq!(merged(&follower, &service), Ok((follower, false)));
    }

    #[test]
    fn epochs_keep_their_order_whoever_joins_whom() {
        for (one, other, both) in [
            (&[1, 2][..], &[2, 3][..], &[1, 2, 3][..]),
            (&[2], &[1, 2], &[1, 2]),
            (&[1, 2, 3, 4], &[1, 4], &[1, 2, 3, 4]),
            (&[1, 2, 4], &[2, 3, 4, 5], &[1, 2, 3, 4, 5]),
        ] {
            let (one, other, both) = (thread(one), thread(other), thread(both));
            assert_eq!(merged(&one, &other).unwrap().0, both);
            assert_eq!(merged(&other, &one).unwrap().0, both);
            assert_eq!(both.access(), &AccessKey::of(both.current().unwrap().follow()));
        }
    }

    #[test]
    fn two_changes_of_key_at_once_end_in_one_order() {
        let (one, other) = (thread(&[1, 2]), thread(&[1, 3]));
        let (forth, back) = (merged(&one, &other).unwrap().0, merged(&other, &one).unwrap().0);
        assert_eq!(forth, back);
        assert_eq!(forth.epochs().len(), 3);
    }

    #[test]
    fn what_contradicts_is_refused() {
        assert_eq!(merged(&thread(&[1, 2]), &thread(&[2, 1])), Err(Error::Order));
        assert_eq!(merged(&thread(&[1]), &thread(&[2])), Err(Error::Unrelated));
        let genuine = epoch(1);
        let forged = Epoch::new(genuine.follow().clone(), epoch(2).read().unwrap().clone());
        let forged = ThreadKeys::new(vec![forged]).unwrap();
        let conflict = Error::Conflict(genuine.key_id());
        assert_eq!(merged(&thread(&[1]), &forged), Err(conflict.clone()));
        // A follower knows the admission key, and so refuses a read key that it does not follow from.
        let follower = ThreadKeys::new(vec![genuine.without_read()]).unwrap();
        assert_eq!(merged(&follower, &forged), Err(conflict));
    }

    #[test]
    fn a_newer_epoch_moves_the_thread() {
        let mut keys = thread(&[1]);
        let topic = keys.access().topic();
        assert_eq!(keys.advance(epoch(2).without_read()), Ok(true));
        assert_ne!(keys.access().topic(), topic);
        assert!(!keys.can_read());
        assert_eq!(keys.advance(epoch(2)), Ok(true));
        assert_eq!(keys.advance(epoch(2)), Ok(false));
        assert_eq!(keys.advance(epoch(1)), Ok(false));
        assert_eq!(keys, thread(&[1, 2]));
    }

    #[test]
    fn single_logs_open_those_logs_and_no_others() {
        let owner = thread(&[1, 2]);
        let guest = owner.to_log_set(&[log(1)], Scope::Read).unwrap().into_keys();
        for epoch in owner.epochs() {
            let id = epoch.key_id();
            assert_eq!(guest.log_keys(&id, &log(1)), Some(LogKeys::derive(epoch, &log(1))));
            assert_eq!(guest.log_keys(&id, &log(2)), None);
            assert_eq!(guest.admission(&id), epoch.admission());
        }
        assert_eq!(guest.key_ids().collect::<BTreeSet<_>>(), owner.key_ids().collect());
        assert_eq!(owner.key_ids().next(), owner.current().map(Epoch::key_id));
        assert_eq!(guest.access(), owner.access());
        assert!(guest.current().is_none() && guest.can_read());
        assert_eq!(guest.to_log_set(&[log(2)], Scope::Follow).unwrap_err(), Error::UnknownLog);
        assert_eq!(guest.to_log_set(&[log(1)], Scope::Read), owner.to_log_set(&[log(1)], Scope::Read));
    }

    #[test]
    fn single_logs_are_absorbed_by_the_whole_thread() {
        let owner = thread(&[1]);
        let guest = owner.to_log_set(&[log(1)], Scope::Read).unwrap().into_keys();
        assert_eq!(merged(&guest, &owner), Ok((owner.clone(), true)));
        assert_eq!(merged(&owner, &guest), Ok((owner.clone(), false)));
        // A follower of the thread who may read one log keeps both.
        let follower = owner.to_set(Scope::Follow).unwrap().into_keys();
        let (both, _) = merged(&follower, &guest).unwrap();
        let id = owner.current().unwrap().key_id();
        assert_eq!(both.log_keys(&id, &log(1)), owner.log_keys(&id, &log(1)));
        assert!(both.log_keys(&id, &log(2)).unwrap().read().is_none());
        assert_eq!(ThreadKeys::from_bytes(&both.to_bytes()).unwrap(), both);
        assert_eq!(merged(&both, &owner), Ok((owner, true)));
    }

    #[test]
    fn forged_keys_of_a_log_are_refused() {
        let owner = thread(&[1]);
        let other = Epoch::new(epoch(1).follow().clone(), epoch(2).read().unwrap().clone());
        let forged = ThreadKeys::single_logs(owner.access().clone(), vec![LogGrant::derive(&other, &log(1))]).unwrap();
        let conflict = Err(Error::Conflict(epoch(1).key_id()));
        assert_eq!(merged(&owner, &forged), conflict);
        let genuine = owner.to_log_set(&[log(1)], Scope::Read).unwrap().into_keys();
        assert_eq!(merged(&genuine, &forged), conflict);
    }

    #[test]
    fn an_old_set_of_single_logs_does_not_move_the_thread_back() {
        let old = thread(&[1]).to_log_set(&[log(1)], Scope::Read).unwrap().into_keys();
        let new = thread(&[1, 2]).to_log_set(&[log(1)], Scope::Read).unwrap().into_keys();
        assert_eq!(merged(&old, &new), Ok((new.clone(), true)));
        assert_eq!(merged(&new, &old), Ok((new, false)));
    }
}
