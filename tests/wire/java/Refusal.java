import de.bwaldvogel.mongo.bson.Document;
import java.util.List;

/** An answer that says why not, with the labels by which a driver knows what to repeat. */
final class Refusal extends RuntimeException {
    static final String TRANSIENT = "TransientTransactionError";
    static final String RETRYABLE = "RetryableWriteError";

    private final int code;
    private final String name;
    private final List<String> labels;

    Refusal(int code, String name, String message, List<String> labels) {
        super(message, null, false, false);
        this.code = code;
        this.name = name;
        this.labels = labels;
    }

    static Refusal conflict() {
        return new Refusal(112, "WriteConflict", "Write conflict during plan execution.", List.of(TRANSIENT));
    }

    static Refusal noTransaction(Object number) {
        String text = "Transaction " + number + " has been aborted or is not known.";
        return new Refusal(251, "NoSuchTransaction", text, List.of(TRANSIENT));
    }

    static Refusal notWritablePrimary(String label) {
        return new Refusal(10107, "NotWritablePrimary", "not primary", List.of(label));
    }

    Document answer() {
        Document answer = new Document("ok", 0.0);
        answer.append("errmsg", getMessage()).append("code", code).append("codeName", name);
        return labels.isEmpty() ? answer : answer.append("errorLabels", labels);
    }
}
