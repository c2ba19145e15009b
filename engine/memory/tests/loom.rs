//! The protocols of the append buffer and the budget under every interleaving. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p thermocline-memory --release --test loom`.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;
use thermocline_memory::{AppendBuffer, Budget, BudgetKind};

/// The witness cells stand for the bytes: loom fails the test when a read is not ordered after the write.
#[test]
fn what_a_reader_gets_was_wholly_written_before() {
    // All interleavings with at most three preemptions: a second instead of a minute, and the bugs of such protocols need two.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let buffer = AppendBuffer::new(4).unwrap();
        let reserve = Arc::new(Mutex::new(0_usize));
        let witness = Arc::new([UnsafeCell::new(0_u8), UnsafeCell::new(0_u8)]);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (buffer, reserve, witness) = (buffer.clone(), reserve.clone(), witness.clone());
                thread::spawn(move || {
                    let mut fill = {
                        let mut next = reserve.lock().unwrap();
                        let start = *next;
                        *next += 2;
                        buffer.claim(start..start + 2)
                    };
                    let at = fill.range().start / 2;
                    // SAFETY: only the owner of this fill writes this cell.
                    witness[at].with_mut(|byte| unsafe { *byte = 7 });
                    fill.fill(7);
                })
            })
            .collect();
        for end in [2, 4] {
            if let Some(bytes) = buffer.read(0..end) {
                assert!(bytes.iter().all(|&byte| byte == 7));
                for cell in &witness[..end / 2] {
                    // SAFETY: the buffer says that the fill has ended; loom checks that this is ordered.
                    cell.with(|byte| assert_eq!(unsafe { *byte }, 7));
                }
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(buffer.filled(), buffer.claimed());
        assert_eq!(buffer.read(0..4), Some(&[7_u8; 4][..]));
    });
}

#[test]
fn the_budget_is_never_above_its_limit() {
    loom::model(|| {
        let budget = Budget::new(10);
        let threads: Vec<_> = [BudgetKind::Index, BudgetKind::Arena]
            .into_iter()
            .map(|kind| {
                let budget = budget.clone();
                thread::spawn(move || {
                    let charge = budget.charge(kind, 6);
                    assert!(budget.total() <= 10);
                    charge.is_ok()
                })
            })
            .collect();
        assert!(budget.total() <= 10);
        assert!(budget.used(BudgetKind::Index) + budget.used(BudgetKind::Arena) <= 12);
        let granted = threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count();
        assert!(granted >= 1, "two charges of 6 into 10: at least one fits");
        assert_eq!(budget.total(), 0);
    });
}
