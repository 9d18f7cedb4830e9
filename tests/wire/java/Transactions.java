import de.bwaldvogel.mongo.bson.Document;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.Supplier;

/**
 * Transactions with snapshot isolation over data that knows only its present state.
 *
 * The data is at rest in the committed state. For a command of a transaction what others committed
 * since it began is taken back and its own writes are made; after the command that is reversed. So
 * nobody else sees them. The first to write a document wins; the other gets a write conflict.
 */
final class Transactions {
    private static final long WAIT = 10_000;
    private static final long LIFETIME = 60_000;

    /** An open transaction: what it wrote, and how many of {@code later} it can see. */
    static final class Transaction {
        private final List<Recorder.Written> writes = new ArrayList<>();
        private final long end = System.currentTimeMillis() + LIFETIME;
        private final int seen;

        private Transaction(int seen) {
            this.seen = seen;
        }
    }

    private final Recorder recorder;
    private final Object lock;
    private final List<Transaction> open = new ArrayList<>();
    /** What was committed while transactions are open. */
    private final List<Recorder.Written> later = new ArrayList<>();

    /** {@code lock}: what every caller holds; it is let go while a write waits for a transaction. */
    Transactions(Recorder recorder, Object lock) {
        this.recorder = recorder;
        this.lock = lock;
    }

    Transaction begin() {
        long now = System.currentTimeMillis();
        open.stream().filter(one -> one.end < now).toList().forEach(this::abort);
        Transaction transaction = new Transaction(later.size());
        open.add(transaction);
        return transaction;
    }

    /** Whether it is neither committed nor aborted. */
    boolean isOpen(Transaction transaction) {
        return open.contains(transaction);
    }

    void abortAll() {
        List.copyOf(open).forEach(this::abort);
    }

    /** Does the work of a command as the transaction sees the data. A failure ends the transaction. */
    Document within(Transaction transaction, Supplier<Document> work) {
        List<Recorder.Written> unseen = List.copyOf(later.subList(transaction.seen, later.size()));
        Recorder.undo(unseen);
        Recorder.redo(transaction.writes);
        recorder.begin();
        Document answer = null;
        try {
            answer = work.get().cloneDeeply();
        } finally {
            List<Recorder.Written> fresh = recorder.end();
            Recorder.undo(fresh);
            Recorder.undo(transaction.writes);
            Recorder.redo(unseen);
            transaction.writes.addAll(fresh);
            if (answer == null || answer.containsKey("writeErrors")) {
                abort(transaction);
            }
            if (meets(fresh, unseen) || isHeld(fresh, transaction)) {
                abort(transaction);
                throw Refusal.conflict();
            }
        }
        return answer;
    }

    /** Makes the transaction's writes part of the committed state. */
    void commit(Transaction transaction) {
        abort(transaction);
        try {
            Recorder.redo(transaction.writes);
        } catch (RuntimeException duplicate) {
            throw Refusal.conflict();
        }
        keep(transaction.writes);
    }

    /** Forgets the transaction. */
    void abort(Transaction transaction) {
        if (open.remove(transaction) && open.isEmpty()) {
            later.clear();
        }
        lock.notifyAll();
    }

    /** Does the work of a command outside of transactions. A write waits for those that hold a document. */
    Document outside(Supplier<Document> work) {
        long end = System.currentTimeMillis() + WAIT;
        while (!open.isEmpty()) {
            recorder.begin();
            Document answer = null;
            RuntimeException failure = null;
            try {
                answer = work.get();
            } catch (RuntimeException error) {
                failure = error;
            }
            List<Recorder.Written> fresh = recorder.end();
            if (!isHeld(fresh, null)) {
                keep(fresh);
                if (failure != null) {
                    throw failure;
                }
                return answer;
            }
            Recorder.undo(fresh);
            if (System.currentTimeMillis() > end) {
                throw new Refusal(112, "WriteConflict", "A transaction holds the document.", List.of());
            }
            await();
        }
        return work.get();
    }

    private void keep(List<Recorder.Written> writes) {
        if (!open.isEmpty()) {
            later.addAll(writes);
        }
    }

    private boolean isHeld(List<Recorder.Written> writes, Transaction except) {
        return open.stream().anyMatch(one -> one != except && meets(writes, one.writes));
    }

    private static boolean meets(Collection<Recorder.Written> some, Collection<Recorder.Written> others) {
        return some.stream().anyMatch(one -> others.stream().anyMatch(one::isOfTheSameAs));
    }

    private void await() {
        try {
            lock.wait(WAIT);
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }
}
