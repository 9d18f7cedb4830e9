import de.bwaldvogel.mongo.bson.Document;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** Logical sessions: the transaction of each, and the answer to its last retryable write. */
final class Sessions {
    private static final class Session {
        private long number = -1;
        private Transactions.Transaction transaction;
        private boolean isCommitted;
        private Document answer;

        private void advance(long to) {
            if (to < number) {
                throw new Refusal(225, "TransactionTooOld", "A later one has begun in this session.", List.of());
            }
            if (to > number) {
                number = to;
                transaction = null;
                isCommitted = false;
                answer = null;
            }
        }
    }

    private final Transactions transactions;
    private final Map<Object, Session> sessions = new HashMap<>();

    Sessions(Transactions transactions) {
        this.transactions = transactions;
    }

    /** Does the work of a command: in its transaction, or once if it is a retryable write, or just so. */
    Document run(String command, Document query, Supplier<Document> work) {
        if (!query.containsKey("txnNumber")) {
            return transactions.outside(work);
        }
        Object id = ((Document) query.get("lsid")).get("id");
        Session session = sessions.computeIfAbsent(id, key -> new Session());
        long number = ((Number) query.get("txnNumber")).longValue();
        if (number > session.number && session.transaction != null) {
            transactions.abort(session.transaction);
        }
        session.advance(number);
        if (query.containsKey("autocommit")) {
            return inTransaction(session, command, query, work);
        }
        if (session.answer == null) {
            session.answer = transactions.outside(work).cloneDeeply();
        }
        return session.answer;
    }

    /** Ends the transactions of the sessions named. */
    Document end(Document query) {
        for (Object lsid : (List<?>) query.get("endSessions")) {
            Session session = sessions.remove(((Document) lsid).get("id"));
            if (session != null && session.transaction != null) {
                transactions.abort(session.transaction);
            }
        }
        return new Document("ok", 1.0);
    }

    private Document inTransaction(Session session, String command, Document query, Supplier<Document> work) {
        if (Boolean.TRUE.equals(query.get("startTransaction"))) {
            session.transaction = transactions.begin();
        }
        if (command.equals("commitTransaction") && session.isCommitted) {
            return new Document("ok", 1.0);
        }
        if (session.transaction == null || !transactions.isOpen(session.transaction)) {
            throw Refusal.noTransaction(session.number);
        }
        switch (command) {
            case "commitTransaction":
                transactions.commit(session.transaction);
                session.isCommitted = true;
                return new Document("ok", 1.0);
            case "abortTransaction":
                transactions.abort(session.transaction);
                return new Document("ok", 1.0);
            default:
                return transactions.within(session.transaction, work);
        }
    }
}
