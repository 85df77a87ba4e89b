//! What others send is data: each class of bad input leaves a real node unharmed, and costs whoever sent it.
//!
//! One thread, its honest writer and a victim that can read it, on loopback. Attackers hold real keys of the thread, as a member or a follower that
//! has turned bad would. After every attack the victim takes what the honest writer writes next.
//!
//! What is signed as it should be and makes no sense is another matter (`transactions`): everybody keeps it, makes the same of it, and thinks no worse of whoever sent it.

#[cfg(test)]
mod hostile {
    mod attacks;
    mod records;
    mod requests;
    mod scene;
    mod sources;
    mod transactions;
}
