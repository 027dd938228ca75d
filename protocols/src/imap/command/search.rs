//! SEARCH (RFC 9051 section 6.4.4, RFC 4731, RFC 5182). The snapshot answers what it can; about the rest the store is
//! asked in batches.

use std::sync::Arc;

use super::{Finish, News, Running, Step};
use crate::imap::core::Core;
use crate::imap::encode;
use crate::imap::parser::command::Addressing;
use crate::imap::parser::search::{SearchArguments, SearchReturn};
use crate::imap::search::{SearchPlan, SearchProgram, compile, decide};
use crate::imap::store::{Reply, Request, StoreError, Uid};
use crate::imap::uids::UidRanges;
use crate::limits::imap::{OUTPUT_BYTES_PAUSE, SEARCH_BATCH_MESSAGES, SEARCH_SLICE_STEPS};

pub(super) fn start(core: &mut Core, tag: &str, arguments: SearchArguments, addressing: Addressing) -> Step {
    let Some(snapshot) = &core.selected else { return Finish::internal().into() };
    let program = compile(&arguments.key, snapshot);
    // RFC 7162 section 3.1: the MODSEQ key enables CONDSTORE.
    core.features.condstore |= program.asks_modseq;
    let returning = match arguments.returning {
        // RFC 9051 section 6.4.4: IMAP4rev2 always answers with ESEARCH.
        None if core.features.rev2 => Some(SearchReturn { all: true, ..SearchReturn::default() }),
        returning => returning,
    };
    let searching = Searching {
        program: Arc::new(program),
        tag: tag.to_owned(),
        returning,
        addressing,
        position: 0,
        found: Vec::new(),
    };
    searching.scan(core)
}

/// A SEARCH in progress.
struct Searching {
    program: Arc<SearchProgram>,
    tag: String,
    returning: Option<SearchReturn>,
    addressing: Addressing,
    position: usize,
    found: Vec<Uid>,
}

impl Searching {
    /// Goes on through the snapshot until the store has to be asked, or to its end.
    fn scan(mut self, core: &mut Core) -> Step {
        let Some(snapshot) = &core.selected else { return Finish::internal().into() };
        let mut candidates = Vec::new();
        let slice = SEARCH_SLICE_STEPS / self.program.keys.max(1);
        for (tested, state) in snapshot.messages().iter().skip(self.position).enumerate() {
            if candidates.len() >= SEARCH_BATCH_MESSAGES {
                break;
            }
            if tested > slice && candidates.is_empty() {
                return Step::Yield(Box::new(self));
            }
            self.position += 1;
            match decide(&self.program, state) {
                Some(true) => self.found.push(state.uid),
                Some(false) => {}
                None => candidates.push(*state),
            }
        }
        if candidates.is_empty() {
            return self.answer(core);
        }
        let plan = SearchPlan { folder: snapshot.folder, program: self.program.clone(), candidates };
        Step::Call(Request::Search(Arc::new(plan)), Box::new(self))
    }

    fn answer(mut self, core: &mut Core) -> Step {
        self.found.sort_unstable();
        self.found.dedup();
        let Some(snapshot) = &mut core.selected else { return Finish::internal().into() };
        let told = told(&self.found, self.returning.unwrap_or_default());
        let modseq = self.program.asks_modseq.then(|| {
            let states = told.iter().filter_map(|uid| snapshot.messages().get(snapshot.position(uid)?));
            states.map(|state| state.modseq).max().unwrap_or(0)
        });
        if self.returning.is_some_and(|returning| returning.save) {
            snapshot.saved = told;
        }
        let numbers: Vec<u32> = match self.addressing {
            Addressing::Uid => self.found,
            Addressing::Sequence => {
                let positions = self.found.iter().filter_map(|uid| snapshot.position(*uid));
                positions.map(|position| u32::try_from(position + 1).unwrap_or(u32::MAX)).collect()
            }
        };
        let finish = finish(self.addressing);
        match self.returning {
            None => {
                Box::new(Listing { numbers, next: 0, modseq: modseq.filter(|modseq| *modseq > 0), finish }).resume(core)
            }
            Some(returning) => {
                write_extended(core, &self.tag, returning, self.addressing, &numbers, modseq);
                finish.into()
            }
        }
    }
}

/// RFC 9051 section 7.5.1: sequence numbers must not move during SEARCH, but may during UID SEARCH.
fn finish(addressing: Addressing) -> Finish {
    let news = if addressing == Addressing::Uid { News::IfAny } else { News::Hold };
    Finish::ok("SEARCH completed").news(news)
}

/// The messages a response is about: with MIN and MAX alone, these two; else all. It is these that SAVE keeps
/// (RFC 5182 section 2.4) and whose greatest MODSEQ is told (RFC 4731 section 3.2).
fn told(found: &[Uid], returning: SearchReturn) -> UidRanges {
    let only_ends = (returning.min || returning.max) && !returning.all && !returning.count;
    if !only_ends {
        return found.iter().copied().collect();
    }
    let least = found.first().filter(|_| returning.min);
    let greatest = found.last().filter(|_| returning.max);
    least.into_iter().chain(greatest).copied().collect()
}

/// ```text
/// esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
/// ```
fn write_extended(
    core: &mut Core,
    tag: &str,
    returning: SearchReturn,
    addressing: Addressing,
    numbers: &[u32],
    modseq: Option<u64>,
) {
    if !(returning.min || returning.max || returning.all || returning.count) {
        // RFC 5182 section 2.1: only SAVE was asked for, so there is nothing to say.
        return;
    }
    core.write("* ESEARCH (TAG \"");
    core.write(tag);
    core.write("\")");
    if addressing == Addressing::Uid {
        core.write(" UID");
    }
    for (asked, label, number) in [(returning.min, " MIN ", numbers.first()), (returning.max, " MAX ", numbers.last())]
    {
        if let Some(number) = number.filter(|_| asked) {
            core.write(label);
            core.number((*number).into());
        }
    }
    if returning.all && !numbers.is_empty() {
        core.write(" ALL ");
        encode::ranges(&mut core.out, &numbers.iter().copied().collect());
    }
    if returning.count {
        core.write(" COUNT ");
        core.number(numbers.len() as u64);
    }
    if let Some(modseq) = modseq.filter(|_| !numbers.is_empty()) {
        core.write(" MODSEQ ");
        core.number(modseq);
    }
    core.write("\r\n");
}

impl Running for Searching {
    fn resume(self: Box<Self>, core: &mut Core) -> Step {
        self.scan(core)
    }

    fn reply(mut self: Box<Self>, core: &mut Core, reply: Result<Reply, StoreError>) -> Step {
        match reply {
            Ok(Reply::Matched(mut uids)) => {
                self.found.append(&mut uids);
                self.scan(core)
            }
            result => {
                if let Some(snapshot) = core.selected.as_mut().filter(|_| self.returning.is_some_and(|ret| ret.save)) {
                    // RFC 5182 section 2.1: a failed search leaves nothing saved.
                    snapshot.saved = UidRanges::new();
                }
                match result {
                    Err(error) => Finish::refused(error).into(),
                    Ok(_) => Finish::internal().into(),
                }
            }
        }
    }
}

/// `* SEARCH 1 2 3`, in pieces.
struct Listing {
    numbers: Vec<u32>,
    next: usize,
    modseq: Option<u64>,
    finish: Finish,
}

impl Running for Listing {
    fn reply(self: Box<Self>, _: &mut Core, _: Result<Reply, StoreError>) -> Step {
        Finish::internal().into()
    }

    fn resume(mut self: Box<Self>, core: &mut Core) -> Step {
        if self.next == 0 {
            core.write("* SEARCH");
        }
        while let Some(number) = self.numbers.get(self.next) {
            self.next += 1;
            core.out.push(b' ');
            encode::number(&mut core.out, (*number).into());
            if core.out.len() >= OUTPUT_BYTES_PAUSE {
                return Step::More(self);
            }
        }
        if let Some(modseq) = self.modseq {
            core.write(" (MODSEQ ");
            core.number(modseq);
            core.write(")");
        }
        core.write("\r\n");
        self.finish.into()
    }
}
